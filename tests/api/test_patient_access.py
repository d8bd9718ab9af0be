"""A WeChat account logs in, proves to be a patient, and lets relatives see or pay; nobody else gets
in."""

from uuid import UUID

import pytest
from flask import Flask

from api import credentials
from journeys.patient_scope import Scope, stay_for, stays_of
from models.admission import Admission
from models.db import Session
from policies.access import Actor
from policies.refusals import NotFound
from simulator.clients import Answer, PhoneClient
from tests.people import House, MovedClock
from tests.sim_process import Simulator
from tests.stage import id_number

BINDING = "/v1/patient/binding"
CONSENTS = "/v1/patient/consents"


def actor_of(phone: PhoneClient) -> Actor:
    """Who the API takes the phone for, at this moment."""
    headers = phone.credentials("GET", "/", b"")
    with phone.wire.app.test_request_context("/", headers=headers):
        return credentials.of_patient().actor


def may(phone: PhoneClient, stay: Admission) -> list[Scope]:
    """What the phone may do with the stay."""
    found: list[Scope] = []
    with Session() as db:
        for scope in ("VIEW", "PAY", "OWN"):
            try:
                assert stay_for(db, actor_of(phone), stay.id, scope).id == stay.id
                found.append(scope)
            except NotFound as refusal:
                assert refusal.code == "ADMISSION_UNKNOWN"
    return found


def try_bind(phone: PhoneClient, name: str, id_no: str) -> Answer:
    return phone.try_("PUT", BINDING, {"name": name, "id_no": id_no})


def try_login(house: House, code: str) -> Answer:
    phone = PhoneClient(house.wire, house.code)
    asked = {"hospital": house.code, "code": code}
    return phone.try_("POST", "/v1/patient/sessions", asked)


def test_one_account_logs_in_from_many_phones(house: House) -> None:
    first, second = house.phone("o" + "a" * 27), house.phone("o" + "a" * 27)
    assert actor_of(first).id == actor_of(second).id
    assert actor_of(first).openid == "o" + "a" * 27
    assert first.get(BINDING) == {"bound": False, "patient_id": None, "name": ""}


def test_a_wrong_or_used_code_is_refused(house: House, simulator: Simulator) -> None:
    code = simulator.login_code("o" + "b" * 27)
    assert try_login(house, code).status == 201
    used = try_login(house, code)
    assert (used.status, used.code) == (401, "WECHAT_CODE_REFUSED")
    assert try_login(house, "nonsense").code == "WECHAT_CODE_REFUSED"


@pytest.mark.parametrize("fault", ["before", "after", "error500_before"])
def test_wechat_is_away(house: House, simulator: Simulator, fault: str) -> None:
    code = simulator.login_code("o" + "c" * 27)
    simulator.fault("mini-program", "code2session", fault)
    away = try_login(house, code)
    simulator.reset()
    assert (away.status, away.code) == (503, "WECHAT_AWAY")
    assert away.headers["Retry-After"] == "5"


def test_a_patient_binds_by_name_and_number(house: House) -> None:
    patient = house.patient("买买提·玉素甫")
    phone = house.phone()
    bound = {"bound": True, "patient_id": str(patient.id), "name": "买" + "*" * 5 + "甫"}
    assert phone.bind(" 买买提•玉素甫", patient.id_no.lower()) == bound
    assert phone.bind("买买提·玉素甫", patient.id_no) == bound
    assert phone.get(BINDING) == bound
    assert actor_of(phone).patient_id == patient.id


def test_unknown_and_wrong_answer_alike(house: House, app: Flask, clock: MovedClock) -> None:
    patient, phone = house.patient("张小丰"), house.phone()
    elsewhere = House(app, house.base_url, clock, None).patient("李远方")
    wrong = [
        try_bind(phone, "张小风", patient.id_no),
        try_bind(phone, "张小丰", id_number(999)),
        try_bind(phone, "李远方", elsewhere.id_no),
    ]
    said = [{k: v for k, v in each.body.items() if k != "request_id"} for each in wrong]
    assert said[0] == said[1] == said[2]
    assert (wrong[0].status, wrong[0].code) == (422, "BINDING_NOT_MATCHED")
    assert actor_of(phone).patient_id is None


