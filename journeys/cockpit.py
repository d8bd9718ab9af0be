"""The clearance cockpit (GZ-7 T10, rank 9): the ledger by every side, the funnel, the forecast to
the deadline, what a refunded yuan costs, and exports that sum to the ledger."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session as Db

from config import today
from journeys.counterparts import Counterparts
from models.audit import audit
from models.db import Session, rows
from models.hospital import Hospital, setting
from models.work_item import open_item
from policies.access import Actor
from policies.clearance import ALARMS, board_words, cost_per_yuan, forecast, percent
from policies.packs import rules_of
from policies.sheets import Cell, table

SIDES = ("state", "channel", "age", "amount", "reason")
TOTALS = (
    "accounts",
    "stored_fen",
    "held_fen",
    "under_way_fen",
    "paid_fen",
    "turned_over_fen",
)
COSTS = ("cost.sms_fen_per_hundred", "cost.bank_fen_each", "cost.window_fen_each")

_SIDES = """
WITH sided AS MATERIALIZED (
    SELECT *, held_fen + under_way_fen AS left_fen,
           CASE WHEN last_activity_on >= (:day - interval '1 year')::date THEN 'UP_TO_1_YEAR'
                WHEN last_activity_on >= (:day - interval '3 years')::date THEN 'UP_TO_3_YEARS'
                ELSE 'OVER_3_YEARS' END AS age,
           CASE WHEN stored_fen < 1000 THEN 'UNDER_10' WHEN stored_fen < 10000 THEN 'UNDER_100'
                WHEN stored_fen < 20000 THEN 'UNDER_200' WHEN stored_fen < 100000 THEN 'UNDER_1000'
                ELSE 'FROM_1000' END AS amount
    FROM clearance_board(:house, :moment)
)
SELECT CASE WHEN grouping(state) = 0 THEN 'state' WHEN grouping(channel) = 0 THEN 'channel'
            WHEN grouping(age) = 0 THEN 'age' WHEN grouping(amount) = 0 THEN 'amount'
            WHEN grouping(reason) = 0 THEN 'reason' ELSE '' END AS side,
       coalesce(state, channel, age, amount, reason, '') AS value, count(*) AS accounts,
       coalesce(sum(stored_fen), 0)::bigint AS stored_fen,
       coalesce(sum(held_fen), 0)::bigint AS held_fen,
       coalesce(sum(under_way_fen), 0)::bigint AS under_way_fen,
       coalesce(sum(paid_fen), 0)::bigint AS paid_fen,
       coalesce(sum(turned_over_fen), 0)::bigint AS turned_over_fen,
       coalesce(sum(left_fen), 0)::bigint AS left_fen,
       count(*) FILTER (WHERE state <> 'NEW') AS contacted,
       count(*) FILTER (WHERE paid_fen + under_way_fen > 0) AS asked,
       count(*) FILTER (WHERE paid_fen > 0) AS paid
FROM sided
GROUP BY GROUPING SETS ((state), (channel), (age), (amount), (reason), ())
ORDER BY side, value
"""

_BY_DAY = """
SELECT (g.paid_at AT TIME ZONE 'Asia/Shanghai')::date AS day, sum(g.amount_fen)::bigint AS fen
FROM refund_leg g JOIN refund r ON r.id = g.refund_id
WHERE r.hospital_id = :house AND r.account_kind = 'OUTPATIENT_PREPAY'
  AND g.state = 'PAID' AND g.paid_at <= :moment AND g.paid_at > :since
GROUP BY 1
"""

_EFFORT = """
SELECT (SELECT count(*) FROM message m WHERE m.hospital_id = :house AND m.route = 'SMS'
          AND m.state IN ('SENT', 'DELIVERED') AND m.created_at <= :moment
          AND (m.template = 'CLEARANCE_NOTICE' OR m.template LIKE 'REFUND%')) AS sms,
       count(*) FILTER (WHERE g.route = 'BANK') AS bank,
       count(*) FILTER (WHERE g.route IN ('CASH', 'NEXT_VISIT')) AS at_window,
       coalesce(sum(g.amount_fen), 0)::bigint AS paid_fen
FROM refund_leg g JOIN refund r ON r.id = g.refund_id
WHERE r.hospital_id = :house AND r.account_kind IN ('OUTPATIENT_PREPAY', 'TREASURY_TURNED_OVER')
  AND g.state = 'PAID' AND g.paid_at <= :moment
