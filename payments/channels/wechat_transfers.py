"""Merchant transfer of WeChat Pay (商家转账) to a person's own WeChat; confirmed within a day, or
the money returns.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from wechatpayv3 import WeChatPay as Sdk

from config import WeChatPaySettings
from payments.channels.wechat_answers import found, said
from payments.channels.wechat_fields import moment, number_of_ours
from policies.outcome import NoAnswer

SCENE = "1011"
"""企业赔付: what a hospital has to apply for (docs/go-live-wechat.md)."""

PERCEPTION = "退款"
REASON = {"info_type": "赔付原因", "info_content": "退回门诊预交金余额"}
REMARK = "退回门诊预交金"

NAME_FROM_FEN = 30
"""From here on WeChat compares the name; below it refuses to."""

TransferStateThere = Literal["PROCESSING", "PAID", "CLOSED"]

TRANSFER_STATES: dict[str, TransferStateThere] = {
    "ACCEPTED": "PROCESSING",
    "PROCESSING": "PROCESSING",
    "WAIT_USER_CONFIRM": "PROCESSING",
    "TRANSFERING": "PROCESSING",
    "CANCELING": "PROCESSING",
    "SUCCESS": "PAID",
    "FAIL": "CLOSED",
    "CANCELLED": "CLOSED",
}
"""state -> ours."""


@dataclass(frozen=True, slots=True)
class ChannelTransfer:
    """A transfer as they know it. ``detail``: their word for where it is, or why it failed.

    ``package`` opens the confirmation in the person's WeChat; ``amount_fen`` is not in each answer.
    """

    state: TransferStateThere
    out_bill_no: str
    channel_refund_id: str | None
    amount_fen: int | None
    paid_at: datetime | None
    detail: str
    package: str | None


class WeChatTransfers:
    """The transfers of one merchant. After NotNow or NoAnswer: the same number, for ever.

    A no to asking is not the end either: only a query that does not know the number says so.
    """

    def __init__(self, sdk: Sdk, settings: WeChatPaySettings) -> None:
        self._sdk, self._settings = sdk, settings

    def transfer(
        self, *, out_bill_no: str, openid: str, name: str, amount_fen: int, notify_url: str
    ) -> ChannelTransfer:
        """Send money to this WeChat account, which must be of this real name."""
        answer = said(
            self._sdk.mch_transfer_bills(
                out_bill_no=number_of_ours(out_bill_no),
                transfer_scene_id=SCENE,
                openid=openid,
                transfer_amount=amount_fen,
                transfer_remark=REMARK,
                user_name=name if amount_fen >= NAME_FROM_FEN else None,
                user_recv_perception=PERCEPTION,
                transfer_scene_report_infos=[REASON],
                notify_url=notify_url,
            )
        )
        return transfer_said(answer, out_bill_no)

    def query(self, out_bill_no: str) -> ChannelTransfer | None:
        """What became of our number; None when WeChat Pay does not know it."""
        answer = found(self._sdk.mch_transfer_bills_query(number_of_ours(out_bill_no)))
        return None if answer is None else transfer_said(answer, out_bill_no)

    def cancel(self, out_bill_no: str) -> None:
        """Take back what nobody confirmed; may be repeated. A query says whether it worked."""
        said(self._sdk.mch_transfer_bills_cancel(number_of_ours(out_bill_no)))

    def confirmation(self, package: str) -> dict[str, str]:
        """What ``wx.requestMerchantTransfer`` takes."""
        mine = self._settings
        return {"mchId": mine.mchid, "appId": mine.appid, "package": package}


def transfer_said(fields: dict[str, Any], number: str) -> ChannelTransfer:
    """Read a transfer; NoAnswer when it is unreadable or not the one that was asked for."""
    try:
        if fields["out_bill_no"] != number:
            raise NoAnswer("another transfer than asked for")
        amount = fields.get("transfer_amount")
        if amount is not None and type(amount) is not int:
            raise NoAnswer("not whole fen")
        return ChannelTransfer(
            state=TRANSFER_STATES[fields["state"]],
            out_bill_no=number,
            channel_refund_id=fields.get("transfer_bill_no"),
            amount_fen=amount,
            paid_at=moment(fields.get("update_time")) if fields["state"] == "SUCCESS" else None,
            detail=str(fields.get("fail_reason") or fields["state"])[:64],
            package=fields.get("package_info"),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise NoAnswer("a transfer that cannot be read") from None