@pytest.mark.parametrize(
    "number", ["990101197503090019", "99010119750309001", "990101197513090013", "x" * 18, "1" * 18]
)
def test_a_number_that_cannot_be_is_named(house: House, number: str) -> None:
    assert try_bind(house.phone(), "张小丰", number).code == "ID_NUMBER_INVALID"


def test_guessing_numbers_is_limited_by_account(house: House) -> None:
    phone = house.phone()
    answers = [try_bind(phone, "张小丰", id_number(500 + n)) for n in range(6)]
    assert [each.status for each in answers] == [422] * 5 + [429]


def test_guessing_a_name_is_limited_by_number(house: House) -> None:
    patient = house.patient()
    answers = [try_bind(house.phone(), f"张{n}", patient.id_no) for n in range(11)]
    assert [each.status for each in answers] == [422] * 10 + [429]


def test_an_account_is_one_patient(house: House) -> None:
    phone, patient = house.patient_phone()
    other = house.patient("何雨")
    refused = try_bind(phone, "何雨", other.id_no)
    assert (refused.status, refused.code) == (409, "BINDING_EXISTS")
    assert actor_of(phone).patient_id == patient.id
    phone.delete(BINDING)
    phone.delete(BINDING)
    assert actor_of(phone).patient_id is None
    assert phone.bind("何雨", other.id_no)["bound"] is True


def test_patients_see_their_own_stays_only(house: House, app: Flask, clock: MovedClock) -> None:
    phone, patient = house.patient_phone()
    own, others = house.stay(patient), house.stay()
    foreign = House(app, house.base_url, clock, None).stay()
    assert (may(phone, own), may(phone, others), may(phone, foreign)) == (
        ["VIEW", "PAY", "OWN"],
        [],
        [],
    )
    assert may(house.phone(), own) == []
    with Session() as db:
        assert [stay.id for stay in stays_of(db, actor_of(phone))] == [own.id]


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [(["VIEW_BILL"], ["VIEW"]), (["PAY"], ["PAY"]), (["PAY", "VIEW_BILL"], ["VIEW", "PAY"])],
)
def test_a_relative_may_what_was_consented_until_it_is_withdrawn(
    house: House, scopes: list[str], allowed: list[str]
) -> None:
    phone, patient = house.patient_phone()
    stay, relative = house.stay(patient), house.phone()
    given = phone.post(CONSENTS, {"scopes": scopes, "relation": "女儿", "days": 30})
    assert (given["state"], given["text_version"]) == ("OFFERED", "2025-06")
    assert may(relative, stay) == []
    redeemed = relative.post(f"{CONSENTS}/redeem", {"code": given["code"].lower()})
    assert (redeemed["state"], redeemed["given"]) == ("LIVE", False)
    assert may(relative, stay) == allowed
    phone.delete(f"{CONSENTS}/{given['id']}")
    assert may(relative, stay) == []
    phone.delete(f"{CONSENTS}/{given['id']}")
    assert [each["state"] for each in phone.get(CONSENTS)] == ["WITHDRAWN"]
    assert [each["state"] for each in relative.get(CONSENTS)] == ["WITHDRAWN"]


def offer(phone: PhoneClient, days: int = 30) -> dict[str, str]:
    return phone.post(CONSENTS, {"scopes": ["VIEW_BILL"], "relation": "儿子", "days": days})


def try_redeem(phone: PhoneClient, code: str) -> Answer:
    return phone.try_("POST", f"{CONSENTS}/redeem", {"code": code})


