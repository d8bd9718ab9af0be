"""A big hospital's night: 2,000 inpatients with 30 lines each, billed and told in one go."""

from datetime import date
from time import perf_counter

from sqlalchemy import Engine, text

from models.db import Session, at_once
from tests.his_day import HisDay, line, shanghai

PATIENTS, LINES = 2000, 30

FULL_HOUSE = """
    INSERT INTO patient (id, hospital_id, his_patient_no, sex, id_type)
    SELECT gen_random_uuid(), :h, 'BULK' || n, '', '99' FROM generate_series(1, :patients) n;
    INSERT INTO admission (id, hospital_id, patient_id, inpatient_no, state, ward, ward_name,
        department_code, department_name, bed, doctor_code, doctor_name, diagnosis_code,
        diagnosis_name, admitted_at, leaving_way, version, identities)
    SELECT gen_random_uuid(), :h, id, his_patient_no, 'IN_HOUSE', 'W1', '', '', '', '', '', '', '',
        '', :admitted_at, '', 1, '{}' FROM patient WHERE hospital_id = :h;
    INSERT INTO charge_line (occurred_on, hospital_id, admission_id, source_line_id, occurred_at,
        item_name, specification, unit, quantity, unit_price, amount_fen, category, insurance_level,
        national_code, hospital_code, department_code, department_name, doctor_code, doctor_name,
        source_event_id, received_at)
    SELECT '2025-07-03', :h, admission.id, inpatient_no || '-' || n, '2025-07-03 10:00+08',
        '静脉输液', '', '次', n, 1, n * 100, '05', '01', '', '', '', '', '', '', 'E', :admitted_at
    FROM admission, generate_series(1, :lines) n WHERE hospital_id = :h;
"""


def full_house(patients: int, lines: int) -> HisDay:
    """A hospital on the morning after its inpatients had so many charges each."""
    day = HisDay(shanghai(2025, 7, 1))
    values = {"h": day.hospital_id, "admitted_at": day.at, "patients": patients, "lines": lines}
    with Session.begin() as db:
        for statement in FULL_HOUSE.split(";\n")[:-1]:
            db.execute(text(statement), values)
    day.morning_after(date(2025, 7, 3))
    return day


def test_the_night_of_a_big_hospital_takes_seconds(engine: Engine) -> None:
    day = full_house(PATIENTS, LINES)
    start = perf_counter()
    assert day.make_bills(date(2025, 7, 3)) == PATIENTS
    assert perf_counter() - start < 30  # 2 s on two free cores; row by row it would be minutes
    assert (day.count("daily_bill"), day.count("message")) == (PATIENTS, PATIENTS)
    assert sum(bill.total_fen for bill in day.bills()) == PATIENTS * 46_500 == day.charged_fen()
    start = perf_counter()
    number = "BULK1"
    assert day.charge(*[line(number) for _ in range(1000)]) == ["ACCEPTED"] * 1000
    assert perf_counter() - start < 10


def test_a_big_hospital_among_small_ones_is_not_planned_like_them(engine: Engine) -> None:
    for _ in range(60):
        full_house(3, 5).make_bills(date(2025, 7, 3))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("ANALYZE"))
    day = full_house(PATIENTS, LINES)
    start = perf_counter()
    assert day.make_bills(date(2025, 7, 3)) == PATIENTS
    assert perf_counter() - start < 15  # 0.2 s; 38 with all lines gathered anew for each stay


def test_the_bill_is_not_planned_anew_for_every_month_that_ever_was(engine: Engine) -> None:
    (settings,) = at_once("SELECT proconfig FROM pg_proc WHERE proname = 'daily_bill_read'")
    assert settings == (["plan_cache_mode=force_generic_plan"],)
