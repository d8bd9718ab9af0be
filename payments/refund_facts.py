"""What the refund planner must know before it plans: the hospital's routes, and who is paid."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from models.binding import WeChatBinding
from models.hospital import Setting
from models.patient import Patient
from models.payee import Payee as Account
from policies.hospital_settings import KNOWN
from policies.refund_plan import ALIPAY, CARD, CASH, WECHAT, Payee, Routes


@dataclass(frozen=True, slots=True)
class KnownPayee:
    """The facts about who is paid, and the bank account (`models.payee`) if there is one."""

    facts: Payee
    id: UUID | None


def routes_of(db: Db, hospital_id: UUID) -> Routes:
    """What this hospital decided about its routes, or the defaults."""
    of_refunds = Setting.key.startswith("refund.")
    found = db.scalars(select(Setting).where(Setting.hospital_id == hospital_id, of_refunds))
    return routes_by({setting.key: setting.value for setting in found})


def routes_by(settings: Mapping[str, str]) -> Routes:
    """The routes by these settings of a hospital, and the defaults where it decided nothing."""
    decided = {key: known.default or "" for key, known in KNOWN.items()} | dict(settings)
    ways_back = {"WECHAT": WECHAT, "CARD": CARD, "CASH": CASH}
    if decided["refund.alipay_goes_back"] == "on":
        ways_back["ALIPAY"] = ALIPAY
    return Routes(
        ways_back=ways_back,
        least_fen={"BANK": int(decided["refund.bank_least_fen"]), "TRANSFER": 10},
        fallback=tuple(decided["refund.fallback_order"].split(",")),
        margin=timedelta(minutes=int(decided["refund.margin_minutes"])),
    )


def payee_of(db: Db, patient_id: UUID, named: UUID | None = None) -> KnownPayee:
    """What is known of the patient, or of the bank account that was named, as the one who is paid.

    A named account is verified before anything is paid to it: a request is reviewed first.
    """
    account = db.get_one(Account, named) if named else Account.own_card(db, patient_id)
    bound = select(WeChatBinding.id).where(
        WeChatBinding.patient_id == patient_id, WeChatBinding.active
    )
    theirs = account is None or not account.papers
    facts = Payee(
        own_card=account is not None,
        wechat=theirs and db.scalar(bound.limit(1)) is not None,
        real_name=db.get_one(Patient, patient_id).name_sealed is not None,
    )
    return KnownPayee(facts, account.id if account else None)