def test_a_code_works_once_and_not_for_the_giver(house: House) -> None:
    phone, _ = house.patient_phone()
    code = offer(phone)["code"]
    assert try_redeem(phone, code).code == "CONSENT_CODE_INVALID"
    assert try_redeem(house.phone(), code).status == 200
    again = try_redeem(house.phone(), code)
    assert (again.status, again.code) == (422, "CONSENT_CODE_INVALID")


def test_codes_and_consents_end(house: House, clock: MovedClock) -> None:
    phone, patient = house.patient_phone()
    stay, relative = house.stay(patient), house.phone()
    late, ended = offer(phone), offer(phone, days=1)
    assert try_redeem(relative, ended["code"]).status == 200
    assert may(relative, stay) == ["VIEW"]
    clock.forward(hours=24, seconds=1)
    for client in (phone, relative):
        client.refresh()
    assert may(relative, stay) == []
    assert try_redeem(relative, late["code"]).code == "CONSENT_CODE_INVALID"
    assert [each["state"] for each in phone.get(CONSENTS)] == ["ENDED", "LAPSED"]


def test_guessing_codes_is_limited(house: House) -> None:
    phone = house.phone()
    answers = [try_redeem(phone, f"GUESS{n}") for n in range(11)]
    assert [each.status for each in answers] == [422] * 10 + [429]


def test_nobody_withdraws_or_gives_for_others(house: House) -> None:
    phone, _ = house.patient_phone()
    given, stranger = offer(phone), house.patient_phone()[0]
    assert stranger.try_("DELETE", f"{CONSENTS}/{given['id']}").code == "CONSENT_UNKNOWN"
    unbound = house.phone()
    asked = {"scopes": ["PAY"], "relation": "我", "days": 1}
    assert unbound.try_("POST", CONSENTS, asked).code == "NOT_BOUND"
    assert unbound.get(CONSENTS) == []


def test_staff_record_the_paper_of_a_patient_without_a_phone(house: House) -> None:
    stay = house.stay()
    nurse, stranger = house.staff("NURSE", wards=("W1",)), house.staff("NURSE", wards=("W2",))
    path = f"/v1/admissions/{stay.id}/consents"
    asked = {"scopes": ["PAY"], "relation": "女儿", "days": 7, "paper": "授权书 2025-001"}
    assert stranger.try_("POST", path, asked).code == "ADMISSION_UNKNOWN"
    given = nurse.post(path, asked)
    relative = house.phone()
    relative.post(f"{CONSENTS}/redeem", {"code": given["code"]})
    assert may(relative, stay) == ["PAY"]
    assert stranger.try_("GET", path).status == 404
    assert [(each["id"], each["state"]) for each in nurse.get(path)] == [(given["id"], "LIVE")]
    assert stranger.try_("DELETE", f"{path}/{given['id']}").status == 404
    nurse.delete(f"{path}/{given['id']}")
    assert may(relative, stay) == []


def test_a_full_identity_is_shown_for_a_reason_that_is_kept(house: House) -> None:
    stay = house.stay(patient := house.patient("张小丰"))
    nurse, stranger = house.staff("NURSE", wards=("W1",)), house.staff("NURSE", wards=("W2",))
    path, reason = f"/v1/admissions/{stay.id}/identity", {"reason": "核对腕带与身份证"}
    assert stranger.try_("POST", path, reason).code == "ADMISSION_UNKNOWN"
    assert nurse.try_("POST", path, {}).body["errors"] == [
        {"field": "reason", "message": "Missing data for required field."}
    ]
    assert nurse.post(path, reason) == {
        "name": "张小丰",
        "id_no": patient.id_no,
        "phone": patient.phone,
    }
    auditor = house.staff("AUDITOR", kind="DESK")
    looks = [each for each in auditor.get("/v1/audit") if each["what"] == "identity unmasked"]
    assert [(each["by"], each["subject"], each["facts"]) for each in looks] == [
        (f"staff:{nurse.staff_no}", f"patient:{patient.id}", reason)
    ]
    assert auditor.get("/v1/audit/check")["broken_at"] is None
    assert UUID(looks[0]["subject"].removeprefix("patient:")) == patient.id
