"""The daily reconciliation with WeChat Pay (对账): fetch a day's bill, compare it with our rows,
write down what differs. Once more is harmless: the same difference is the same row and work item.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from config import today
from models.db import Session, id_of, new_id, rows, within
from models.reconciliation import (
    WECHAT,
    DayState,
    DifferenceState,
    ReconciledDay,
    ReconciliationDifference,
    RowOfAnotherDay,
)
from models.work_item import close_open, open_item
from payments.channels import wechat_bill
from payments.channels.wechat import WeChatPay
from payments.channels.wechat_bill import Bill, UnreadableBill
from policies.outcome import Declined, NoAnswer, NotNow
from policies.reconciliation import (
    AWAITED,
    Around,
    Difference,
    Here,
    Kind,
    Outcome,
    OwnRow,
    Sort,
    bounds,
    compare,
)

NO_TRADES = "NO_STATEMENT_EXIST"

MISSED_AFTER = timedelta(days=3)
"""A day whose bill is still not there becomes a task so long after it."""

DUE_IN = timedelta(days=3)

ONE_BY_ONE = 200
"""More differences than these found at once share a task: then something is wrong as a whole, most
often that another system collects with the same merchant number."""

NOT_OURS = (Kind.PAYMENT_NOT_HERE, Kind.REFUND_NOT_HERE)

KINDS = {
    Kind.PAYMENT_NOT_HERE: "微信账单有这笔收款，本院没有这张订单，请查明是谁收的、该退还是该补记",
    Kind.PAYMENT_NOT_THERE: "本院记为微信已收款，微信账单没有这笔，请向微信支付核实",
    Kind.PAYMENT_AMOUNT: "这笔收款微信账单的金额与本院订单不同，请核对后处理",
    Kind.PAYMENT_STATE: "微信账单显示已收款，本院订单没有入账，请查明后补记或退款",
    Kind.PAYMENT_TWICE: "微信账单里这个订单号出现了两次收款，请向微信支付核实",
    Kind.REFUND_NOT_HERE: "微信账单有这笔退款，本院没有对应的退款，请查明是谁退的",
    Kind.REFUND_NOT_THERE: "本院记为微信已退款，微信账单没有这笔，请核实患者是否收到",
    Kind.REFUND_AMOUNT: "这笔退款微信账单的金额与本院不同，请核对后处理",
    Kind.REFUND_STATE: "这笔退款在微信账单里的结果与本院不同，请核实，谨防退两次或没有退到",
    Kind.REFUND_TWICE: "微信账单里这个退款单号出现了两次，请向微信支付核实",
    Kind.TOTALS: "微信账单末行的合计与明细之和不同，请重新下载账单并向微信支付核实",
}
"""What finance reads in the work item."""

ORDERS: dict[str, Here] = {
    "CREATED": Here.OPEN,
    "WAITING": Here.OPEN,
    "PAID": Here.PAID,
    "CLOSED": Here.OVER,
    "REFUSED": Here.NOT_DONE,
}
LEGS: dict[str, Here] = {
    "PLANNED": Here.NOT_DONE,
    "ASKED": Here.OPEN,
    "PROCESSING": Here.OPEN,
    "PAID": Here.PAID,
    "RETURNED": Here.PAID,
    "CLOSED": Here.OVER,
    "ABNORMAL": Here.OVER,
    "REFUSED": Here.NOT_DONE,
    "REROUTED": Here.REROUTED,
}
"""Our states -> what a comparison asks of them."""


def first_day(hospital_id: UUID) -> date | None:
    """The day of the first payment or refund that a bill may have; None without any."""
    (found,) = rows(_FIRST, hospital=hospital_id)
    return today(found["at"]) if found["at"] else None


def reconcile(
    hospital_id: UUID, wechat_pay: WeChatPay, day: date, now: Callable[[], datetime]
) -> DayState:
    """Compare a day; UNKNOWN when there is no bill that can be read: nothing is concluded from
    silence. NoAnswer is raised on, so that nobody goes on asking who is silent.
    """
    try:
        bill, sha1 = _fetched(wechat_pay, day)
    except (Declined, NotNow, UnreadableBill, NoAnswer) as trouble:
        _no_bill(hospital_id, day, now(), str(trouble)[:200])
        if isinstance(trouble, NoAnswer):
            raise
        return DayState.UNKNOWN
    with Session.begin() as db:
        reconciled = ReconciledDay.locked(db, hospital_id, day)
        own = _own_rows(db, hospital_id, day, bill)
        outcome = compare(day, bill.rows, bill.totals, own, _around(db, reconciled, bill, own))
        _write(db, reconciled, outcome, now())
        reconciled.bill_sha1 = sha1
        reconciled.tried_at, reconciled.answer = now(), ""
        close_open(
            db,
            hospital_id=hospital_id,
            kind="BILL_MISSING",
            subject=f"wechat-bill:{day}",
            by="system",
            at=now(),
            outcome="账单已取得并核对",
        )
        _settle_day_before(db, reconciled, outcome, now())
        return DayState(reconciled.state)


def _fetched(wechat_pay: WeChatPay, day: date) -> tuple[Bill, bytes | None]:
    try:
        content = wechat_pay.trade_bill(day)
    except Declined as no:
        if no.code != NO_TRADES:
            raise
        return wechat_bill.NOTHING, None
    sha1 = hashlib.sha1(content, usedforsecurity=False).digest()
    return wechat_bill.read_bill(content, wechat_pay.mchid), sha1


def _no_bill(hospital_id: UUID, day: date, now: datetime, why: str) -> None:
    """Remember the try. What was compared before stays as it was."""
    with Session.begin() as db:
        reconciled = ReconciledDay.locked(db, hospital_id, day)
        reconciled.tried_at, reconciled.answer = now, why
        if reconciled.state == DayState.UNKNOWN and today(now) - day >= MISSED_AFTER:
            open_item(
                db,
                hospital_id=hospital_id,
                kind="BILL_MISSING",
                subject=f"wechat-bill:{day}",
                at=now,
                due_at=now + DUE_IN,
                note=f"{day}的微信账单一直没有取到，这一天没有对账，请在商户平台下载核对",
            )


_FIRST = """
SELECT least(
  (SELECT min(paid_at) FROM payment_order WHERE hospital_id = :hospital
     AND route IN ('MINI_PROGRAM', 'QR', 'PAYMENT_CODE')),
  (SELECT min(paid_at) FROM refund_leg WHERE hospital_id = :hospital AND route = 'WECHAT')) AS at
