"""The compliance list: every outpatient top-up that was paid after the stop, and on what ground
(GZ-6)."""

from datetime import datetime, time
from typing import Any

from config import SHANGHAI, today
from models.db import ReadSession, rows
from models.hospital import Hospital
from policies.access import Actor
from policies.packs import rules_of

STOP = "outpatient_prepay.ordinary_top_up"
AT_MOST = 1000

_TOP_UPS = """
    SELECT o.id AS order_id, NULL::uuid AS import_id, NULL::int AS row_no, o.paid_at, o.amount_fen,
           o.route, c.filing_id,
           CASE WHEN c.filing_id IS NOT NULL THEN 'FILED'
                WHEN c.rules->>'answer' LIKE 'ALLOWED+%' THEN 'ADVISED'
                ELSE 'NONE' END AS ground
    FROM payment_order o
    LEFT JOIN classification c ON c.subject_id = o.id
    WHERE o.hospital_id = :hospital_id AND o.purpose = 'TOP_UP' AND o.state = 'PAID'
      AND o.paid_at >= :since
    UNION ALL
    SELECT NULL, t.import_id, t.row_no, t.paid_at, t.amount_fen, t.channel, NULL, 'NONE'
    FROM old_top_up t JOIN census_import i ON i.id = t.import_id AND i.state = 'IMPORTED'
    WHERE t.hospital_id = :hospital_id AND t.paid_at >= :since
"""
"""Top-ups that were taken here, and those of old cards."""

_LISTED = f"SELECT * FROM ({_TOP_UPS}) t ORDER BY paid_at, order_id, row_no LIMIT {AT_MOST}"  # noqa: S608 - ours
_SUMMED = f"""
    SELECT ground, count(*) AS top_ups, sum(amount_fen)::bigint AS fen
    FROM ({_TOP_UPS}) t GROUP BY ground ORDER BY ground
"""  # noqa: S608 - ours


def top_ups_after_stop(actor: Actor) -> dict[str, Any]:
    """The hospital's top-ups from its first stop day on, oldest first (the first 1,000), each with
    the stop that held on its day; ``by_ground`` counts them all.

    FILED: under an exception. ADVISED: at an institution that the rules only advise. NONE: neither,
    which is what a supervisor looks for.
    """
    with ReadSession() as db:
        rules = rules_of(db.get_one(Hospital, actor.hospital_id).rule_packs)
    stops = [value.valid_from for pack in rules.packs for value in pack.values.get(STOP, ())]
    if not stops:
        return {"since": None, "by_ground": [], "top_ups": []}
    since = datetime.combine(min(stops), time(), SHANGHAI)
    which = {"hospital_id": actor.hospital_id, "since": since}
    found = rows(_LISTED, **which)
    for row in found:
        stopped = rules.find(STOP, today(row["paid_at"]))
        row["after"] = stopped.valid_from if stopped else min(stops)
    return {"since": min(stops), "by_ground": rows(_SUMMED, **which), "top_ups": found}
