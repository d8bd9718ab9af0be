"""A request of a handheld that was heard and sent again, changed or late, or sent by a copy of the
handheld: refused, and nothing happens twice."""

import random
from dataclasses import dataclass, replace

import pytest

from models.admission import Admission
from models.db import Session, rows
from simulator.clients import Answer, StaffClient
from tests.figures import SEED, Figures, size
from tests.people import House, MovedClock

JSON = "application/json"
WIRES_EACH = 1_000
"""An address may send 6,000 requests a minute: many addresses replay."""


@dataclass(frozen=True)
class Heard:
    """One request as it went over the ward's Wi-Fi."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    def sent_by(self, wire) -> Answer:
        return wire.send(self.method, self.target, self.headers, self.body)


@dataclass
class Tapped:
    """A wire that remembers what it carried."""

    wire: object
    heard: list[Heard]

    @property
    def base_url(self) -> str:
        return self.wire.base_url

    def send(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        self.heard.append(Heard(method, target, headers, body))
        return self.wire.send(method, target, headers, body)


@pytest.fixture
def heard(house: House) -> list[Heard]:
    """A nurse's minute: she looks, takes a deposit by QR and leaves a question's answer alone."""
    nurse = house.staff("NURSE", wards=("W1",))
    stay = house.stay()
    with Session.begin() as db:
        db.get_one(Admission, stay.id).quota_fen = 300_000
    nurse.wire = Tapped(nurse.wire, [])
    path = f"/v1/admissions/{stay.id}"
    nurse.get("/v1/staff/me")
    nurse.get(path)
    nurse.put(f"{path}/registration", {"phone": "19900000001"})
    nurse.post(f"{path}/deposits", {"amount_fen": 100, "route": "QR"}, key="deposit-1")
    nurse.post(f"{path}/documents", {"kind": "ID_CARD", "form": "COPY", "sha256": "a" * 64})
    return nurse.wire.heard


TABLES = ("payment_order", "document", "admission_step", "audit_entry")


def written(house: House) -> list[int]:
    """How many rows there are of what the requests change."""
    counts = [f"SELECT count(*) AS n FROM {table} WHERE hospital_id = :id" for table in TABLES]  # noqa: S608
    return [rows(count, id=house.hospital_id)[0]["n"] for count in counts]


def test_a_request_heard_is_worth_nothing(
    house: House, heard: list[Heard], clock: MovedClock, figures: Figures
) -> None:
    tries, dice, before = size(300, 10_000), random.Random(SEED), written(house)
    codes = set()
    for place in range(tries):
        if place % WIRES_EACH == 0:
            wire = house.wire
        again = dice.choice(heard)
        if place % 4 == 3:
            again = _changed(again, dice.choice(heard), dice)
        answer = again.sent_by(wire)
        assert answer.status == 401, (again, answer)
        codes.add(answer.code)
    assert codes == {"PROOF_REPLAYED", "PROOF_INVALID", "TOKEN_INVALID"}
    clock.forward(seconds=61)
    assert {each.sent_by(house.wire).code for each in heard} == {"PROOF_STALE"}
    assert written(house) == before
    figures.add(
        "replays",
        f"{tries:,} requests of a handheld sent again, one in four with another address, body or"
        " token, and all of them late",
        "401, and no order, paper, step or audit row more",
        f"0 of {tries + len(heard):,} accepted under these changes with seed {SEED}",
    )


def _changed(one: Heard, other: Heard, dice: random.Random) -> Heard:
    """The same proof for something else."""
    return dice.choice(
        [
            replace(one, method=other.method, target=other.target),
            replace(one, body=one.body + b" ", headers={"Content-Type": JSON} | one.headers),
            replace(one, headers=one.headers | {"Authorization": f"DPoP {'x' * 40}"}),
            replace(one, headers=one.headers | {"DPoP": one.headers["DPoP"][:-3] + "AAA"}),
        ]
    )


def test_a_copy_of_a_handheld_without_its_key_is_refused(house: House) -> None:
    """Token and refresh token were copied; the key cannot be, it never left the device."""
    nurse = house.staff("NURSE")
    clone = StaffClient(
        house.wire, house.code, access_token=nurse.access_token, refresh_token=nurse.refresh_token
    )
    enrolled = house.device()
    enrolled.access_token, enrolled.refresh_token = nurse.access_token, nurse.refresh_token
    for copy in (clone, enrolled):
        answer = copy.try_("GET", "/v1/staff/me")
        assert (answer.status, answer.code) == (401, "DEVICE_OTHER")
        said = {"refresh_token": nurse.refresh_token}
        copy.access_token = ""
        assert copy.try_("POST", "/v1/sessions/refresh", said).status == 401
    nurse.refresh()
    assert nurse.get("/v1/staff/me")["roles"] == ["NURSE"]


def test_a_whole_copy_with_the_key_betrays_itself_at_the_next_refresh(
    house: House, clock: MovedClock
) -> None:
    """Whoever refreshes second, owner or copy, ends the session of both."""
    nurse = house.staff("NURSE")
    clone = replace(nurse, wire=house.wire)
    clone.refresh()
    clock.forward(seconds=11)
    said = {"refresh_token": nurse.refresh_token}
    token, nurse.access_token = nurse.access_token, ""
    assert nurse.try_("POST", "/v1/sessions/refresh", said).code == "SESSION_OVER"
    nurse.access_token = token
    for each in (nurse, clone):
        assert each.try_("GET", "/v1/staff/me").code == "SESSION_OVER"