"""

_ORDERS: LiteralString = """
SELECT id, amount_fen, state, paid_at, route = 'PAYMENT_CODE' AS code FROM payment_order
WHERE hospital_id = %(hospital)s AND route IN ('MINI_PROGRAM', 'QR', 'PAYMENT_CODE')
"""
_LEGS: LiteralString = """
SELECT id, amount_fen, state, paid_at, false AS code FROM refund_leg
WHERE hospital_id = %(hospital)s AND route = 'WECHAT'
"""
_OF_THE_DAY: LiteralString = " AND paid_at >= %(start)s AND paid_at < %(end)s"
_NAMED: LiteralString = " AND id = ANY(%(ids)s)"


def _own_rows(db: Db, hospital_id: UUID, day: date, bill: Bill) -> list[OwnRow]:
    """Our rows of the day and those that the bill names; who changes between the two statements is
    in one of them. Transfers (商家转账) are no trades: no trade bill has them.
    """
    start, end = bounds(day)
    found: list[OwnRow] = []
    for sort, sql, states in ((Sort.PAYMENT, _ORDERS, ORDERS), (Sort.REFUND, _LEGS, LEGS)):
        of_the_day = within(db, sql + _OF_THE_DAY, hospital=hospital_id, start=start, end=end)
        mine = [_own_row(sort, row, states) for row in of_the_day]
        known = {row.number for row in mine}
        refunds = sort == Sort.REFUND
        numbers = {row.number for row in bill.rows if (row.sort == Sort.REFUND) == refunds}
        ids = {id_of(number) for number in numbers - known} - {None}
        others = within(db, sql + _NAMED, hospital=hospital_id, ids=list(ids))
        named = [_own_row(sort, row, states) for row in others]
        found += mine + [row for row in named if row.number not in known]
    return found


def _own_row(sort: Sort, row: dict[str, Any], states: Mapping[str, Here]) -> OwnRow:
    number, state = row["id"].hex, states[row["state"]]
    return OwnRow(sort, number, row["amount_fen"], state, row["paid_at"], row["code"])


def _around(db: Db, reconciled: ReconciledDay, bill: Bill, own: list[OwnRow]) -> Around:
    """What the other days' bills say of the rows that this one leaves in doubt."""
    there = {row.number for row in bill.rows}
    doubtful = [row.number for row in own if row.number not in there or row.state != Here.PAID]
    hospital_id, day = reconciled.hospital_id, reconciled.day
    elsewhere = RowOfAnotherDay.elsewhere(db, hospital_id, day, doubtful)
    next_day = _day(db, hospital_id, day + timedelta(days=1))
    return Around(
        {(Sort(sort), number) for sort, number in elsewhere},
        next_is_in=next_day is not None and next_day.state != DayState.UNKNOWN,
    )


