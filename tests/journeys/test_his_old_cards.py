"""The HIS reports somebody whose old card was counted before: one person, by number and name."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from uuid import UUID

import pytest
from sqlalchemy import Engine

from journeys import binding, his_admission, outpatient
from models.binding import WeChatBinding
from models.db import Session, new_id, rows
from models.patient import Patient
from payments import stored_money
from policies.access import Actor, Channel
from simulator.old_cards import id_number
from tests.his_day import HisDay
from tests.old_dump import Office

ANNA, BOB = id_number(1, date(1950, 3, 9)), id_number(2, date(1980, 5, 1))
FEN = 12_050


@pytest.fixture
def day(engine: Engine, tmp_path) -> HisDay:
    """A hospital that has counted one old card of 张小丰, with her number."""
    day = HisDay()
    office = Office(day.hospital_id, tmp_path / "dump")
    office.write(
        accounts=[["A", "120.50", "2023-01-05", "2024-12-20"]],
        holders=[["A", "张小丰", ANNA, "19900000001", "", "女"]],
        top_ups=[["T1", "A", "120.50", "2023-01-05 09:00:00", "现金", ""]],
    )
    office.imported()
    return day


def holder(day: HisDay) -> UUID:
    query = "SELECT patient_id FROM prepay_account WHERE hospital_id = :h"
    return rows(query, h=day.hospital_id)[0]["patient_id"]


def reported(day: HisDay, **patient: str) -> UUID:
    """Whom the HIS admits: 张小丰 with her number unless told otherwise."""
    said = {"his_patient_no": "P1", "name": "张小丰", "id_no": ANNA, "phone": "19911112222"}
    told = his_admission.announce(day.his, day.slip(patient=said | patient), day.now)
    return UUID(told["patient_id"])


def sees(day: HisDay, patient_id: UUID) -> int:
    """The stored money that the mini-program of this patient, and the window, show."""
    own = Actor(day.hospital_id, "p", frozenset({"PATIENT"}), Channel.PHONE, patient_id=patient_id)
    window = Actor(day.hospital_id, "w", frozenset({"CASHIER"}), Channel.WINDOW)
    (shown,) = {outpatient.view_account(each, patient_id)["held_fen"] for each in (own, window)}
    with Session() as db:
        assert stored_money.total(db, day.hospital_id, patient_id) == shown
    return shown


def asked_about(day: HisDay) -> list[str]:
    query = "SELECT subject FROM work_item WHERE hospital_id = :h AND kind = :kind"
    found = rows(query, h=day.hospital_id, kind="OLD_CARD_NAME_DIFFERS")
    return [row["subject"] for row in found]


def test_the_card_and_the_stay_are_one_persons(day: HisDay) -> None:
    before = holder(day)
    assert reported(day) == before
    assert (day.count("patient"), sees(day, before)) == (1, FEN)
    with Session() as db:
        patient = db.get_one(Patient, before)
        assert (patient.his_patient_no, patient.phone) == ("P1", "19911112222")
    assert asked_about(day) == []


@pytest.mark.parametrize("said", [{"id_no": BOB}, {"id_no": ""}])
def test_the_name_alone_is_nobody(day: HisDay, said: dict[str, str]) -> None:
    stranger = reported(day, **said)
    assert stranger != holder(day)
    assert (sees(day, stranger), sees(day, holder(day))) == (0, FEN)
    assert asked_about(day) == []


def test_the_number_under_another_name_is_a_question(day: HisDay) -> None:
    stranger = reported(day, name="李示范")
    assert stranger != holder(day)
    assert sees(day, stranger) == 0
    assert reported(day, name="李示范") == stranger
    assert asked_about(day) == [f"patient:{stranger}"]


def test_who_was_admitted_nameless_sees_the_money_once_named(day: HisDay) -> None:
    """Two rows by then: nothing is moved between them, and both are the same person."""
    found = reported(day, name="", id_no="", phone="")
    assert sees(day, found) == 0
    assert reported(day) == found != holder(day)
    assert (sees(day, found), sees(day, holder(day))) == (FEN, FEN)

    account = new_id()
    with Session.begin() as db:
        named = {"hospital_id": day.hospital_id, "appid": "wx1", "openid": "o-anna"}
        db.add(WeChatBinding(id=account, **named))
    phone = Actor(day.hospital_id, "p", frozenset({"PATIENT"}), Channel.PHONE, id=account)
    assert binding.bind(phone, "张小丰", ANNA, day.now).id == found  # the HIS's row has her stays


def test_two_stays_at_once_are_one_patient(day: HisDay) -> None:
    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(lambda _: reported(day), range(6))) == {holder(day)}
    assert day.count("patient") == 1
    with ThreadPoolExecutor(6) as pool:
        told = set(pool.map(lambda _: reported(day, his_patient_no="P2", id_no=BOB), range(6)))
    assert (len(told), day.count("patient")) == (1, 2)
