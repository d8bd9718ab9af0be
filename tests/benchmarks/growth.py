"""(g) Growth: charges, the night and reading again, with ten million charge lines already there.

The old lines lie in the same hospitals, on stays that were discharged, over two years of months.
"""

from datetime import timedelta
from statistics import median
from typing import Any

from psycopg import Connection

from models.charges import make_months
from models.db import Session
from tests.benchmarks import charges, night, reading
from tests.benchmarks.ground import Ground
from tests.benchmarks.measure import Bench, Figure, Series, in_turns

OLD_LINES, OLD_STAYS, MONTHS = 10_000_000, 20_000, 24
PORTION = 500_000

OLD_STAYS_SQL = """
INSERT INTO patient (id, hospital_id, his_patient_no, sex, id_type)
SELECT gen_random_uuid(), %(h)s, 'OLD' || n, '', '99' FROM generate_series(1, %(stays)s) n;
INSERT INTO admission (id, hospital_id, patient_id, inpatient_no, state, ward, ward_name,
    department_code, department_name, bed, doctor_code, doctor_name, diagnosis_code,
    diagnosis_name, admitted_at, ordered_at, left_at, leaving_way, version, identities)
SELECT gen_random_uuid(), %(h)s, id, his_patient_no, 'SETTLED', 'W1', '', '', '', '', '', '', '',
    '', came, came + interval '8 days', came + interval '8 days', '1', 1, '{}'
FROM (SELECT *, %(now)s - (substr(his_patient_no, 4)::int %% %(months)s + 1) * interval '1 month'
        AS came FROM patient WHERE hospital_id = %(h)s AND his_patient_no LIKE 'OLD%%') old;
"""

PLACES = """
CREATE TEMPORARY TABLE old_stay AS
SELECT row_number() OVER (ORDER BY admitted_at, id) - 1 AS place, id, hospital_id, admitted_at
FROM admission WHERE inpatient_no LIKE 'OLD%';
CREATE UNIQUE INDEX ON old_stay (place);
ANALYZE old_stay;
"""

OLD_PORTION = """
WITH line AS (
    SELECT n, id AS admission_id, hospital_id,
        admitted_at + n %% %(each)s * 8 / %(each)s * interval '1 day' AS at
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
    JOIN old_stay ON old_stay.place = n / %(each)s
), source AS (
    INSERT INTO charge_source (hospital_id, source_line_id, occurred_on, seq)
    SELECT hospital_id, 'A' || lpad(n::text, 11, '0'), (at AT TIME ZONE 'Asia/Shanghai')::date, n
    FROM line
)
INSERT INTO charge_line (occurred_on, seq, hospital_id, admission_id, source_line_id, occurred_at,
    item_name, specification, unit, quantity, unit_price, amount_fen, category, insurance_level,
    national_code, hospital_code, department_code, department_name, doctor_code, doctor_name,
    source_event_id, received_at)
SELECT (at AT TIME ZONE 'Asia/Shanghai')::date, n, hospital_id, admission_id,
    'A' || lpad(n::text, 11, '0'), at, '静脉输液', '', '次', 1, 85.46, 8546, '05', '01',
    'ZA04AAG0117010102001', 'YP00117', '0301', '普外科', 'D0001', '李示范', 'E', at FROM line
"""


def run(ground: Ground) -> list[Figure]:
    """Each of the three before and after; a ratio of 1 means that nothing became slower."""
    empty = _measured(ground)
    grow(ground)
    grown = _measured(ground)
    return [_compared(name, empty[name], grown[name]) for name in empty]


def grow(ground: Ground) -> None:
    """Ten million lines, and the keys by which they would be known again."""
    began = ground.house.now() - timedelta(days=31 * (MONTHS + 1))
    with Session.begin() as db:
        make_months(db, began.date(), MONTHS + 3)
    with ground.sql() as db:
        db.autocommit = True
        db.execute("ALTER SYSTEM SET max_wal_size = '8GB'")
        db.execute("SELECT pg_reload_conf()")
        db.execute("SET session_replication_role = replica")  # the triggers would double the time
        for house in (ground.house, ground.kept["night"]):
            values = {"h": house.hospital_id, "now": house.now(), "months": MONTHS}
            for statement in OLD_STAYS_SQL.split(";\n")[:-1]:
                db.execute(statement, values | {"stays": OLD_STAYS // 2})
        db.execute(PLACES)
        for first in range(0, OLD_LINES, PORTION):
            _portion(db, first)
        past = "SELECT setval('charge_line_seq', greatest(%s, nextval('charge_line_seq')))"
        db.execute(past, (OLD_LINES,))
        db.execute("VACUUM ANALYZE")
        db.execute("CHECKPOINT")


def _portion(db: Connection[Any], first: int) -> None:
    last, each = first + PORTION - 1, OLD_LINES // OLD_STAYS
    db.execute(OLD_PORTION, {"first": first, "last": last, "each": each})


def _measured(ground: Ground) -> dict[str, Series]:
    phones = reading.prepare(ground)
    rounds = ground.rounds(5)
    return {
        "(a) charge lines, of raw COPY": charges.lines_a_second(ground),
        "(b) the night's statement, of the bare one": night.bills_alone(ground),
        "(c) daily bills read, of the bare route": in_turns(
            lambda: reading.read(ground, phones), ground.bare, rounds
        ),
    }


def _compared(name: str, empty: Series, grown: Series) -> Figure:
    """Each beside its own baseline of the same minute: minutes lie between empty and grown."""
    slower = name.startswith("(b)")
    return Figure(
        "g",
        f"{name}, with {OLD_LINES:,} lines stored",
        "with empty tables",
        Series(grown.ratios, [median(empty.ratios)] * len(grown.ratios)),
        "",
        aim=1.15 if slower else 0.85,
        at_most=slower,
    )


BENCH = Bench("g", "the same with ten million charge lines stored", run)
