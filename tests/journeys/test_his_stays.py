"""Admissions, changes and discharges of the HIS: each told once, in whatever order they arrive."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from uuid import UUID

import pytest
from sqlalchemy import Engine, select

from journeys import his_admission, his_discharge
from models.admission import Admission, AdmissionState, AdmissionStep
from models.db import Session, new_id, rows
from models.machine import StateMove
from models.patient import Patient
from models.sealing import fingerprint
from models.settlement import Settlement, SettlementState
from policies.refusals import Conflict, NotFound, Refused
from tests.his_day import HisDay, line, shanghai
from tests.stage import id_number


@pytest.fixture
def day(engine: Engine) -> HisDay:
    return HisDay()


def stay_now(told: dict | Admission) -> Admission:
    admission_id = told.id if isinstance(told, Admission) else UUID(told["admission_id"])
    with Session() as db:
        return db.get_one(Admission, admission_id)


def patient_now(told: dict) -> Patient:
    with Session() as db:
        return db.get_one(Patient, UUID(told["patient_id"]))


def steps(stay: Admission) -> list[str]:
    query = select(AdmissionStep).where(AdmissionStep.admission_id == stay.id)
    with Session() as db:
        found = db.scalars(query.order_by(AdmissionStep.at, AdmissionStep.id)).all()
        return [f"{step.step} {step.by} {step.channel}" for step in found]


def test_an_admission_makes_the_patient_and_a_slip(day: HisDay) -> None:
    slip = day.slip()
    told = his_admission.announce(day.his, slip, day.now)
    stay, patient = stay_now(told), patient_now(told)
    assert told["state"] == stay.state == AdmissionState.SLIP
    assert (stay.inpatient_no, stay.ward, stay.diagnosis_name) == (
        slip["inpatient_no"],
        "W1",
        "急性阑尾炎",
    )
    assert (patient.name, patient.id_no, patient.id_type) == (
        "张小丰",
        slip["patient"]["id_no"],
        "01",
    )
    assert patient.born_on == date(1975, 3, 9)
    assert steps(stay) == ["slip his:HIS HIS"]
    with Session() as db:
        (move,) = db.scalars(select(StateMove).where(StateMove.entity_id == stay.id))
        (found,) = Patient.named(db, day.hospital_id, patient.id_no, patient.name)
    assert found.id == patient.id
    assert (move.here, move.there) == (None, "SLIP")


def test_the_same_admission_again_gets_its_first_answer(day: HisDay) -> None:
    slip = day.slip()
    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(lambda _: his_admission.announce(day.his, slip, day.now), range(6)))
    assert all(answer == told[0] for answer in told)
    assert (day.count("admission"), day.count("patient"), day.count("his_event")) == (1, 1, 1)


def test_the_stored_trace_of_an_event_cannot_be_made_without_our_key(day: HisDay) -> None:
    """Or whoever has a dump would try identity numbers until the hash fits."""
    slip = day.slip()
    his_admission.announce(day.his, slip, day.now)
    (event,) = rows("SELECT body_hash FROM his_event WHERE hospital_id = :h", h=day.hospital_id)
    said = json.dumps(slip, sort_keys=True, default=str).encode()
    assert bytes(event["body_hash"]) == fingerprint(said) != hashlib.sha256(said).digest()


def test_a_known_stay_is_not_announced_twice(day: HisDay) -> None:
    slip = day.slip()
    his_admission.announce(day.his, slip, day.now)
    with pytest.raises(Conflict, match="ADMISSION_KNOWN"):
        his_admission.announce(day.his, slip | {"source_event_id": "another"}, day.now)
    assert (day.count("admission"), day.count("his_event")) == (1, 1)


def test_somebody_unknown_is_admitted_and_recognised_later(day: HisDay) -> None:
    slip = day.slip(patient={"his_patient_no": "UNKNOWN-7"})
    told = his_admission.announce(day.his, slip, day.now)
    nobody = patient_now(told)
    assert (nobody.name, nobody.id_no, nobody.id_type) == ("", "", "99")
    known = {"his_patient_no": "UNKNOWN-7", "name": "周明月", "id_no": id_number(77).lower()}
    his_admission.change(
        day.his,
        day.event(inpatient_no=slip["inpatient_no"], occurred_at=day.at, patient=known),
        day.now,
    )
    somebody = patient_now(told)
    assert (somebody.id, somebody.name, somebody.id_no) == (nobody.id, "周明月", id_number(77))


def test_a_stay_moves_to_the_patient_it_turned_out_to_be(day: HisDay) -> None:
    slip = day.slip(patient={"his_patient_no": "UNKNOWN-8"})
    before = his_admission.announce(day.his, slip, day.now)
    after = his_admission.change(
        day.his,
        day.event(
            inpatient_no=slip["inpatient_no"],
            occurred_at=day.at,
            patient={"his_patient_no": "P-known", "name": "周明月"},
        ),
        day.now,
    )
    assert after["changed"] == ["patient_id"]
    assert after["patient_id"] != before["patient_id"]
    assert patient_now(after).name == "周明月"


def test_what_the_his_does_not_say_is_kept(day: HisDay) -> None:
    first = day.slip()
    told = his_admission.announce(day.his, first, day.now)
    second = day.slip(patient={"his_patient_no": first["patient"]["his_patient_no"]})
    again = his_admission.announce(day.his, second, day.now)
    assert again["patient_id"] == told["patient_id"]
    assert patient_now(told).name == "张小丰"
    assert patient_now(told).phone == first["patient"]["phone"]


def test_a_wrong_identity_number_is_refused_and_may_be_left_out(day: HisDay) -> None:
    wrong = id_number(5)[:-1] + ("0" if id_number(5)[-1] != "0" else "1")
    slip = day.slip(patient={"his_patient_no": "P-wrong", "name": "张小丰", "id_no": wrong})
    with pytest.raises(Refused, match="ID_NUMBER_INVALID"):
        his_admission.announce(day.his, slip, day.now)
    assert (day.count("patient"), day.count("his_event")) == (0, 0)
    slip["patient"].pop("id_no")
    assert his_admission.announce(day.his, slip, day.now)["state"] == "SLIP"


def test_no_identity_lies_in_the_clear(day: HisDay) -> None:
    slip = day.slip()
    his_admission.announce(day.his, slip, day.now)
    for table in ("patient", "admission", "admission_step", "his_event"):
        sql = f"SELECT t::text AS row FROM {table} t WHERE hospital_id = :h"  # noqa: S608
        stored = rows(sql, h=day.hospital_id)
        for secret in ("张小丰", slip["patient"]["id_no"], slip["patient"]["phone"]):
            assert all(secret not in line["row"] for line in stored)


def test_a_change_is_taken_over_and_leaves_a_trail(day: HisDay) -> None:
    stay = day.admit()
    told = his_admission.change(
        day.his,
        day.event(
            inpatient_no=stay.inpatient_no,
            occurred_at=day.at,
            ward="W2",
            bed="3",
            doctor_name="李示范",
            diagnosis_code="K35.900",
        ),
        day.now,
    )
    assert told["changed"] == ["bed", "diagnosis_code", "ward"]
    assert told["outdated"] == []
    after = stay_now(stay)
    assert (after.ward, after.bed, after.diagnosis_code) == ("W2", "3", "K35.900")
    assert steps(stay) == ["slip his:HIS HIS", "change his:HIS HIS"]
    with Session() as db:
        facts = db.scalars(
            select(AdmissionStep.facts).where(
                AdmissionStep.admission_id == stay.id, AdmissionStep.step == "change"
            )
        ).one()
    assert facts["changed"]["ward"] == ["W1", "W2"]


def test_an_overtaken_change_does_not_bring_the_old_ward_back(day: HisDay) -> None:
    stay = day.admit()
    newer = day.event(
        inpatient_no=stay.inpatient_no, occurred_at=shanghai(2025, 7, 3, 11), ward="W3"
    )
    older = day.event(
        inpatient_no=stay.inpatient_no, occurred_at=shanghai(2025, 7, 3, 9), ward="W2", bed="5"
    )
    his_admission.change(day.his, newer, day.now)
    told = his_admission.change(day.his, older, day.now)
    assert (told["changed"], told["outdated"]) == (["bed"], ["ward"])
    assert (stay_now(stay).ward, stay_now(stay).bed) == ("W3", "5")


def test_a_change_of_an_unknown_stay_may_be_sent_again_when_it_is_known(day: HisDay) -> None:
    slip = day.slip()
    event = day.event(inpatient_no=slip["inpatient_no"], occurred_at=day.at, bed="5")
    with pytest.raises(NotFound, match="ADMISSION_UNKNOWN"):
        his_admission.change(day.his, event, day.now)
    his_admission.announce(day.his, slip, day.now)
    assert his_admission.change(day.his, event, day.now)["changed"] == ["bed"]


def test_the_discharge_order_and_the_later_release_of_the_bed(day: HisDay) -> None:
    stay = day.admit()
    told = day.leave(stay, ordered_at=shanghai(2025, 7, 4, 10), leaving_way="1")
    assert told["state"] == "LEAVING"
    assert told["left_at"] is None
    told = day.leave(stay, left_at=shanghai(2025, 7, 4, 15))
    after = stay_now(stay)
    assert after.ordered_at == shanghai(2025, 7, 4, 10)
    assert after.left_at == shanghai(2025, 7, 4, 15)
    assert (after.state, after.leaving_way) == (AdmissionState.LEAVING, "1")
    assert datetime.fromisoformat(told["left_at"]) == after.left_at


def test_a_discharge_can_be_cancelled_until_it_is_settled(day: HisDay) -> None:
    stay = day.admit()
    day.leave(stay, ordered_at=day.at, left_at=day.at, leaving_way="4")
    cancel = day.event(inpatient_no=stay.inpatient_no)
    told = his_discharge.cancel(day.his, cancel, day.now)
    after = stay_now(stay)
    assert told["state"] == after.state == AdmissionState.IN_HOUSE
    assert (after.ordered_at, after.left_at, after.leaving_way) == (None, None, "")
    assert his_discharge.cancel(day.his, cancel, day.now) == told
    with pytest.raises(Conflict, match="NOT_LEAVING"):
        his_discharge.cancel(day.his, day.event(inpatient_no=stay.inpatient_no), day.now)
    day.leave(stay)
    day.settle(stay)
    for refused in (
        lambda: his_discharge.cancel(day.his, day.event(inpatient_no=stay.inpatient_no), day.now),
        lambda: day.leave(stay, left_at=day.at),
        lambda: his_admission.change(
            day.his,
            day.event(inpatient_no=stay.inpatient_no, occurred_at=day.at, bed="1"),
            day.now,
        ),
    ):
        with pytest.raises(Refused, match="STAY_SETTLED"):
            refused()


def test_nothing_happens_to_a_stay_whose_bill_is_with_the_insurer(day: HisDay) -> None:
    stay = day.admit()
    day.leave(stay)
    with Session.begin() as db:
        db.add(
            Settlement(
                id=new_id(),
                hospital_id=day.hospital_id,
                admission_id=stay.id,
                round=1,
                state=SettlementState.CONFIRMED,
                total_fen=0,
                insured=True,
                trial={},
                trial_digest="",
                opened_at=day.at,
            )
        )
    with pytest.raises(Refused, match="SETTLEMENT_RUNNING"):
        his_discharge.cancel(day.his, day.event(inpatient_no=stay.inpatient_no), day.now)
    assert day.charge(line(stay.inpatient_no)) == ["AFTER_SETTLEMENT"]
    assert day.count("work_item") == 1


def test_somebody_who_was_never_registered_cannot_leave(day: HisDay) -> None:
    slip = day.slip()
    his_admission.announce(day.his, slip, day.now)
    with pytest.raises(Refused, match="ADMISSION_NOT_IN_HOUSE"):
        his_discharge.order(day.his, day.event(inpatient_no=slip["inpatient_no"]), day.now)


def test_nobody_leaves_before_coming(day: HisDay) -> None:
    stay = day.admit()
    with pytest.raises(Refused, match="LEFT_BEFORE_ADMITTED"):
        day.leave(stay, left_at=shanghai(2025, 7, 1))
    assert stay_now(stay).state == AdmissionState.IN_HOUSE
