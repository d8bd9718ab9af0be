"""The hospital's own decisions: every change is kept, and gaps are named before opening (GZ-4)."""

import pytest

from policies.hospital_settings import KNOWN
from simulator.clients import StaffClient
from tests.people import House, MovedClock


@pytest.fixture
def head(house: House) -> StaffClient:
    return house.staff("FINANCE_HEAD", kind="DESK")


def gaps(client: StaffClient) -> dict[tuple[str, str], dict[str, str]]:
    return {(gap["code"], gap["key"]): gap for gap in client.get("/v1/readiness")["gaps"]}


@pytest.mark.clause("GZ-4", "T1")
def test_without_anybody_to_check_refunds_readiness_says_so(house: House) -> None:
    admin = house.staff("ADMINISTRATOR", kind="DESK")
    missing = gaps(admin)["REFUND_CHECKER_MISSING", "refund:check"]
    assert (missing["clause"], bool(missing["say"]), bool(missing["next"])) == ("GZ-4", True, True)
    checker = house.staff("FINANCE_CHECKER", kind="DESK")
    assert ("REFUND_CHECKER_MISSING", "refund:check") not in gaps(admin)
    admin.delete(f"/v1/staff/{checker.staff_no}")
    assert ("REFUND_CHECKER_MISSING", "refund:check") in gaps(admin)


@pytest.mark.clause("GZ-4", "T2")
def test_a_change_records_who_when_old_and_new(
    head: StaffClient, house: House, clock: MovedClock
) -> None:
    before = clock()
    for value in ("50000", "50000", "80000"):
        head.put("/v1/settings/refund_limit_fen", {"value": value})
    found = next(s for s in head.get("/v1/settings") if s["key"] == "refund_limit_fen")
    assert found["value"] == "80000"
    by = f"staff:{head.staff_no}"
    assert [(c["by"], c["old"], c["new"]) for c in found["changes"]] == [
        (by, "50000", "80000"),
        (by, None, "50000"),
    ]
    for change in found["changes"]:
        assert before.isoformat() <= change["at"] <= clock().isoformat()
    auditor = house.staff("AUDITOR", kind="DESK")
    kept = [e for e in auditor.get("/v1/audit") if e["what"] == "setting changed"]
    assert [(e["by"], e["subject"], e["facts"]) for e in kept] == [
        (by, "refund_limit_fen", {"old": None, "new": "50000"}),
        (by, "refund_limit_fen", {"old": "50000", "new": "80000"}),
    ]


def test_a_hospital_is_ready_when_everything_is_decided_and_staffed(
    house: House, head: StaffClient
) -> None:
    for value, key in (
        ("黔示范〔2025〕1号 第二版", "policy_document"),
        ("50000", "refund_limit_fen"),
        ("0851-1234567", "service_phone"),
    ):
        assert ("SETTING_MISSING", key) in gaps(head)
        head.put(f"/v1/settings/{key}", {"value": value})
    assert {code for code, _ in gaps(head)} == {
        "ADMINISTRATOR_MISSING",
        "AUDITOR_MISSING",
        "CASH_WINDOW_MISSING",
        "REFUND_MAKER_MISSING",
        "SETTLEMENT_CLERK_MISSING",
    }
    house.staff("ADMINISTRATOR")
    house.staff("AUDITOR")
    house.staff("CASHIER")
    assert head.get("/v1/readiness") == {"ready": True, "gaps": []}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("refund_limit_fen", "1.5"),
        ("refund_limit_fen", "-1"),
        ("refund_limit_fen", ""),
        ("service_phone", "给我打电话"),
        ("password_rules", "NONE"),
        ("policy_document", " "),
    ],
)
def test_a_value_of_the_wrong_form_is_refused(head: StaffClient, key: str, value: str) -> None:
    answer = head.try_("PUT", f"/v1/settings/{key}", {"value": value})
    assert (answer.status, answer.code) == (422, "SETTING_MALFORMED")
    assert KNOWN[key].says in answer.body["detail"]


def test_only_known_settings_are_set_and_only_by_those_who_may(
    house: House, head: StaffClient
) -> None:
    assert head.try_("PUT", "/v1/settings/other", {"value": "1"}).code == "SETTING_UNKNOWN"
    for role in ("NURSE", "CASHIER", "FINANCE_MAKER", "FINANCE_CHECKER"):
        person = house.staff(role)
        answer = person.try_("PUT", "/v1/settings/refund_limit_fen", {"value": "1"})
        assert (answer.status, answer.code) == (403, "PERMISSION_MISSING")


def test_defaults_fit_their_own_form() -> None:
    for key, known in KNOWN.items():
        assert known.default is None or known.allows(known.default), key
