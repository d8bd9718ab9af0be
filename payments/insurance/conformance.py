"""One stay played by the real desk against a bureau's test environment, to check a profile.

``python -m payments.insurance.conformance GZ01 case.json`` (docs/connect-insurance.md).
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from config import Connections, InsuranceSettings
from models import db, schema, sealing
from models.admission import Admission, AdmissionState
from models.db import ReadSession, Session, new_id
from models.hospital import Hospital
from models.insurance import Encounter
from models.patient import Patient
from payments.insurance import amounts, codec, profile
from payments.insurance.calls import Calls
from payments.insurance.desk import InsuranceDesk
from payments.insurance.facts import Diagnosis, FeeLine, PersonCard, StayFacts
from payments.insurance.transport import GATEWAYS
from policies.access import Actor, system
from policies.refusals import Refusal, Refused

_OF_NOBODY = "0" * 26 + "9999"


@dataclass(frozen=True, slots=True)
class Seen:
    """One step: whether platform and profile fit each other there, and what was seen."""

    step: str
    passed: bool
    what: str


class Rehearsal:
    """A stay of the bureau's test person. ``case`` is the file that the document describes."""

    def __init__(
        self, settings: InsuranceSettings, case: dict[str, str], now: Callable[[], datetime]
    ) -> None:
        ways = profile.load(settings.profile)
        platform = GATEWAYS[ways.gateway](settings, ways, now)
        self._calls = Calls(platform, ways, now)
        self._desk = InsuranceDesk(platform, ways, now)
        self._case, self._now = case, now
        self._by, self._admission = _scratch(settings, case, now())
        self._encounter = UUID(int=0)

    def play(self) -> Iterator[Seen]:
        """Each step as it is seen; the first that fails is the last, and then all is taken back."""
        steps: list[tuple[str, Callable[[], str]]] = [
            ("9001 1101 参保信息", self._choose),
            ("2001 2401 入院登记", self._register),
            ("5303 在院查询", self._in_house),
            ("2301 上传费用", self._upload),
            ("2303 试算", self._trial),
            ("2402 2304 出院结算", self._settle),
            ("5203 结算查询", self._settled_there),
            ("2305 2405 撤销结算", self._undo),
            ("2601 冲正不存在的交易", self._no_such_call),
            ("2302 撤销不存在的费用", self._no_such_fee),
        ]
        for name, act in steps:
            seen = _try(name, act)
            yield seen
            if not seen.passed:
                break
        yield _try("2305 2405 2302 2404 全部撤回", self._take_back)

    def _choose(self) -> str:
        card = PersonCard(name=self._case["name"], id_no=self._case["id_no"])
        person = self._desk.look_up(card, self._by)
        cover = self._desk.choose(person, self._case["insutype"])
        with Session.begin() as scratch:
            self._encounter = self._desk.open_encounter(
                scratch,
                admission_id=self._admission.id,
                patient_id=self._admission.patient_id,
                person=person,
                cover=cover,
                by=self._by,
            ).id
        return f"{cover.insutype} {cover.insuplc_admdvs}"

    def _register(self) -> str:
        return self._desk.register(self._encounter, self._facts(), self._by)

    def _in_house(self) -> str:
        stay, day = self._stay(), timedelta(days=1)
        period = {"begntime": self._admission.admitted_at - day, "endtime": self._now() + day}
        found = self._look("5303", period)["data"]
        for row in found:
            if row.get("mdtrt_id") == stay.mdtrt_id:
                return _must_be(row.get("ipt_otp_no"), self._admission.inpatient_no)
        raise Refused("INSURANCE_DECLINED", said="5303: 没有这次住院")

    def _upload(self) -> str:
        line = FeeLine(
            line="1",
            at=self._admission.admitted_at + timedelta(hours=1),
            med_list_codg=self._case["med_list_codg"],
            medins_list_codg=self._case["medins_list_codg"],
            amount_fen=amounts.fen(self._case["price_yuan"]),
            quantity=amounts.yuan(100),
            unit_price_yuan=codec.number(self._case["price_yuan"]),
            department_code=self._case["department_code"],
            department_name=self._case["department_name"],
            doctor_code=self._case["doctor_code"],
            doctor_name=self._case["doctor_name"],
        )
        return f"{self._desk.upload(self._encounter, [line], self._by)} 分"

    def _trial(self) -> str:
        if self._calls.profile.trial_needs_discharge:
            return "先出院才能试算，未试"
        return _payers(self._desk.trial(self._encounter, self._by))

    def _settle(self) -> str:
        bill = self._desk.uploaded(self._encounter)
        return _payers(
            self._desk.settle(self._encounter, self._facts(), bill_fen=bill, by=self._by)
        )

    def _settled_there(self) -> str:
        stay = self._stay()
        found = self._look("5203", {"setl_id": stay.setl_id, "mdtrt_id": stay.mdtrt_id})
        return _must_be(found["setlinfo"].get("refd_setl_flag"), "0")

    def _undo(self) -> str:
        self._desk.undo_settlement(self._encounter, self._by, reopen_stay=True)
        return "I8"

    def _no_such_call(self) -> str:
        return self._words("2601", {"omsgid": _OF_NOBODY, "oinfno": "2304"})

    def _no_such_fee(self) -> str:
        return self._words("2302", {"feedetl_sn": "999999", "mdtrt_id": self._stay().mdtrt_id})

    def _words(self, infno: str, wanted: dict[str, Any]) -> str:
        """What the platform says when it finds nothing has to be among the profile's words."""
        try:
            self._look(infno, wanted)
        except Refused as no:
            said = str(no.facts.get("said"))
            if any(word in said for word in self._calls.profile.not_found_words):
                return said
            raise
        raise Refused("INSURANCE_DECLINED", said="平台没有拒绝一个不存在的编号")

    def _take_back(self) -> str:
        if self._encounter.int:
            self._desk.undo_settlement(self._encounter, self._by, reopen_stay=True)
            self._desk.cancel_registration(self._encounter, self._by)
        return "平台上没有留下这次住院"

    def _look(self, infno: str, wanted: dict[str, Any]) -> dict[str, Any]:
        stay = self._stay()
        return self._calls.look(
            infno, self._by, insured_in=stay.insuplc_admdvs, data=wanted | {"psn_no": stay.psn_no}
        )

    def _stay(self) -> Encounter:
        with ReadSession() as scratch:
            return scratch.get_one(Encounter, self._encounter)

    def _facts(self) -> StayFacts:
        stay = self._admission
        diagnosis = Diagnosis(
            stay.diagnosis_code,
            stay.diagnosis_name,
            stay.department_code,
            stay.doctor_code,
            stay.doctor_name,
            stay.admitted_at,
        )
        return StayFacts(
            inpatient_no=stay.inpatient_no,
            admitted_at=stay.admitted_at,
            department_code=stay.department_code,
            department_name=stay.department_name,
            bed=stay.bed,
            doctor_code=stay.doctor_code,
            doctor_name=stay.doctor_name,
            diagnoses=(diagnosis,),
            left_at=self._now(),
        )