def _write(db: Db, reconciled: ReconciledDay, outcome: Outcome, now: datetime) -> None:
    """Counts, differences and their tasks; what was found before and is not now has gone."""
    for side, counted in (("there", outcome.there), ("here", outcome.here)):
        for name, sort in (("payments", Sort.PAYMENT), ("refunds", Sort.REFUND)):
            setattr(reconciled, f"{side}_{name}", counted[sort].rows)
            setattr(reconciled, f"{side}_{name}_fen", counted[sort].fen)
    days = (reconciled.hospital_id, reconciled.day)
    RowOfAnotherDay.replace(db, *days, outcome.of_other_days)
    known = {(each.kind, each.number): each for each in _differences(db, reconciled)}
    appeared: list[ReconciliationDifference] = []
    for state, found in (
        (DifferenceState.OPEN, outcome.differences),
        (DifferenceState.WAITING, outcome.waiting),
    ):
        for new in found:
            old = known.pop((new.kind, new.number), None)
            appeared += _is(db, reconciled, old, new, state, now)
    _tasks(db, reconciled, appeared, now)
    for old in known.values():
        _gone(db, old, now)
    _closed_or_not(db, reconciled, now)


def _is(
    db: Db,
    reconciled: ReconciledDay,
    known: ReconciliationDifference | None,
    new: Difference,
    state: DifferenceState,
    now: datetime,
) -> list[ReconciliationDifference]:
    """This difference is there: write it down. A list of it when it is open and was not before."""
    appears = known is None or known.state != state
    if known is None:
        known = ReconciliationDifference(
            id=new_id(),
            hospital_id=reconciled.hospital_id,
            day_id=reconciled.id,
            state=state,
            kind=new.kind,
            number=new.number,
            found_at=now,
        )
        db.add(known)
        known.start(db, at=now, by="reconciliation")
    elif appears and known.state != DifferenceState.OPEN:
        known.move(db, state, at=now, by="reconciliation")
    known.there_fen, known.here_fen, known.gone_at = new.there_fen, new.here_fen, None
    return [known] if appears and state == DifferenceState.OPEN else []


