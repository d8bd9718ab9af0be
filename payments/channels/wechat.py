"""WeChat Pay APIv3: orders, payment codes, refunds, notices and bills, in our own words."""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidTag
from wechatpayv3 import WeChatPay as Sdk
from wechatpayv3 import WeChatPayType

from config import WeChatPaySettings
from payments.channels.wechat_answers import found, said
from payments.channels.wechat_core import WeChatPayCore
from payments.channels.wechat_fields import (
    bill_file,
    json_object,
    moment,
    number_of_ours,
    text,
    whole_fen,
    wire_time,
)
from payments.channels.wechat_transfers import ChannelTransfer, WeChatTransfers, transfer_said
from policies.outcome import Declined, NoAnswer, NotNow

OrderStateThere = Literal["WAITING", "PAID", "CLOSED", "REFUSED"]
RefundStateThere = Literal["PROCESSING", "PAID", "CLOSED", "ABNORMAL"]

ORDER_STATES: dict[str, OrderStateThere] = {
    "NOTPAY": "WAITING",
    "USERPAYING": "WAITING",
    "SUCCESS": "PAID",
    "REFUND": "PAID",  # «some refund was started»: it was paid, and the refunds know the rest
    "CLOSED": "CLOSED",
    "REVOKED": "CLOSED",
    "PAYERROR": "REFUSED",
}
"""trade_state -> ours."""

REFUND_STATES: dict[str, RefundStateThere] = {
    "PROCESSING": "PROCESSING",
    "SUCCESS": "PAID",
    "CLOSED": "CLOSED",
    "ABNORMAL": "ABNORMAL",
}
"""status (in answers) and refund_status (in notices) -> ours."""


@dataclass(frozen=True, slots=True)
class ChannelOrder:
    """An order as WeChat Pay knows it. ``amount_fen`` may be None while it is unpaid."""

    state: OrderStateThere
    out_trade_no: str
    channel_transaction_id: str | None
    amount_fen: int | None
    paid_at: datetime | None
    payer: str | None


@dataclass(frozen=True, slots=True)
class ChannelRefund:
    """A refund as they know it. ``received_account`` is masked by them (招商银行信用卡0403)."""

    state: RefundStateThere
    out_refund_no: str
    channel_refund_id: str | None
    amount_fen: int
    paid_at: datetime | None
    received_account: str | None


@dataclass(frozen=True, slots=True)
class Notice:
    """A proven notice about our ``number``: what is said of an order, refund or transfer."""

    event_id: str
    event_type: str
    subject: str
    number: str
    told: ChannelOrder | ChannelRefund | ChannelTransfer
    mchid: str
    appid: str | None


