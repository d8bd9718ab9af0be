"""Who somebody is to the platform (1101), and which of their covers a stay is put on."""

from datetime import date
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session as SqlSession

from config import today
from models.db import new_id
from models.insurance import Encounter, EncounterState
from payments.insurance.calls import Calls
from payments.insurance.codec import Row
from payments.insurance.facts import Cover, Identity, Person, PersonCard
from policies.access import Actor
from policies.refusals import Busy, Conflict, Refused

IN_FORCE = "1"


def look_up(calls: Calls, card: PersonCard, by: Actor) -> Person:
    """Ask 1101; identities whose time is over or has not begun are left out."""
    found = calls.look(
        "1101",
        by,
        data={
            "mdtrt_cert_type": card.kind,
            "mdtrt_cert_no": card.shown,
            "card_sn": card.card_sn,
            "psn_cert_type": card.id_type,
            "certno": card.id_no,
            "psn_name": card.name,
        },
    )
    psn_no = str(found["baseinfo"].get("psn_no") or "")
    if not psn_no:
        raise Refused("INSURANCE_PERSON_UNKNOWN")
    day = today(calls.now())
    return Person(
        psn_no=psn_no,
        covers=tuple(_cover(row) for row in found["insuinfo"]),
        identities=tuple(
            Identity(str(row.get("psn_idet_type") or ""), str(row.get("psn_type_lv") or ""))
            for row in found["idetinfo"]
            if _runs_on(row, day)
        ),
    )


def choose(calls: Calls, person: Person, insutype: str = "", insuplc_admdvs: str = "") -> Cover:
    """The one cover in force of the wanted class (and region), or of the first class of the
    profile's order.
    """
    live = [
        cover
        for cover in person.covers
        if cover.status == IN_FORCE and insuplc_admdvs in ("", cover.insuplc_admdvs)
    ]
    wanted = (insutype,) if insutype else calls.profile.insutypes
    for kind in wanted:
        found = [cover for cover in live if cover.insutype == kind]
        if len(found) > 1:
            raise Refused("INSURANCE_COVER_AMBIGUOUS", insutype=kind)
        if found:
            return found[0]
    raise Refused("INSURANCE_COVER_NOT_ACTIVE", insutype=insutype)


def open_encounter(
    calls: Calls,
    db: SqlSession,
    *,
    admission_id: Any,
    patient_id: Any,
    person: Person,
    cover: Cover,
    by: Actor,
) -> Encounter:
    """The admission's active encounter, made if there is none; Conflict when on another cover."""
    made = Encounter(
        id=new_id(),
        hospital_id=by.hospital_id,
        admission_id=admission_id,
        patient_id=patient_id,
        state=EncounterState.CHOSEN,
        insutype=cover.insutype,
        psn_type=cover.psn_type,
        insuplc_admdvs=cover.insuplc_admdvs,
        med_type=calls.profile.med_type,
    )
    made.psn_no = person.psn_no
    values = {
        column.name: value
        for column in Encounter.__table__.columns
        if (value := getattr(made, column.name)) is not None
    }
    new: Encounter | None = db.scalar(
        insert(Encounter)
        .values(fee_serial=0, **values)
        .on_conflict_do_nothing()
        .returning(Encounter)
    )
    if new is not None:
        new.start(db, at=calls.now(), by=by.name)
        return new
    known = Encounter.active(db, admission_id)
    if known is None:
        raise Busy("INSURANCE_CALL_OPEN")  # cancelled this very moment
    if _choice(known) != _choice(made):
        raise Conflict("INSURANCE_ENCOUNTER_OPEN", insutype=known.insutype)
    return known


def _choice(stay: Encounter) -> tuple[str, str, str]:
    return stay.psn_no, stay.insutype, stay.insuplc_admdvs


def _cover(row: Row) -> Cover:
    return Cover(
        insutype=str(row.get("insutype") or ""),
        psn_type=str(row.get("psn_type") or ""),
        insuplc_admdvs=str(row.get("insuplc_admdvs") or ""),
        status=str(row.get("psn_insu_stas") or ""),
        since=_day(row.get("psn_insu_date")),
        employer=str(row.get("emp_name") or ""),
    )


def _runs_on(row: Row, day: date) -> bool:
    first, last = _day(row.get("begntime")), _day(row.get("endtime"))
    return (first is None or first <= day) and (last is None or day <= last)


def _day(text: Any) -> date | None:
    try:
        return date.fromisoformat(str(text or "")[:10])
    except ValueError:
        return None
