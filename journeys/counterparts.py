"""Everybody outside whom a hospital talks to, made once a process from the settings."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

from config import Settings
from notifications.messages import Senders
from notifications.senders.mini_program import MiniProgram
from notifications.senders.tencent_sms import TencentSms
from payments.agencies.medical_aid import MedicalAid
from payments.channels.wechat import WeChatPay
from payments.insurance.desk import InsuranceDesk


@dataclass(frozen=True, slots=True)
class Counterparts:
    """The outside of one hospital, and the clock. ``notify_base`` is where channels reach us."""

    code: str
    now: Callable[[], datetime]
    wechat_pay: WeChatPay
    mini_program: MiniProgram
    sms: TencentSms
    insurance: InsuranceDesk
    medical_aid: MedicalAid
    notify_base: str
    receipt_token: str = field(repr=False)
    anchor_file: str = ""
    """Where the head of the audit trail is kept (journeys/audit_anchor.py); empty: nowhere."""

    @property
    def senders(self) -> Senders:
        """Those who carry words to patients."""
        return Senders(self.mini_program, self.sms)

    def notify_url(self, subject: str) -> str:
        """Where WeChat Pay reports: one path a hospital and subject, no query (its rule)."""
        return f"{self.notify_base}/wxpay/notify/{self.code}/{subject}"


def registry(settings: Settings) -> Callable[[str], Counterparts]:
    """hospital code -> its counterparts; KeyError for a hospital without connections."""

    @cache
    def of(code: str) -> Counterparts:
        outside = settings.connections[code]
        now = settings.now
        return Counterparts(
            code=code,
            now=now,
            wechat_pay=WeChatPay(outside.wechat_pay, now),
            mini_program=MiniProgram(outside.mini_program, now),
            sms=TencentSms(outside.sms, now),
            insurance=InsuranceDesk.connect(outside.insurance, now),
            medical_aid=MedicalAid(outside.medical_aid, now),
            notify_base=settings.public_base_url.rstrip("/"),
            receipt_token=outside.sms.receipt_token,
            anchor_file=settings.audit_anchor_file,
        )

    return of