class NoticeRefused(Exception):
    """Not a notice of WeChat Pay to us that may be believed now: answer 4xx and do nothing."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class WeChatPay:
    """One merchant. Calls raise Declined, NotNow or NoAnswer (`wechat_answers.MEANINGS`)."""

    def __init__(self, settings: WeChatPaySettings, now: Callable[[], datetime]) -> None:
        self._settings, self._now = settings, now
        self._core = WeChatPayCore(settings, now)
        self._sdk = Sdk(
            wechatpay_type=WeChatPayType.MINIPROG,
            mchid=settings.mchid,
            private_key=settings.merchant_key,
            cert_serial_no=settings.merchant_serial,
            appid=settings.appid,
            apiv3_key=settings.apiv3_key,
            public_key=settings.public_key,
            public_key_id=settings.public_key_id,
        )
        self._sdk._core = self._core
        self.appid, self.mchid = settings.appid, settings.mchid
        self.transfers = WeChatTransfers(self._sdk, settings)

    def order_mini_program(
        self,
        *,
        out_trade_no: str,
        amount_fen: int,
        description: str,
        openid: str,
        expires_at: datetime,
        notify_url: str,
    ) -> dict[str, Any]:
        """Place an order to be paid inside the mini-program; what ``wx.requestPayment`` takes.

        The same number with the same content may be ordered again: it gives fresh parameters.
        """
        answer = said(
            self._sdk.pay(
                **_order(out_trade_no, amount_fen, description),
                payer={"openid": openid},
                time_expire=wire_time(expires_at),
                notify_url=notify_url,
                pay_type=WeChatPayType.MINIPROG,
            )
        )
        package = f"prepay_id={text(answer, 'prepay_id')}"
        stamp, nonce = str(int(self._now().timestamp())), secrets.token_hex(16)
        return {
            "timeStamp": stamp,
            "nonceStr": nonce,
            "package": package,
            "signType": "RSA",
            "paySign": self._core.sign([self._settings.appid, stamp, nonce, package]),
        }

    def order_qr(
        self,
        *,
        out_trade_no: str,
        amount_fen: int,
        description: str,
        expires_at: datetime,
        notify_url: str,
    ) -> str:
        """Place an order to be paid by scanning; the content of the QR code, good for 2 hours."""
        answer = said(
            self._sdk.pay(
                **_order(out_trade_no, amount_fen, description),
                time_expire=wire_time(expires_at),
                notify_url=notify_url,
                pay_type=WeChatPayType.NATIVE,
            )
        )
        return text(answer, "code_url")

    def charge_payment_code(
        self,
        *,
        out_trade_no: str,
        amount_fen: int,
        description: str,
        auth_code: str,
        device_id: str,
        device_ip: str,
    ) -> ChannelOrder:
        """Charge the payment code that the payer shows; WAITING while the payer types the password.

        After NoAnswer query the same number, no sooner than 5 s later; a code works once.
        """
        try:
            answer = said(
                self._sdk.pay(
                    **_order(out_trade_no, amount_fen, description),
                    payer={"auth_code": auth_code},
                    scene_info={
                        "device_id": device_id,
                        "device_ip": device_ip,
                        "store_info": {"out_id": device_id},
                    },
                    pay_type=WeChatPayType.CODEPAY,
                )
            )
        except NotNow as later:
            if later.code == "NOT_ENOUGH":  # here it is the payer's money that does not suffice
                raise Declined(later.code) from None
            raise
        return self._order_said(answer, out_trade_no)

    def query_order(self, out_trade_no: str) -> ChannelOrder | None:
        """What became of our number; None when WeChat Pay does not know it."""
        answer = found(self._sdk.query(out_trade_no=number_of_ours(out_trade_no)))
        return None if answer is None else self._order_said(answer, out_trade_no)

    def close_order(self, out_trade_no: str) -> None:
        """Close an unpaid order; may be repeated. Declined ORDER_PAID when the payer was faster."""
        said(self._sdk.close(number_of_ours(out_trade_no)))

    def reverse_order(self, out_trade_no: str) -> None:
        """Undo a payment-code order: closed if unpaid, given back if paid. May be repeated."""
        said(self._sdk.codepay_reverse(number_of_ours(out_trade_no)))

    def refund(
        self,
        *,
        out_refund_no: str,
        channel_transaction_id: str,
        amount_fen: int,
        total_fen: int,
        reason: str,
        notify_url: str,
    ) -> ChannelRefund:
        """Give back part of a payment of ``total_fen``. Accepted is not arrived: see the state.

        After NotNow or NoAnswer: the same number and content again. Only after CLOSED a new number.
        """
        answer = said(
            self._sdk.refund(
                out_refund_no=number_of_ours(out_refund_no),
                transaction_id=channel_transaction_id,
                amount={"refund": amount_fen, "total": total_fen, "currency": "CNY"},
                reason=reason,
                notify_url=notify_url,
            )
        )
        return _refund_said(answer, out_refund_no)

    def query_refund(self, out_refund_no: str) -> ChannelRefund | None:
        """What became of our refund number; None when WeChat Pay does not know it."""
        answer = found(self._sdk.query_refund(number_of_ours(out_refund_no)))
        return None if answer is None else _refund_said(answer, out_refund_no)

    def read_notice(
        self, headers: Mapping[str, str], body: bytes, at: datetime | None = None
    ) -> Notice:
        """Verify the raw bytes as of ``at`` (now, if not said), then decrypt and read them; else
        NoticeRefused. Calls nobody.
        """
        if doubt := self._core.doubt(headers, body, at):
            raise NoticeRefused(doubt)
        try:
            envelope = json.loads(body)
            return self._notice(envelope, json_object(self._core.opened(envelope["resource"])))
        except (ValueError, KeyError, TypeError, InvalidTag, NoAnswer):
            raise NoticeRefused("UNREADABLE") from None

    def trade_bill(self, day: date) -> bytes:
        """All trades and refunds of a Beijing calendar day as CSV, from 10:00 of the next day.

        Declined NO_STATEMENT_EXIST for a day without any. The file is unsigned, so its host and
        its SHA-1 are checked.
        """
        answer = said(self._sdk.trade_bill(day.isoformat()))
        url, expected = urlsplit(text(answer, "download_url")), text(answer, "hash_value")
        if f"{url.scheme}://{url.netloc}" != self._settings.base_url.rstrip("/"):
            raise NoAnswer("the bill lies on another host")
        status, packed = self._core.request(f"{url.path}?{url.query}", skip_verify=True)
        if status != 200:
            raise NoAnswer(f"bill file: HTTP {status}")
        return bill_file(packed, expected)

    def _order_said(self, fields: dict[str, Any], number: str) -> ChannelOrder:
        """Read an order; NoAnswer when it is unreadable or not the one that was asked for."""
        mine = (self._settings.mchid, self._settings.appid)
        try:
            if (fields["mchid"], fields.get("appid", mine[1])) != mine:
                raise NoAnswer("an order of another merchant")
            if fields["out_trade_no"] != number:
                raise NoAnswer("another order than asked for")
            state = ORDER_STATES[fields["trade_state"]]
            return ChannelOrder(
                state=state,
                out_trade_no=number,
                channel_transaction_id=fields.get("transaction_id"),
                amount_fen=whole_fen(fields, "total", needed=state == "PAID"),
                paid_at=moment(fields.get("success_time")),
                payer=fields.get("payer", {}).get("openid"),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise NoAnswer("an order that cannot be read") from None

    def _notice(self, envelope: dict[str, Any], told: dict[str, Any]) -> Notice:
        event = str(envelope["event_type"])
        mchid = told.get("mchid") or told["mch_id"]  # transfers write it so
        if mchid != self._settings.mchid:
            raise NoticeRefused("OTHER_MERCHANT")
        told_of: ChannelOrder | ChannelRefund | ChannelTransfer
        match event.partition(".")[0]:
            case "TRANSACTION":
                subject, number = "payment", str(told["out_trade_no"])
                told_of = self._order_said(told, number)
            case "REFUND":
                subject, number = "refund", str(told["out_refund_no"])
                told_of = _refund_said(told, number)
            case "MCHTRANSFER":
                subject, number = "transfer", str(told["out_bill_no"])
                told_of = transfer_said(told, number)
            case _:
                raise NoticeRefused("UNKNOWN_EVENT")
        return Notice(
            event_id=str(envelope["id"]),
            event_type=event,
            subject=subject,
            number=number,
            told=told_of,
            mchid=mchid,
            appid=told.get("appid"),
        )


def _order(out_trade_no: str, amount_fen: int, description: str) -> dict[str, Any]:
    return {
        "out_trade_no": number_of_ours(out_trade_no),
        "amount": {"total": amount_fen, "currency": "CNY"},
        "description": description,
    }


def _refund_said(fields: dict[str, Any], number: str) -> ChannelRefund:
    try:
        if fields["out_refund_no"] != number:
            raise NoAnswer("another refund than asked for")
        return ChannelRefund(
            # Answers call it status, notices refund_status.
            state=REFUND_STATES[fields.get("status") or fields["refund_status"]],
            out_refund_no=number,
            channel_refund_id=fields.get("refund_id"),
            amount_fen=whole_fen(fields, "refund", needed=True) or 0,
            paid_at=moment(fields.get("success_time")),
            received_account=fields.get("user_received_account"),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise NoAnswer("a refund that cannot be read") from None
