"""The callers of access_matrix.yaml in a hospital of their own, beside another hospital."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import jwt
import yaml

from models.db import Session
from models.login import LoginSession
from simulator.clients import Client
from tests.api.belongings import Belongings, belongings, nothing, relative
from tests.people import House

MATRIX = yaml.safe_load((Path(__file__).parent / "access_matrix.yaml").read_text("utf8"))
ROUTES: dict[str, dict[str, Any]] = MATRIX["routes"]
CALLERS: list[str] = list(MATRIX["callers"])
PHONES = set(MATRIX["groups"]["PHONES"])
AT_A_DESK = {"kind": "DESK", "ward": ""}


def named(entry: dict[str, Any], what: str) -> set[str]:
    """The callers of one list of an entry, groups resolved."""
    groups = MATRIX["groups"]
    found = {one for name in entry.get(what, []) for one in groups.get(name, [name])}
    return set(CALLERS) if found == {"ANYBODY"} else found


@dataclass
class World:
    """Two hospitals; in the first one patient's things, and another's in another ward."""

    here: House
    elsewhere: House

    def __post_init__(self) -> None:
        self.patient = self.here.patient("欧阳测试甲")
        self.mine = belongings(self.here, self.patient)
        self.neighbours = belongings(self.here, self.here.patient("欧阳测试乙"), "W2")
        self.abroad = belongings(self.elsewhere, self.elsewhere.patient("欧阳测试丙"), "W9")
        self.absent = nothing()
        self.callers = {name: self.caller(name) for name in CALLERS}

    def caller(self, name: str) -> Client:
        """Somebody new of this kind."""
        if name == "NOBODY":
            return Client(self.here.wire, self.here.code)
        if name == "HIS":
            return self.here.his()
        if name in PHONES:
            return self._phone(name)
        if name == "NURSE":
            return self.here.staff(name, wards=("W1",))
        return self.here.staff(name, **AT_A_DESK, window="3" if name == "CASHIER" else "")

    def _phone(self, name: str) -> Client:
        if name == "PATIENT":
            return self.here.patient_phone(self.patient)[0]
        phone = self.here.phone()
        if name == "RELATIVE":
            relative(self.here, self.patient, _binding_of(phone))
        return phone

    def foreign_to(self, caller: str) -> list[Belongings]:
        """Whose things this caller must not hear of."""
        only_own = PHONES | {"NURSE", "NOBODY"}
        return [self.abroad, self.neighbours] if caller in only_own else [self.abroad]


def _binding_of(phone: Client) -> UUID:
    said = jwt.decode(phone.access_token, options={"verify_signature": False})
    with Session() as db:
        return db.get_one(LoginSession, UUID(said["sub"])).binding_id
