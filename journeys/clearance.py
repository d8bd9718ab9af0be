"""The clearance ledger (清退台账, GZ-7): every account that still holds money, by channel and
contact.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import text

from models.db import ReadSession
from policies.access import Actor

_TOTAL = text(
    """
    SELECT count(*) AS accounts, coalesce(sum(-a.balance_fen), 0)::bigint AS total_fen,
           count(*) FILTER (WHERE q.phone_index IS NULL) AS no_contact
    FROM prepay_account p
    JOIN account a ON a.hospital_id = p.hospital_id AND a.kind = 'OUTPATIENT_PREPAY'
        AND a.owner = p.id::text AND a.balance_fen < 0
    JOIN patient q ON q.id = p.patient_id
    WHERE p.hospital_id = :house
    """
)

_BY_CHANNEL = text(
    """
    SELECT l.channel, count(DISTINCT l.account_id) AS accounts,
           sum(l.amount_fen - l.spent_fen - l.refunded_fen)::bigint AS fen
    FROM lot l JOIN account a ON a.id = l.account_id
    WHERE a.hospital_id = :house AND a.kind = 'OUTPATIENT_PREPAY'
      AND l.spent_fen + l.refunded_fen < l.amount_fen
    GROUP BY l.channel ORDER BY l.channel
    """
)

_ROWS = text(
    """
    SELECT p.id, p.patient_id, p.source, p.card_no, p.opened_on, p.last_activity_on,
           -a.balance_fen AS held_fen, q.phone_index IS NOT NULL AS has_phone,
           (SELECT jsonb_agg(jsonb_build_object('channel', s.channel, 'fen', s.fen)
                             ORDER BY s.channel)
            FROM (SELECT l.channel, sum(l.amount_fen - l.spent_fen - l.refunded_fen) AS fen
                  FROM lot l WHERE l.account_id = a.id
                    AND l.spent_fen + l.refunded_fen < l.amount_fen
                  GROUP BY l.channel) s) AS by_channel
    FROM prepay_account p
    JOIN account a ON a.hospital_id = p.hospital_id AND a.kind = 'OUTPATIENT_PREPAY'
        AND a.owner = p.id::text AND a.balance_fen < 0
    JOIN patient q ON q.id = p.patient_id
    WHERE p.hospital_id = :house AND p.id > :after ORDER BY p.id LIMIT :limit
    """
)

NONE = UUID(int=0)


def clearance_total(actor: Actor) -> dict[str, Any]:
    """All outpatient prepayment that the hospital holds: accounts with money, by channel, and how
    many holders cannot be called (GZ-3, GZ-7 T1).
    """
    here = {"house": actor.hospital_id}
    with ReadSession() as db:
        total = db.execute(_TOTAL, here).mappings().one()
        return {
            **total,
            "by_channel": [dict(row) for row in db.execute(_BY_CHANNEL, here).mappings()],
        }


def clearance_rows(actor: Actor, after: UUID | None, limit: int) -> list[dict[str, Any]]:
    """The rows of the ledger in the order of their ids, after one of them."""
    told = {"house": actor.hospital_id, "after": after or NONE, "limit": limit}
    with ReadSession() as db:
        return [dict(row) for row in db.execute(_ROWS, told).mappings()]
