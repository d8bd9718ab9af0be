"""A refund leg to the patient's own WeChat (商家转账): who is paid, and what became of it."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session as Db

from models.binding import WeChatBinding
from models.db import ReadSession
from models.patient import Patient
from models.refund import LegState, Refund, RefundLeg
from payments.channels.wechat_transfers import ChannelTransfer, WeChatTransfers
from policies.outcome import Declined, NoAnswer


def another_is_open(db: Db, leg: RefundLeg) -> bool:
    """Whether this patient has not ended another transfer: WeChat Pay takes one at a time."""
    patient_id = _patient_of(db, leg)
    db.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"transfer:{patient_id}"))))
    other = (
        select(RefundLeg.id)
        .join(Refund, Refund.id == RefundLeg.refund_id)
        .where(
            Refund.patient_id == patient_id,
            RefundLeg.route == "TRANSFER",
            RefundLeg.id != leg.id,
            RefundLeg.state.in_([LegState.ASKED, LegState.PROCESSING]),
        )
    )
    return db.scalar(other.limit(1)) is not None


def address(db: Db, leg: RefundLeg, appid: str) -> bool:
    """Fix, for ever, to which account of the patient this leg goes; False when none is bound."""
    bound = select(WeChatBinding.openid).where(
        WeChatBinding.patient_id == _patient_of(db, leg),
        WeChatBinding.appid == appid,
        WeChatBinding.active,
    )
    leg.openid = leg.openid or db.scalar(bound.order_by(WeChatBinding.bound_at.desc()).limit(1))
    return leg.openid is not None


def ask(
    leg: RefundLeg, asked_before: bool, wechat: WeChatTransfers, notify_url: str
) -> ChannelTransfer:
    """Ask WeChat Pay for the transfer, or what became of it. Raises Declined only when they do not
    know the number after they said no: then it surely was not done.
    """
    with ReadSession() as db:
        name = db.get_one(Patient, _patient_of(db, leg)).name

    def transfer() -> ChannelTransfer:
        return wechat.transfer(
            out_bill_no=leg.number,
            openid=leg.openid or "",
            name=name,
            amount_fen=leg.amount_fen,
            notify_url=notify_url,
        )

    known = _what_became_of(leg, wechat) if asked_before else None
    if known and not (known.detail == "WAIT_USER_CONFIRM" and leg.confirm_package is None):
        return known
    try:
        return transfer()  # also once more for the package, which only this answer has
    except Declined:
        known = _what_became_of(leg, wechat)
        if known is None:
            raise
        return known


def _what_became_of(leg: RefundLeg, wechat: WeChatTransfers) -> ChannelTransfer | None:
    """What they know of the number; a no to this question says nothing about the transfer."""
    try:
        return wechat.query(leg.number)
    except Declined as no:
        raise NoAnswer(no.code) from no


def _patient_of(db: Db, leg: RefundLeg) -> UUID:
    return db.get_one(Refund, leg.refund_id).patient_id
