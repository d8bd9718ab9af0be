"""Finance's morning: each day is compared with WeChat Pay's bill, and read with its differences."""

from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from config import SHANGHAI, today
from journeys.counterparts import Counterparts
from models.db import ReadSession, rows
from models.reconciliation import COUNTS, DayState, ReconciledDay
from payments.reconciliation import first_day, reconcile
from policies.access import Actor
from policies.outcome import NoAnswer

READY_AT = time(10)
"""From then on there is the bill of the day before (WeChat Pay)."""

KEPT = timedelta(days=90)
"""Bills older than three months are not given any more."""

LOOKED_AT_AGAIN = timedelta(days=14)
"""A day that differs is compared once more each day so long: by then it may agree."""

SILENT_AT_MOST = 3
"""So many bills are asked for in vain before the rest waits for the next hour."""

DAYS_SHOWN = 100
"""Days of a list, the newest."""

SHOWN = 500
"""Differences of a day in a list; ``differences_total`` counts all."""


def reconcile_wechat(outside: Counterparts, hospital_id: UUID) -> int:
    """Compare every day that is due, those missed before too; how many were compared."""
    silent = compared = 0
    for day in due_days(hospital_id, outside.now()):
        try:
            state = reconcile(hospital_id, outside.wechat_pay, day, outside.now)
        except NoAnswer:
            silent += 1
            if silent == SILENT_AT_MOST:
                break
            continue
        compared += state != DayState.UNKNOWN
    return compared


def due_days(hospital_id: UUID, now: datetime) -> list[date]:
    """Days without a comparison up to the newest bill, and those that differed when looked at on
    an earlier day. Who was not asked for longest comes first: one bad bill holds up no other.
    """
    last = today(now) - timedelta(days=1 if now.astimezone(SHANGHAI).time() >= READY_AT else 2)
    with ReadSession() as db:
        mine = select(ReconciledDay).where(ReconciledDay.hospital_id == hospital_id)
        known = {each.day: each for each in db.scalars(mine)}
    first = max(min([last, *known, first_day(hospital_id) or last]), last - KEPT)
    days = [first + timedelta(days=more) for more in range((last - first).days + 1)]
    return sorted(
        (day for day in days if _is_due(known.get(day), now)),
        key=lambda day: (tried.timestamp() if (tried := _tried(known.get(day))) else 0, day),
    )


def _is_due(known: ReconciledDay | None, now: datetime) -> bool:
    if known is None or known.state == DayState.UNKNOWN:
        return True
    again = known.state == DayState.DIFFERS and today(now) - known.day <= LOOKED_AT_AGAIN
    return again and known.tried_at is not None and today(known.tried_at) < today(now)


def _tried(known: ReconciledDay | None) -> datetime | None:
    return known.tried_at if known else None


_DAYS = """
SELECT d.*, (SELECT count(*) FROM reconciliation_difference x
             WHERE x.hospital_id = d.hospital_id AND x.day_id = d.id AND x.state = 'OPEN')
       AS differences_total
FROM reconciled_day d
WHERE d.hospital_id = :hospital AND d.day BETWEEN :since AND :until
ORDER BY d.day DESC LIMIT :most
"""

_DIFFERENCES = """
SELECT day_id, kind, number, state, there_fen, here_fen, found_at, gone_at FROM (
  SELECT x.*, row_number() OVER (PARTITION BY x.day_id ORDER BY x.state = 'GONE', x.id) AS place
  FROM reconciliation_difference x
  WHERE x.hospital_id = :hospital AND x.day_id = ANY(:days)) ranked
WHERE place <= :shown
ORDER BY day_id, place
"""


def list_days(actor: Actor, since: date, until: date) -> list[dict[str, Any]]:
    """The days in between, newest first, 100 at most, with both sides' sums and differences."""
    here = actor.hospital_id
    days = rows(_DAYS, hospital=here, since=since, until=until, most=DAYS_SHOWN)
    of_day: dict[UUID, list[dict[str, Any]]] = {day["id"]: [] for day in days}
    for each in rows(_DIFFERENCES, hospital=here, days=list(of_day), shown=SHOWN):
        of_day[each.pop("day_id")].append(each)
    shown = ("day", "channel", "state", "compared_at", "answer", "differences_total", *COUNTS)
    return [
        {**{name: day[name] for name in shown}, "differences": of_day[day["id"]]} for day in days
    ]
