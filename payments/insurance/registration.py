"""A stay becomes known to the platform (2001, 2401), changes (2403) and is taken back (2404)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session as SqlSession

from models.db import ReadSession, Session
from models.insurance import Encounter, EncounterState
from models.insurance_calls import Change, Held
from payments.insurance import fees, recover
from payments.insurance.calls import Calls, Question
from payments.insurance.codec import Row, Unreadable
from payments.insurance.encounters import moved, must_be, papers, registered
from payments.insurance.facts import Diagnosis, StayFacts
from policies.access import Actor
from policies.refusals import Refused

_ENJOYED = "1"
_REGISTERED_OR_LATER = frozenset(
    {EncounterState.REGISTERED, EncounterState.DISCHARGED, EncounterState.SETTLED}
)


class _Benefits(Question):
    infno = "2001"
    wanted = frozenset({EncounterState.CHOSEN})
    holds = False

    def __init__(self, facts: StayFacts, fixmedins_code: str) -> None:
        self._facts, self._hospital = facts, fixmedins_code

    def nodes(self, db: SqlSession, held: Held) -> Mapping[str, Any]:
        stay = held.stay
        return {
            "data": {
                "psn_no": stay.psn_no,
                "insutype": stay.insutype,
                "fixmedins_code": self._hospital,
                "med_type": stay.med_type,
                "begntime": self._facts.admitted_at,
            }
        }


class _Register(Question):
    infno = "2401"
    wanted = frozenset({EncounterState.CHOSEN})

    def __init__(self, facts: StayFacts, id_no: str, area: str) -> None:
        self._facts, self._id_no, self._area = facts, id_no, area

    def nodes(self, db: SqlSession, held: Held) -> Mapping[str, Any]:
        stay = held.stay
        own = {
            "insutype": stay.insutype,
            "mdtrt_cert_no": self._id_no,
            "cert_type": "01",
            "certno": self._id_no,
            "ipt_no": self._facts.inpatient_no,
            "insuplc_admdvs": stay.insuplc_admdvs,
            "mdtrtarea_admvs": self._area,
        }
        psn_no = {"psn_no": stay.psn_no}
        return {
            "mdtrtinfo": _stay(self._facts, stay) | own,
            "diseinfo": [row | psn_no for row in diagnosis_rows(self._facts.diagnoses)],
        }

    def read(self, found: dict[str, Any]) -> str:
        mdtrt_id = str(found["result"].get("mdtrt_id") or "")
        if not mdtrt_id:
            raise Unreadable("2401: no mdtrt_id")
        return mdtrt_id

    def change(self, stay: Encounter, at: datetime, meaning: str) -> Change:
        return registered(meaning)(stay, at)


class _Change(Question):
    infno = "2403"
    wanted = frozenset({EncounterState.REGISTERED})
    holds = False  # sent again, it says the same

    def __init__(self, facts: StayFacts) -> None:
        self._facts = facts

    def nodes(self, db: SqlSession, held: Held) -> Mapping[str, Any]:
        stay = held.stay
        own = {"mdtrt_id": stay.mdtrt_id, "psn_no": stay.psn_no}
        return {
            "adminfo": _stay(self._facts, stay) | own | {"ipt_otp_no": self._facts.inpatient_no},
            "diseinfo": [row | own for row in diagnosis_rows(self._facts.diagnoses)],
        }


class _Cancel(Question):
    infno = "2404"
    wanted = frozenset({EncounterState.REGISTERED})

    def nodes(self, db: SqlSession, held: Held) -> Mapping[str, Any]:
        stay = held.stay
        return {"data": {"mdtrt_id": stay.mdtrt_id, "psn_no": stay.psn_no}}

    def change(self, stay: Encounter, at: datetime, meaning: Any) -> Change:
        return moved(EncounterState.CANCELLED)(stay, at)


def register(calls: Calls, encounter_id: UUID, facts: StayFacts, by: Actor) -> str:
    """mdtrt_id, asked for once; Refused INSURANCE_NO_BENEFIT when no fund pays for this stay."""
    stay = recover.clear_way(calls, encounter_id, by)
    if stay.state in _REGISTERED_OR_LATER and stay.mdtrt_id:
        return stay.mdtrt_id
    must_be(stay, EncounterState.CHOSEN)
    with ReadSession() as db:
        id_no = papers(db, stay).id_no
    us = calls.platform.settings
    _refuse_without_benefit(
        calls.ask(_Benefits(facts, us.fixmedins_code), encounter_id, by)["trtinfo"]
    )
    return str(calls.ask(_Register(facts, id_no, us.mdtrtarea_admvs), encounter_id, by))


def change(calls: Calls, encounter_id: UUID, facts: StayFacts, by: Actor) -> None:
    """Send the stay as it is now (2403); diagnoses are replaced by their number."""
    must_be(recover.clear_way(calls, encounter_id, by), EncounterState.REGISTERED)
    calls.ask(_Change(facts), encounter_id, by)


def cancel(calls: Calls, encounter_id: UUID, by: Actor) -> None:
    """End the encounter: nothing to ask before registration, else fees back (2302) and 2404."""
    recover.clear_way(calls, encounter_id, by)
    with Session.begin() as db:
        stay = Encounter.locked(db, encounter_id)
        if stay.state == EncounterState.CHOSEN:
            stay.move(
                db, EncounterState.CANCELLED, at=calls.now(), by=by.name, why="not registered"
            )
    if stay.state == EncounterState.CANCELLED:
        return
    must_be(stay, EncounterState.REGISTERED)
    fees.withdraw(calls, encounter_id, by)
    calls.ask(_Cancel(), encounter_id, by)


def _refuse_without_benefit(rows: list[Row]) -> None:
    """A stay that no fund will pay for is not registered as insured; the platform's reason is
    shown.
    """
    if rows and not any(str(row.get("trt_enjymnt_flag")) == _ENJOYED for row in rows):
        said = next((str(row["trt_chk_rslt"]) for row in rows if row.get("trt_chk_rslt")), "")
        raise Refused("INSURANCE_NO_BENEFIT", said=said)


def _stay(facts: StayFacts, stay: Encounter) -> Row:
    """The part that 2401 and 2403 share."""
    main = facts.diagnoses[0] if facts.diagnoses else None
    return {
        "psn_no": stay.psn_no,
        "coner_name": facts.contact_name,
        "tel": facts.contact_phone,
        "begntime": facts.admitted_at,
        "mdtrt_cert_type": "02",
        "med_type": stay.med_type,
        "medrcdno": facts.medical_record_no,
        "atddr_no": facts.doctor_code,
        "chfpdr_name": facts.doctor_name,
        "adm_diag_dscr": main.name if main else "",
        "adm_dept_codg": facts.department_code,
        "adm_dept_name": facts.department_name,
        "adm_bed": facts.bed,
        "dscg_maindiag_code": main.code if main else "",
        "dscg_maindiag_name": main.name if main else "",
        "main_cond_dscr": facts.condition,
    }


def diagnosis_rows(diagnoses: tuple[Diagnosis, ...]) -> list[Row]:
    """diseinfo of 2401, 2402 and 2403; the first diagnosis is the main one."""
    return [
        {
            "diag_type": diagnosis.type,
            "maindiag_flag": "1" if number == 1 else "0",
            "diag_srt_no": number,
            "diag_code": diagnosis.code,
            "diag_name": diagnosis.name,
            "diag_dept": diagnosis.department_code,
            "dise_dor_no": diagnosis.doctor_code,
            "dise_dor_name": diagnosis.doctor_name,
            "diag_time": diagnosis.at,
        }
        for number, diagnosis in enumerate(diagnoses, 1)
    ]
