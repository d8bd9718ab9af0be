"""A stay and its charge lines, put into the words of the insurance desk."""

from datetime import datetime
from typing import LiteralString
from uuid import UUID

from sqlalchemy.orm import Session as Db

from models.admission import Admission
from models.charges import OF_STAY
from models.db import named_at_once, within
from models.patient import Patient
from payments.insurance.facts import Diagnosis, FeeLine, StayFacts


def stay_facts(stay: Admission, patient: Patient) -> StayFacts:
    """What 2401 and 2402 want to know of a stay; the later of order and bed release is its end
    (D-26).
    """
    diagnosis = Diagnosis(
        code=stay.diagnosis_code,
        name=stay.diagnosis_name,
        department_code=stay.department_code,
        doctor_code=stay.doctor_code,
        doctor_name=stay.doctor_name,
        at=stay.admitted_at,
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
        contact_name=patient.name,
        contact_phone=patient.phone,
        left_at=left_at(stay),
        leaving_way=stay.leaving_way or "1",
    )


def left_at(stay: Admission) -> datetime | None:
    """The discharge moment: the later of the signed order and the released bed; None while neither
    is known.
    """
    moments = [moment for moment in (stay.ordered_at, stay.left_at) if moment]
    return max(moments, default=None)


_LEAVING: LiteralString = """
    SELECT to_jsonb(stay) AS stay, patient.name_sealed, patient.phone_sealed,
        encounter.id AS encounter_id
    FROM admission stay JOIN patient ON patient.id = stay.patient_id
    LEFT JOIN insurance_encounter encounter
        ON encounter.admission_id = stay.id AND encounter.state <> 'CANCELLED'
    WHERE stay.id = %(stay)s
"""


def leaving(admission_id: UUID) -> tuple[UUID | None, StayFacts]:
    """The encounter of a stay, if it has one, and what the platform wants to know at the end."""
    (row,) = named_at_once(_LEAVING, stay=admission_id)
    stay = Admission.from_row(row["stay"])
    patient = Patient(
        id=stay.patient_id, name_sealed=row["name_sealed"], phone_sealed=row["phone_sealed"]
    )
    return row["encounter_id"], stay_facts(stay, patient)


_FEE_LINES: LiteralString = f"""
    SELECT line.source_line_id AS line, line.occurred_at AS at, line.national_code AS med_list_codg,
        line.hospital_code AS medins_list_codg, line.amount_fen, line.quantity,
        line.unit_price AS unit_price_yuan, line.department_code, line.department_name,
        line.doctor_code, line.doctor_name, coalesce(line.reverses, '') AS reverses
    {OF_STAY} ORDER BY line.seq
"""


def fee_lines(db: Db, admission_id: UUID) -> list[FeeLine]:
    """All charge lines of a stay in the order of their arrival; a reversal names the line it takes
    back.
    """
    return [FeeLine(**row) for row in within(db, _FEE_LINES, stay=admission_id)]
