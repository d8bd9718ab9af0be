"""A hospital with a filed exception: F1 of the law's examples, made through the API on its days."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

from models.db import Session
from models.patient import Patient
from policies.signed_consent import About, wording
from simulator.clients import Answer, StaffClient
from tests.people import House, MovedClock

SCENES = ["EMERGENCY", "EMERGENCY_OBSERVATION", "OUTPATIENT_SURGERY", "EMERGENCY_SURGERY"]
ELDERLY = {"code": "ELDERLY", "name": "老年人"}
F1 = {"scenes": SCENES, "groups": [ELDERLY], "authority": "贵阳市卫生健康局"}
APPROVED = {
    "approved": True,
    "document_no": "筑卫健备〔2025〕18号",
    "approved_on": "2025-06-20",
    "expires_on": "2026-06-30",
}
SHOWN = {
    "channel": "WEBSITE",
    "place": "https://hospital.example/filing",
    "from_on": "2025-06-25",
    "snapshot_sha256": "c" * 64,
}
FILINGS = "/v1/outpatient-prepay/filings"
OBSERVATION = {"scene": "EMERGENCY_OBSERVATION"}
SIGNED = {"text_version": wording(About.PREPAY)["version"], "signature_sha256": "a" * 64}
AGREED = {"text_version": wording(About.PREPAY)["version"]}


@dataclass
class Clinic:
    """The hospital on a day that tests choose, its finance office and one cashier."""

    house: House
    clock: MovedClock
    keys: int = field(default=0, init=False)
    expires_on: str | None = field(default=APPROVED["expires_on"], init=False)

    def on(self, day: date) -> "Clinic":
        """Noon of a Shanghai day; whoever was logged in before comes in anew."""
        noon = datetime(day.year, day.month, day.day, 4, tzinfo=UTC)
        return self._at(noon - datetime.now(UTC))

    def now(self) -> "Clinic":
        """The real time, which the simulated WeChat Pay insists on; the filing has no end then."""
        self.expires_on = None
        return self._at(timedelta())

    def _at(self, shift: timedelta) -> "Clinic":
        self.clock.shift = shift
        for role in ("maker", "head", "checker", "cashier"):
            vars(self).pop(role, None)
        return self

    @cached_property
    def maker(self) -> StaffClient:
        return self.house.staff("FINANCE_MAKER", kind="DESK", ward="")

    @cached_property
    def head(self) -> StaffClient:
        return self.house.staff("FINANCE_HEAD", kind="DESK", ward="")

    @cached_property
    def checker(self) -> StaffClient:
        return self.house.staff("FINANCE_CHECKER", kind="DESK", ward="")

    @cached_property
    def cashier(self) -> StaffClient:
        return self.house.staff("CASHIER", kind="DESK", ward="", window="3号窗口")

    def submitted(self, **changed: Any) -> str:
        """The path of a filing that waits at the health department."""
        self.keys += 1
        drafted = self.maker.post(FILINGS, F1 | changed, key=f"draft-{self.keys:04d}")
        path = f"{FILINGS}/{drafted['id']}"
        self.head.put(f"{path}/submission")
        return path

    def approved(self, **changed: Any) -> str:
        path = self.submitted(**changed)
        self.head.put(f"{path}/answer", APPROVED | {"expires_on": self.expires_on})
        return path

    def published(self, **changed: Any) -> str:
        path = self.approved(**changed)
        self.maker.post(f"{path}/publications", SHOWN)
        return path

    def patient(self, born_on: date | None = date(1990, 3, 9)) -> Patient:
        """Somebody of this age, 35 on the days of the examples."""
        patient = self.house.patient()
        with Session.begin() as db:
            db.get_one(Patient, patient.id).born_on = born_on
        return patient

    def consent(self, patient: Patient, said: dict[str, Any] = SIGNED) -> dict[str, Any]:
        return self.cashier.put(f"{account(patient)}/consent", said)

    def ask(self, patient: Patient, fen: int = 30_000, key: str = "", **more: Any) -> Answer:
        """A top-up at the window; each has its own key unless one is given."""
        self.keys += 1
        wish = {"amount_fen": fen, "route": "CASH", **more}
        key = key or f"top-up-{self.keys:04}"
        return self.cashier.try_("POST", f"{account(patient)}/top-ups", wish, key=key)

    def held(self, patient: Patient) -> int:
        return self.cashier.get(account(patient))["held_fen"]


def account(patient: Patient) -> str:
    """The path of a patient's outpatient account."""
    return f"/v1/patients/{patient.id}/outpatient-prepay"
