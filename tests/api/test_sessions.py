"""Refresh tokens turn with each use; one that comes back ends the session, except after a lost
answer."""

import pytest

from models.db import rows
from simulator.clients import Answer, Client, PhoneClient, StaffClient
from tests.people import House, MovedClock

REFRESH = "/v1/sessions/refresh"


def refreshed(client: Client, token: str) -> Answer:
    client.access_token = ""
    return client.try_("POST", REFRESH, {"refresh_token": token})


@pytest.fixture(params=["patient", "staff"])
def client(request: pytest.FixtureRequest, house: House) -> Client:
    return house.phone() if request.param == "patient" else house.staff("NURSE")


def me(client: Client) -> str:
    return "/v1/staff/me" if isinstance(client, StaffClient) else "/v1/patient/binding"


def test_a_session_goes_on_with_new_tokens(client: Client, clock: MovedClock) -> None:
    for _ in range(3):
        clock.forward(minutes=11)
        assert client.try_("GET", me(client)).code == "TOKEN_EXPIRED"
        before = client.refresh_token
        client.refresh()
        assert client.refresh_token != before
        assert client.try_("GET", me(client)).status == 200


def test_a_token_that_was_used_ends_the_session(client: Client, clock: MovedClock) -> None:
    stolen = client.refresh_token
    client.refresh()
    clock.forward(seconds=11)
    assert refreshed(client, stolen).code == "SESSION_OVER"
    assert refreshed(client, client.refresh_token).code == "SESSION_OVER"
    found = rows(
        "SELECT revoked_why FROM login_session WHERE revoked_at IS NOT NULL ORDER BY id DESC"
    )
    assert found[0]["revoked_why"] == "refresh token reused"
    audited = rows(
        "SELECT what FROM audit_entry JOIN hospital h ON h.id = hospital_id AND h.code = :code"
        " ORDER BY no DESC LIMIT 1",
        code=client.hospital,
    )
    assert audited == [{"what": "refresh token reused"}]


def test_access_ends_together_with_the_session(client: Client, clock: MovedClock) -> None:
    stolen = client.refresh_token
    client.refresh()
    access = client.access_token
    clock.forward(seconds=11)
    refreshed(client, stolen)
    client.access_token = access
    assert client.try_("GET", me(client)).code == "SESSION_OVER"


def test_a_lost_answer_is_asked_for_again(client: Client) -> None:
    """GZ-20: ward Wi-Fi loses answers; the nurse must not be thrown out for it."""
    before = client.refresh_token
    lost = refreshed(client, before).body["refresh_token"]
    again = refreshed(client, before)
    assert again.status == 200
    assert refreshed(client, again.body["refresh_token"]).status == 200
    assert refreshed(client, lost).code == "SESSION_OVER"


def test_thief_and_owner_cannot_both_go_on(client: Client) -> None:
    before = client.refresh_token
    thiefs = refreshed(client, before).body["refresh_token"]
    owners = refreshed(client, before).body["refresh_token"]
    assert refreshed(client, thiefs).code == "SESSION_OVER"
    assert refreshed(client, owners).code == "SESSION_OVER"


def test_leaving_is_in_force_at_once(client: Client) -> None:
    client.delete("/v1/sessions/current")
    assert client.try_("GET", me(client)).code == "SESSION_OVER"
    assert refreshed(client, client.refresh_token).code == "SESSION_OVER"


def test_another_device_cannot_refresh_and_the_owner_goes_on(house: House) -> None:
    nurse, thief = house.staff("NURSE"), house.staff("NURSE")
    assert refreshed(thief, nurse.refresh_token).code == "SESSION_OVER"
    plain = PhoneClient(house.wire, house.code)
    assert refreshed(plain, nurse.refresh_token).code == "SESSION_OVER"
    assert refreshed(nurse, nurse.refresh_token).status == 200


def test_an_idle_nurse_is_logged_out_after_half_an_hour(house: House, clock: MovedClock) -> None:
    nurse = house.staff("NURSE")
    clock.forward(minutes=31)
    assert refreshed(nurse, nurse.refresh_token).code == "TOKEN_EXPIRED"


def test_a_shift_ends_after_twelve_hours(house: House, clock: MovedClock) -> None:
    nurse = house.staff("NURSE")
    for _ in range(28):
        clock.forward(minutes=25)
        nurse.refresh()
    clock.forward(minutes=21)
    assert refreshed(nurse, nurse.refresh_token).code == "TOKEN_EXPIRED"


@pytest.mark.parametrize("token", ["x", "a.b.c", ""])
def test_nonsense_is_no_refresh_token(house: House, token: str) -> None:
    assert refreshed(PhoneClient(house.wire, house.code), token).code == "TOKEN_INVALID"
