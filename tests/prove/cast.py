"""Everybody who comes to the house: staff with devices of their own, the HIS, phones of patients
and relatives, all over public HTTP through the faulty door.
"""

import time
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from simulator.clients import Answered, HisClient, OverNetwork, PhoneClient, StaffClient
from tests.prove.house import HOSPITAL, House
from tests.prove.stubborn import PATIENCE_S, Counts, Stubborn

PASSWORD = "Tulip-harbour-94-quartz"
WARD = "W01"
STAFF = {
    "nurse": (("NURSE",), "HANDHELD", 3),
    "cashier": (("CASHIER",), "DESK", 3),
    "maker": (("FINANCE_MAKER",), "DESK", 1),
    "checker": (("FINANCE_CHECKER", "FINANCE_HEAD"), "DESK", 1),
    "office": (("INSURANCE_OFFICE",), "DESK", 1),
}
"""who -> roles, kind of device, how many."""

_serial = count(1)


@dataclass
class Cast:
    """The people of one house. ``his`` speaks for the hospital information system."""

    house: House
    counts: Counts = field(default_factory=Counts)
    staff: dict[str, list[Stubborn]] = field(default_factory=dict)

    def come(self) -> None:
        """Hire everybody; call it in calm weather."""
        admin = StaffClient(self._wire(), HOSPITAL, now=self.house.now)
        first = self.house.known["administrator"]
        admin.enrol(first["enrolment_code"])
        admin.log_in(first["staff_no"], first["password"], PASSWORD)
        admin.log_in(first["staff_no"], PASSWORD)
        for who, (roles, kind, number) in STAFF.items():
            self.staff[who] = [self._hire(admin, who, roles, kind) for _ in range(number)]
        admin.put("/v1/settings/service_phone", {"value": "0851-80000000"})

    @property
    def his(self) -> Stubborn:
        """The hospital information system: a wire of its own for each caller."""
        client = HisClient(self._wire(), HOSPITAL, now=self.house.now, **self.house.known["his"])
        return Stubborn(client, lambda: None, self.counts)

    def phone(self, openid: str) -> Stubborn:
        """A WeChat account, logged in by the code of wx.login as often as needed."""
        client = PhoneClient(self._wire(), HOSPITAL, now=self.house.now)

        def log_in() -> None:
            def once() -> None:
                code = self.house.world("POST", "/_sim/mini-program/codes", {"openid": openid})
                fresh = replace(client, access_token="")
                fresh.log_in(code["js_code"])
                client.access_token = fresh.access_token

            _insist(once)

        log_in()
        return Stubborn(client, log_in, self.counts)

    def _hire(self, admin: StaffClient, who: str, roles: tuple[str, ...], kind: str) -> Stubborn:
        number = f"{who[0].upper()}{next(_serial):03d}"
        wards = [WARD] if who == "nurse" else []
        new = {"staff_no": number, "name": "周明月", "roles": list(roles), "wards": wards}
        password = admin.post("/v1/staff", new)["first_password"]
        device = {"name": number, "kind": kind, "ward": WARD if wards else ""}
        if who == "cashier":
            device["window"] = number
        client = StaffClient(self._wire(), HOSPITAL, now=self.house.now)
        client.enrol(admin.post("/v1/devices/enrolments", device)["code"])
        client.log_in(number, password, PASSWORD)

        def log_in() -> None:
            def once() -> None:
                fresh = replace(client, access_token="")
                fresh.log_in(number, PASSWORD)
                client.access_token = fresh.access_token

            _insist(once)

        log_in()
        return Stubborn(client, log_in, self.counts)

    def _wire(self) -> OverNetwork:
        wire = OverNetwork(self.house.door.url)
        wire.session.trust_env = False
        wire.session.mount("http://", HTTPAdapter(pool_maxsize=16))
        return wire


def _insist(log_in: Any) -> None:
    """Until the tokens are there: a login has no key, but doing it twice harms nobody."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return log_in()
        except (requests.RequestException, Answered):
            if time.monotonic() > until:
                raise
            time.sleep(0.5)