def _tasks(
    db: Db, reconciled: ReconciledDay, appeared: list[ReconciliationDifference], now: datetime
) -> None:
    """A task for each, our own payments and refunds first; beyond ONE_BY_ONE one for the rest."""
    appeared.sort(key=lambda each: each.kind in NOT_OURS)
    for each in appeared[:ONE_BY_ONE]:
        _task_of_one(db, each, reconciled.day, now)
    if (rest := len(appeared) - ONE_BY_ONE) > 0:
        words = (
            f"另有{rest}笔不符，没有逐笔列为任务，请在对账页查看。"
            "请先查是否有别的系统也用这个商户号收款"
        )
        _task(db, reconciled, reconciled.day, now, words, {"differences": rest})


def _task_of_one(db: Db, difference: ReconciliationDifference, day: date, now: datetime) -> None:
    facts = {
        "kind": difference.kind,
        "there_fen": difference.there_fen,
        "here_fen": difference.here_fen,
    }
    _task(db, difference, day, now, KINDS[Kind(difference.kind)], facts)


def _task(
    db: Db,
    what: ReconciliationDifference | ReconciledDay,
    day: date,
    now: datetime,
    words: str,
    facts: dict[str, Any],
) -> None:
    open_item(
        db,
        hospital_id=what.hospital_id,
        kind="RECONCILIATION_DIFFERS",
        subject=what.subject,
        at=now,
        due_at=now + DUE_IN,
        note=f"{day}微信对账：{words}",
        facts={"day": day.isoformat(), **facts},
    )


def _gone(db: Db, difference: ReconciliationDifference, now: datetime) -> None:
    if difference.state == DifferenceState.GONE:
        return
    difference.move(db, DifferenceState.GONE, at=now, by="reconciliation")
    difference.gone_at = now
    _over(db, difference, now)


def _over(db: Db, what: ReconciliationDifference | ReconciledDay, now: datetime) -> None:
    close_open(
        db,
        hospital_id=what.hospital_id,
        kind="RECONCILIATION_DIFFERS",
        subject=what.subject,
        by="system",
        at=now,
        outcome="再次对账时已经相符",
    )


def _closed_or_not(db: Db, reconciled: ReconciledDay, now: datetime) -> None:
    """LEVEL when no difference is open; what waits for the next bill is none yet."""
    db.flush()
    differs = any(each.state == DifferenceState.OPEN for each in _differences(db, reconciled))
    state = DayState.DIFFERS if differs else DayState.LEVEL
    reconciled.compared_at = now
    if reconciled.state != state:
        reconciled.move(db, state, at=now, by="reconciliation")
    if not differs:
        _over(db, reconciled, now)


def _settle_day_before(db: Db, reconciled: ReconciledDay, outcome: Outcome, now: datetime) -> None:
    """What waited for this bill either stands in it, or is a difference of its own day."""
    before = _day(db, reconciled.hospital_id, reconciled.day - timedelta(days=1), lock=True)
    if before is None or before.state == DayState.UNKNOWN:
        return
    for each in _differences(db, before):
        if each.state == DifferenceState.WAITING:
            if (AWAITED[Kind(each.kind)], each.number) in outcome.of_other_days:
                _gone(db, each, now)
            else:
                each.move(db, DifferenceState.OPEN, at=now, by="reconciliation")
                _task_of_one(db, each, before.day, now)
    _closed_or_not(db, before, now)


def _day(db: Db, hospital_id: UUID, day: date, *, lock: bool = False) -> ReconciledDay | None:
    query = select(ReconciledDay).where(
        ReconciledDay.hospital_id == hospital_id,
        ReconciledDay.channel == WECHAT,
        ReconciledDay.day == day,
    )
    return db.scalar(query.with_for_update() if lock else query)


def _differences(db: Db, reconciled: ReconciledDay) -> Sequence[ReconciliationDifference]:
    return db.scalars(
        select(ReconciliationDifference)
        .where(
            ReconciliationDifference.hospital_id == reconciled.hospital_id,
            ReconciliationDifference.day_id == reconciled.id,
        )
        .order_by(ReconciliationDifference.id)
    ).all()