"""

_ROWS = text(
    "SELECT * FROM clearance_board(:house, :moment) ORDER BY account_id"
).execution_options(yield_per=10_000)


def board(actor: Actor, moment: datetime) -> dict[str, Any]:
    """How the clearance stood at a moment: totals, each side, funnel, forecast, cost.

    Every account still holding money has exactly one reason (T10).
    """
    here = {"house": actor.hospital_id, "moment": moment}
    found = rows(_SIDES, **here, day=today(moment))
    with Session() as db:
        deadline = _deadline(db, actor.hospital_id, today(moment))
        prices = [int(setting(db, actor.hospital_id, key)) for key in COSTS]
    total = next(row for row in found if row["side"] == "")
    return {
        "at": moment,
        **{name: total[name] for name in TOTALS},
        "cleared_percent": percent(total["stored_fen"] - total["left_fen"], total["stored_fen"]),
        "sides": [
            {"side": side, "rows": [_slim(row) for row in found if row["side"] == side]}
            for side in SIDES
        ],
        "funnel": {
            "census": total["accounts"],
            **{step: total[step] for step in ("contacted", "asked", "paid")},
        },
        "forecast": _forecast(actor, moment, total["left_fen"], deadline),
        "effort": _effort(here, prices),
    }


def export(actor: Actor, outside: Counterparts, moment: datetime, form: str) -> bytes:
    """The ledger account by account, in CSV or XLSX; its columns sum to the board's totals. No
    names; the export is audited.
    """
    words = board_words()
    with Session.begin() as db:
        here = {"house": actor.hospital_id, "moment": moment}
        found = (dict(row) for row in db.execute(_ROWS, here).mappings())
        content = table(form, words["header"], _lines(found))
        facts = {"at": moment.isoformat(), "form": form}
        audit(
            db,
            actor.hospital_id,
            actor.name,
            "clearance exported",
            "clearance",
            facts,
            at=outside.now(),
        )
    return content


def remind(outside: Counterparts, hospital_id: UUID) -> int:
    """Remind finance 90, 60, 30 and 7 days before the deadline of what is left; 1 if it did."""
    now = outside.now()
    with Session.begin() as db:
        deadline = _deadline(db, hospital_id, today(now))
        if deadline is None or (days := (deadline - today(now)).days) not in ALARMS:
            return 0
        open_item(
            db,
            hospital_id=hospital_id,
            kind="CLEARANCE_DEADLINE",
            subject=f"clearance:{deadline}:{days}",
            at=now,
            note=f"距门诊预交金清退期限还有{days}天，请查看清退台账",
        )
    return 1


def _forecast(actor: Actor, moment: datetime, left_fen: int, deadline: date | None) -> Any:
    if deadline is None:
        return None
    since = moment - timedelta(days=60)
    found = rows(_BY_DAY, house=actor.hospital_id, moment=moment, since=since)
    by_day = {row["day"]: row["fen"] for row in found}
    ahead = forecast(left_fen, by_day, today(moment), deadline)
    return {
        "deadline": ahead.deadline,
        "per_day_fen": ahead.per_day_fen,
        "left_fen": ahead.left_fen,
        "done_on": ahead.done_on,
    }


def _effort(here: dict[str, Any], prices: list[int]) -> dict[str, Any]:
    (spent,) = rows(_EFFORT, **here)
    sms, bank, window = prices
    cost = -(-spent["sms"] * sms // 100) + spent["bank"] * bank + spent["at_window"] * window
    return {
        "sms": spent["sms"],
        "cost_fen": cost,
        "cost_per_refunded_yuan": cost_per_yuan(cost, spent["paid_fen"]),
    }


def _deadline(db: Db, hospital_id: UUID, day: date) -> date | None:
    home = db.get_one(Hospital, hospital_id)
    found = rules_of(home.rule_packs).find("outpatient_prepay.clearance_deadline", day)
    return found.value if found else None


def _slim(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("value", "accounts", "stored_fen", "left_fen", "paid_fen")}


def _lines(found: Iterator[dict[str, Any]]) -> Iterator[list[Cell]]:
    words = board_words()
    states, reasons = words["states"], words["reasons"]
    money = ("stored_fen", "held_fen", "under_way_fen", "paid_fen", "turned_over_fen")
    for row in found:
        yield [
            row["card_no"] or "",
            row["channel"],
            row["last_activity_on"].isoformat(),
            *(Decimal(row[name]) / 100 for name in money),
            states[row["state"]],
            reasons[row["reason"]] if row["reason"] else "",
        ]