def _scratch(
    settings: InsuranceSettings, case: dict[str, str], now: datetime
) -> tuple[Actor, Admission]:
    """The test person's stay in a database that is thrown away afterwards."""
    hospital = Hospital(
        id=new_id(),
        code=settings.fixmedins_code,
        name=settings.fixmedins_name,
        institution_type="PUBLIC",
        county_code=settings.mdtrtarea_admvs,
        rule_packs=[],
    )
    patient = Patient(id=new_id(), hospital_id=hospital.id, his_patient_no="LT1")
    patient.name, patient.id_no = case["name"], case["id_no"]
    own = ("department_code", "department_name", "bed", "doctor_code", "doctor_name")
    admission = Admission(
        id=new_id(),
        hospital_id=hospital.id,
        patient_id=patient.id,
        inpatient_no=f"LT{now:%Y%m%d%H%M%S}",
        state=AdmissionState.IN_HOUSE,
        ward="LT",
        diagnosis_code=case["diagnosis_code"],
        diagnosis_name=case["diagnosis_name"],
        admitted_at=now - timedelta(days=1),
        **{name: case[name] for name in own},
    )
    with Session.begin() as scratch:
        for row in (hospital, patient, admission):
            scratch.add(row)
            scratch.flush()
    return system(hospital.id), admission


def _try(name: str, act: Callable[[], str]) -> Seen:
    try:
        return Seen(name, True, act())
    except Refusal as no:
        facts = " ".join(str(value) for value in no.facts.values())
        return Seen(name, False, f"{no.code} {facts}".strip())


def _must_be(seen: Any, wanted: str) -> str:
    if str(seen) != wanted:
        raise Refused("INSURANCE_DECLINED", said=f"应为 {wanted}，实为 {seen}")
    return wanted


def _payers(read: amounts.SettlementAmounts) -> str:
    shares = " ".join(f"{payer}={fen}" for payer, fen in read.payer_lines())
    return shares + (" 基金分项错位(I2)" if read.funds_misplaced else "")


def main() -> int:
    """0 when every step passed. DATABASE_URL names an empty database that may be thrown away."""
    code, case_file = sys.argv[1:]
    schema.upgrade(os.environ["DATABASE_URL"])
    db.connect(os.environ["DATABASE_URL"])
    sealing.use_keys({"scratch": "A" * 43 + "="}, "A" * 43 + "=")
    raw = json.loads(Path(os.environ["CONNECTIONS_FILE"]).read_text("utf8"))[code]
    case = json.loads(Path(case_file).read_text("utf8"))
    settings = Connections.read(raw).insurance
    passed = True
    for seen in Rehearsal(settings, case, lambda: datetime.now(UTC)).play():
        passed = passed and seen.passed
        sys.stdout.write(f"{'通过' if seen.passed else '不通过'}  {seen.step}  {seen.what}\n")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
