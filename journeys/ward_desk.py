"""What a ward does about daily bills: it sees questions, and prints for those without a phone."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select

from models.admission import Admission
from models.charges import ChargeLine
from models.daily_bill import BillQuestion
from models.db import ReadSession, Session
from models.message import Message, MessageState, PrintJob
from models.patient import Patient
from policies.access import Actor
from policies.refusals import Forbidden, NotFound


def questions_of_ward(actor: Actor, ward: str) -> list[dict[str, Any]]:
    """The open questions of the patients in this ward now, each with its line, the oldest first."""
    _in_ward(actor, ward)
    query = (
        select(BillQuestion, Admission.bed, Admission.inpatient_no, ChargeLine)
        .join(Admission, Admission.id == BillQuestion.admission_id)
        .join(
            ChargeLine,
            (ChargeLine.admission_id == BillQuestion.admission_id)
            & (ChargeLine.occurred_on == BillQuestion.day)
            & (ChargeLine.seq == BillQuestion.line_seq),
        )
        .where(
            BillQuestion.hospital_id == actor.hospital_id,
            BillQuestion.answered_at.is_(None),
            Admission.ward == ward,
        )
        .order_by(BillQuestion.asked_at, BillQuestion.id)
    )
    with ReadSession() as db:
        return [_with_line(row) for row in db.execute(query)]


def print_queue(actor: Actor, ward: str) -> list[dict[str, Any]]:
    """What waits to be printed in this ward, the oldest first; ``values`` says for which day."""
    _in_ward(actor, ward)
    query = (
        select(PrintJob, Message, Admission, Patient)
        .join(Message, Message.id == PrintJob.message_id)
        .join(Admission, Admission.id == PrintJob.admission_id)
        .join(Patient, Patient.id == Admission.patient_id)
        .where(
            PrintJob.hospital_id == actor.hospital_id,
            PrintJob.ward == ward,
            PrintJob.printed_at.is_(None),
        )
        .order_by(PrintJob.created_at, PrintJob.id)
    )
    with ReadSession() as db:
        return [
            {
                "id": job.id,
                "admission_id": stay.id,
                "bed": stay.bed,
                "inpatient_no": stay.inpatient_no,
                "patient_name": patient.masked_name,
                "what": message.template,
                "values": message.values,
                "since": job.created_at,
            }
            for job, message, stay, patient in db.execute(query)
        ]


def mark_printed(actor: Actor, ward: str, job_id: UUID, now: Callable[[], datetime]) -> None:
    """It was printed and handed over. Said again it changes nothing."""
    _in_ward(actor, ward)
    at = now()
    with Session.begin() as db:
        job = db.scalar(
            select(PrintJob)
            .where(
                PrintJob.id == job_id,
                PrintJob.hospital_id == actor.hospital_id,
                PrintJob.ward == ward,
            )
            .with_for_update()
        )
        if job is None:
            raise NotFound("PRINT_JOB_UNKNOWN")
        if job.printed_at is not None:
            return
        job.printed_at, job.printed_by = at, actor.name
        message = Message.locked(db, job.message_id)
        if message.state == MessageState.SENT:
            message.move(db, MessageState.PRINTED, at=at, by=actor.name)


def _in_ward(actor: Actor, ward: str) -> None:
    if not actor.may("hospital:read") and not (actor.may("ward:read") and ward in actor.wards):
        raise Forbidden("OTHER_WARD")


def _with_line(row: Row[BillQuestion, str, str, ChargeLine]) -> dict[str, Any]:
    question, bed, inpatient_no, line = row
    return {
        "id": question.id,
        "admission_id": question.admission_id,
        "day": question.day,
        "line_seq": question.line_seq,
        "text": question.text,
        "asked_at": question.asked_at,
        "bed": bed,
        "inpatient_no": inpatient_no,
        "item_name": line.item_name,
        "specification": line.specification,
        "amount_fen": line.amount_fen,
    }
