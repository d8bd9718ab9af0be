"""(p) The list of balances for the treasury, beside one bare select of the same accounts."""

import os
from time import perf_counter
from uuid import UUID

from tests.benchmarks.ground import Ground
from tests.benchmarks.measure import Bench, Figure, in_turns
from tests.models.stored_money import a_hospital

ACCOUNTS = 1_000_000 if os.environ.get("FULL") else 50_000

FILL = """
CREATE TEMP TABLE made AS
SELECT gen_random_uuid() AS id, n FROM generate_series(1, %(accounts)s) n;
INSERT INTO patient (id, hospital_id, his_patient_no, sex, id_type)
VALUES (%(h)s, %(h)s, 'turnover', '', '99');
INSERT INTO prepay_account (id, hospital_id, patient_id, source, card_no, last_activity_on)
SELECT id, %(h)s, %(h)s, 'CENSUS', 'B' || n, '2020-01-01' FROM made;
INSERT INTO account (id, hospital_id, kind, owner, balance_fen)
SELECT id, %(h)s, 'OUTPATIENT_PREPAY', id::text, -100 FROM made;
INSERT INTO ledger_transaction (id, hospital_id, key, kind, why, by, at, content_hash)
VALUES (%(h)s, %(h)s, 'bench', 'OPENING', 'bench', 'bench', now(), 'bench');
INSERT INTO lot (
    id, hospital_id, account_id, transaction_id, channel, paid_at, amount_fen, paid_fen)
SELECT gen_random_uuid(), %(h)s, id, %(h)s, 'CASH', paid_at, fen, fen
FROM made, LATERAL (VALUES (timestamptz '2020-01-01', CASE WHEN n %% 10 = 0 THEN 60 ELSE 100 END),
    ('2024-01-01', CASE WHEN n %% 10 = 0 THEN 40 END)) AS paid(paid_at, fen)
WHERE fen IS NOT NULL;
INSERT INTO unreturnable_mark (
    id, hospital_id, account_id, reason, risk_note, found_on, marked_at, marked_by, lifted_why)
SELECT gen_random_uuid(), %(h)s, id, 'NO_CONTACT_DATA', '', '2021-01-01', now(), 'bench', ''
FROM made
"""
LIST = "SELECT count(*), sum(by_lot_fen) FROM turnover_list(%s, '2023-01-01')"
BARE = """
SELECT count(*), sum(-a.balance_fen) FROM unreturnable_mark m
JOIN account a ON a.hospital_id = m.hospital_id AND a.kind = 'OUTPATIENT_PREPAY'
    AND a.owner = m.account_id::text
WHERE m.hospital_id = %s AND m.found_on < '2023-01-01'
"""


def run(ground: Ground) -> list[Figure]:
    """Seconds until both have looked at every account; all are unreturnable and old enough, but one
    in ten holds forty fen that are not.
    """
    house = filled(ground)
    old_fen = ACCOUNTS * 100 - ACCOUNTS // 10 * 40
    return [
        Figure(
            "p",
            f"the turnover list of {ACCOUNTS:,} accounts, under three readings",
            "one bare select of the marked accounts' balances",
            in_turns(
                lambda: asked(ground, LIST, house, old_fen),
                lambda: asked(ground, BARE, house, ACCOUNTS * 100),
                ground.rounds(5),
            ),
            "s",
            aim=2,
            at_most=True,
        )
    ]


def filled(ground: Ground) -> UUID:
    """A hospital with so many marked accounts of one lot or two. The constraint triggers are left
    out: they would cost minutes and are not what is measured.
    """
    house = a_hospital()
    with ground.sql() as sql:
        sql.autocommit = True
        sql.execute("SET session_replication_role = replica")
        for statement in FILL.split(";\n"):
            sql.execute(statement, {"h": house, "accounts": ACCOUNTS})
        sql.execute("VACUUM ANALYZE prepay_account, account, lot, unreturnable_mark")
    return house


def asked(ground: Ground, query: str, house: UUID, fen: int) -> float:
    """Seconds of one statement over a connection that is open; it found every account's money."""
    with ground.sql() as sql:
        began = perf_counter()
        found = sql.execute(query, (house,)).fetchone()
        took = perf_counter() - began
    assert found == (ACCOUNTS, fen)
    return took


BENCH = Bench("p", "the turnover list", run)
