"""Bad access tokens of every kind, patients' and staff's: all are 401, and nothing else is said."""

import random
from dataclasses import dataclass

import pytest

from simulator.clients import Answer, PhoneClient, StaffClient
from tests.api.forged_tokens import BAD, mutated
from tests.figures import SEED, Figures, size
from tests.people import House

TELLING = {"TOKEN_INVALID", "TOKEN_EXPIRED", "SESSION_OVER"}


@dataclass
class Holder:
    """Somebody with a good token, and where it is shown."""

    client: PhoneClient | StaffClient
    path: str

    def __post_init__(self) -> None:
        self.token = self.client.access_token

    def shows(self, token: str) -> Answer:
        """A token with everything else right: a staff member's proof is made for it."""
        self.client.access_token = token
        try:
            return self.client.try_("GET", self.path)
        finally:
            self.client.access_token = self.token


@pytest.fixture(params=["patient", "staff"])
def holder(house: House, request: pytest.FixtureRequest) -> Holder:
    if request.param == "patient":
        return Holder(house.phone(), "/v1/patient/binding")
    return Holder(house.staff("NURSE"), "/v1/staff/me")


def test_every_kind_of_bad_token_is_refused(holder: Holder) -> None:
    assert holder.shows(holder.token).status == 200
    for kind, spoil in BAD.items():
        answer = holder.shows(spoil(holder.token))
        assert (answer.status, answer.code in TELLING) == (401, True), (kind, answer)
        assert answer.headers["WWW-Authenticate"] == 'Bearer, DPoP algs="ES256"'
    assert holder.shows(holder.token).status == 200


def test_a_refresh_token_and_the_others_token_are_no_access_tokens(house: House) -> None:
    phone, nurse = house.phone(), house.staff("NURSE")
    for holder, other in (
        (Holder(phone, "/v1/patient/binding"), nurse.access_token),
        (Holder(nurse, "/v1/staff/me"), phone.access_token),
    ):
        for token in (holder.client.refresh_token, other, ""):
            answer = holder.shows(token)
            assert (answer.status, answer.code in {"TOKEN_INVALID", "NOT_LOGGED_IN"}) == (401, True)


def test_a_token_on_another_device_is_refused(house: House) -> None:
    nurse, thief = house.staff("NURSE"), house.staff("NURSE")
    thief.access_token = nurse.access_token
    answer = thief.try_("GET", "/v1/staff/me")
    assert (answer.status, answer.code) == (401, "DEVICE_OTHER")


def test_a_session_that_was_ended_is_over_with_the_next_request(house: House) -> None:
    for client, path in (
        (house.phone(), "/v1/patient/binding"),
        (house.staff("NURSE"), "/v1/staff/me"),
    ):
        client.get(path)
        client.delete("/v1/sessions/current")
        answer = client.try_("GET", path)
        assert (answer.status, answer.code) == (401, "SESSION_OVER")
        again = {"refresh_token": client.refresh_token}
        assert client.try_("POST", "/v1/sessions/refresh", again).status == 401


def test_mutations_of_good_tokens_are_all_refused(
    house: House, redis_client, figures: Figures
) -> None:
    tries, dice = size(200, 5_000), random.Random(SEED)
    holders = [
        Holder(house.phone(), "/v1/patient/binding"),
        Holder(house.staff("NURSE"), "/v1/staff/me"),
    ]
    let_in = []
    for place in range(tries):
        holder, other = holders[place % 2], holders[1 - place % 2]
        token = mutated(holder.token, other.token, dice)
        if place % 100 == 0:
            redis_client.flushdb()
        if token != holder.token and holder.shows(token).status != 401:
            let_in.append(token)
    assert let_in == []
    figures.add(
        "bad tokens",
        f"{len(BAD) + 5} kinds of bad access tokens and {tries:,} mutations of good ones,"
        " patients' and staff's",
        "401",
        f"0 of {tries + 2 * len(BAD) + 6:,} accepted under these changes with seed {SEED}",
    )
