"""A stay and its charge lines, put into the words of the insurance desk."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from models.admission import Admission
from models.charges import ChargeLine
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


def fee_lines(db: Db, admission_id: UUID) -> list[FeeLine]:
    """All charge lines of a stay in the order of their arrival; a reversal names the line it takes
    back.
    """
    found = db.scalars(
        select(ChargeLine).where(ChargeLine.admission_id == admission_id).order_by(ChargeLine.seq)
    )
    return [
        FeeLine(
            line=line.source_line_id,
            at=line.occurred_at,
            med_list_codg=line.national_code,
            medins_list_codg=line.hospital_code,
            amount_fen=line.amount_fen,
            quantity=line.quantity,
            unit_price_yuan=line.unit_price,
            department_code=line.department_code,
            department_name=line.department_name,
            doctor_code=line.doctor_code,
            doctor_name=line.doctor_name,
            reverses=line.reverses or "",
        )
        for line in found
    ]
