"""(b) The night: the daily bills of 10,000 inpatients with 30 lines each, with every message."""

import json
from datetime import date, timedelta
from time import perf_counter

from sqlalchemy import text

from config import today
from models.db import Session
from tests.benchmarks.ground import BenchHouse, Ground
from tests.benchmarks.load import fire, request
from tests.benchmarks.measure import Bench, Figure, Series, in_turns

PATIENTS, LINES = 10_000, 30
CODE = "NIGHT"
"""A hospital of its own: the bills of the others are not in the way."""

FULL_HOUSE = """
INSERT INTO patient (id, hospital_id, his_patient_no, sex, id_type)
SELECT gen_random_uuid(), %(h)s, 'N' || n, '', '99' FROM generate_series(1, %(patients)s) n;
INSERT INTO admission (id, hospital_id, patient_id, inpatient_no, state, ward, ward_name,
    department_code, department_name, bed, doctor_code, doctor_name, diagnosis_code,
    diagnosis_name, admitted_at, first_charged_on, leaving_way, version, identities)
SELECT gen_random_uuid(), %(h)s, id, his_patient_no, 'IN_HOUSE', 'W1', '', '', '', '', '', '', '',
    '', %(admitted_at)s, %(day)s, '', 1, '{}' FROM patient WHERE hospital_id = %(h)s;
INSERT INTO charge_line (occurred_on, hospital_id, admission_id, source_line_id, occurred_at,
    item_name, specification, unit, quantity, unit_price, amount_fen, category, insurance_level,
    national_code, hospital_code, department_code, department_name, doctor_code, doctor_name,
    source_event_id, received_at)
SELECT %(day)s, %(h)s, admission.id, inpatient_no || '-' || n, %(day)s + time '10:00' at time zone
    'Asia/Shanghai', '静脉输液', '', '次', n, 1, n * 100, '05', '01', '', '120100001', '0301',
    '普外科', 'D0001', '李示范', 'E', %(admitted_at)s
FROM admission, generate_series(1, %(lines)s) n WHERE hospital_id = %(h)s;
"""

BARE = """
INSERT INTO bare_bill
SELECT gen_random_uuid(), hospital_id, admission_id, occurred_on, 1,
    array_agg(seq ORDER BY occurred_at, seq), '{}'::bigint[], count(*), sum(amount_fen)
FROM charge_line WHERE hospital_id = %s AND occurred_on = %s
GROUP BY hospital_id, admission_id, occurred_on
"""

BARE_TABLE = """
CREATE TABLE IF NOT EXISTS bare_bill (id uuid PRIMARY KEY, hospital_id uuid, admission_id uuid,
    day date, version bigint, line_seqs bigint[], added_seqs bigint[], line_count bigint,
    total_fen bigint, UNIQUE (hospital_id, admission_id, day, version))
"""

FORGET = """
SET session_replication_role = replica;
DELETE FROM daily_bill WHERE hospital_id = %(h)s;
DELETE FROM state_move WHERE hospital_id = %(h)s;
DELETE FROM message WHERE hospital_id = %(h)s;
TRUNCATE procrastinate_jobs CASCADE;
"""


def run(ground: Ground) -> list[Figure]:
    """Seconds of the whole night, and of the bills alone, beside the bare statement."""
    _prepare(ground)
    ground.forget_peak()
    night = whole_night(ground)
    peak = ground.peak_mib()
    alone = bills_alone(ground)
    baseline = "one bare INSERT … SELECT … GROUP BY"
    what = f"all daily bills of {PATIENTS:,} × {LINES} lines"
    aim = {"aim": 1.5, "at_most": True}
    return [
        Figure("b", f"{what}: the statement", baseline, alone, "s", **aim),
        Figure(
            "b", f"{what}, told and queued, over HTTP", baseline, night, "s", **aim, peak_mib=peak
        ),
    ]


def whole_night(ground: Ground) -> Series:
    """Over HTTP, as finance makes up for a missed night."""
    _prepare(ground)
    return in_turns(lambda: _over_http(ground), lambda: _bare(ground), ground.rounds(5))


def bills_alone(ground: Ground) -> Series:
    """One statement and its commit."""
    _prepare(ground)
    return in_turns(lambda: _statement(ground), lambda: _bare(ground), ground.rounds(5))


def _over_http(ground: Ground) -> float:
    maker, body = ground.kept["maker"], json.dumps({"day": str(_day(ground))}).encode()
    target = "/v1/daily-bills/runs"
    headers = {"Content-Type": "application/json", **maker.credentials("POST", target, body)}
    took, answers = fire(ground.port, [request("POST", target, headers, body)], connections=1)
    assert json.loads(answers[0].partition(b"\r\n\r\n")[2]) == {"made": PATIENTS}
    _forget(ground)
    return took


def _statement(ground: Ground) -> float:
    house = ground.kept["night"]
    started = perf_counter()
    with Session.begin() as db:
        values = {"h": house.hospital_id, "day": _day(ground), "at": house.now()}
        made = db.scalar(text("SELECT count(*) FROM make_daily_bills(:h, :day, :at)"), values)
    took = perf_counter() - started
    assert made == PATIENTS
    _forget(ground)
    return took


def _bare(ground: Ground) -> float:
    with ground.sql() as db:
        started = perf_counter()
        made = db.execute(BARE, (ground.kept["night"].hospital_id, _day(ground)))
        db.commit()
        took = perf_counter() - started
        assert made.rowcount == PATIENTS
        db.execute("TRUNCATE bare_bill")
    return took


def _prepare(ground: Ground) -> None:
    if "night" in ground.kept:
        return
    house = ground.kept["night"] = BenchHouse(
        None,  # type: ignore[arg-type]
        ground.url,
        ground.house.now,
        None,
        code=CODE,
    )
    ground.kept["maker"] = house.staff("FINANCE_MAKER", kind="DESK", ward="")
    values = {
        "h": house.hospital_id,
        "patients": PATIENTS,
        "lines": LINES,
        "day": _day(ground),
        "admitted_at": house.now() - timedelta(days=3),
    }
    with ground.sql() as db:
        for statement in (*FULL_HOUSE.split(";\n")[:-1], BARE_TABLE):
            db.execute(statement, values if "%(" in statement else None)
    _vacuum(ground)


def _day(ground: Ground) -> date:
    return today(ground.house.now()) - timedelta(days=1)


def _forget(ground: Ground) -> None:
    with ground.sql() as db:
        for statement in FORGET.split(";\n")[:-1]:
            values = {"h": ground.kept["night"].hospital_id}
            db.execute(statement, values if "%(" in statement else None)
    _vacuum(ground)


def _vacuum(ground: Ground) -> None:
    with ground.sql() as db:
        db.autocommit = True
        tables = "charge_line, daily_bill, state_move, message, procrastinate_jobs, admission"
        db.execute(f"VACUUM ANALYZE {tables}")


BENCH = Bench("b", "the daily bills of a night", run)
