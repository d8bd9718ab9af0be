"""Payments that hold money and whose way back closes soon: seen before it is too late (GZ-7)."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from models.db import ReadSession, rows
from models.ledger import AccountKind
from payments.refund_facts import routes_of
from policies.access import Actor
from policies.expiry import WINDOWS, days_left
from policies.refund_plan import Routes

PAGE = 500


_OPEN = """
SELECT l.id, a.owner AS account_id, l.channel, l.paid_at,
       l.amount_fen - l.spent_fen - l.refunded_fen AS unused_fen
FROM lot l JOIN account a ON a.id = l.account_id
WHERE l.hospital_id = :hospital_id AND a.kind = :kind AND l.channel = :channel
  AND l.spent_fen + l.refunded_fen < l.amount_fen AND l.channel_transaction IS NOT NULL
  AND l.paid_at > :closed_before AND l.paid_at <= :closes_before
"""
_PAGE = f"""{_OPEN} AND (l.paid_at, l.id) > (:after_at, :after_id)
ORDER BY l.paid_at, l.id LIMIT {PAGE}"""
_SUM = f"""
SELECT count(*) AS payments, coalesce(sum(unused_fen), 0)::bigint AS unused_fen
FROM ({_OPEN}) open"""  # noqa: S608  both parts stand here, values are bound
_ASKED = """
SELECT count(*) AS legs, coalesce(sum(amount_fen), 0)::bigint AS asked_fen FROM refund_leg
WHERE hospital_id = :hospital_id AND state = 'PLANNED' AND closes_at > :now AND closes_at <= :until
"""
_SAVED = """
SELECT coalesce(sum(amount_fen), 0)::bigint AS fen FROM refund_leg
WHERE hospital_id = :hospital_id AND state = 'PAID' AND closes_at IS NOT NULL
  AND paid_at > CAST(:now AS timestamptz) - interval '30 days'
  AND closes_at <= paid_at + interval '30 days'
"""
_FIRST = ("-infinity", UUID(int=0))


def radar(
    actor: Actor, now: datetime, *, days: int, after_at: datetime | None, after_id: UUID | None
) -> dict[str, Any]:
    """What closes within so many days: sums for each warning, and the payments, soonest first.

    A refund that was asked for has left its payment and is counted as asked. ``saved_fen``: what
    came back the way it came in the last thirty days with less than thirty days to go.
    """
    with ReadSession() as db:
        routes = routes_of(db, actor.hospital_id)
    told = {"hospital_id": actor.hospital_id, "now": now}
    after = {"after_at": after_at or _FIRST[0], "after_id": after_id or _FIRST[1]}
    payments = [
        {**row, "closes_at": closes, "days": days_left(closes, now)}
        for channel, within in _windows(routes)
        for row in rows(_PAGE, **_between(actor, channel, within, now, days), **after)
        for closes in [row["paid_at"] + within]
    ]
    soonest = sorted(payments, key=lambda row: (row["paid_at"], row["id"]))[:PAGE]
    return {
        "windows": [_window(actor, routes, now, window) for window in WINDOWS],
        "saved_fen": rows(_SAVED, **told)[0]["fen"],
        "payments": soonest,
    }


def _window(actor: Actor, routes: Routes, now: datetime, days: int) -> dict[str, Any]:
    sums = [
        rows(_SUM, **_between(actor, channel, within, now, days))[0]
        for channel, within in _windows(routes)
    ]
    until = now + timedelta(days=days)
    asked = rows(_ASKED, hospital_id=actor.hospital_id, now=now, until=until)[0]
    return {
        "days": days,
        "payments": sum(row["payments"] for row in sums),
        "unused_fen": sum(row["unused_fen"] for row in sums),
        **asked,
    }


def _windows(routes: Routes) -> list[tuple[str, timedelta]]:
    """Channels whose payments go back for a time only, and for how long."""
    ways = routes.ways_back.items()
    return [(channel, way.within - routes.margin) for channel, way in ways if way.within]


def _between(
    actor: Actor, channel: str, within: timedelta, now: datetime, days: int
) -> dict[str, Any]:
    return {
        "hospital_id": actor.hospital_id,
        "kind": AccountKind.OUTPATIENT_PREPAY,
        "channel": channel,
        "closed_before": now - within,
        "closes_before": now - within + timedelta(days=days),
    }
