"""A patient asks about a line of the bill, the ward answers, and the patient is told (CQ-5.3)."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from journeys.patient_scope import knows_stay, stay_for
from models.admission import Admission
from models.daily_bill import BillQuestion, DailyBill
from models.db import Session
from notifications.messages import tell
from policies.access import Actor
from policies.refusals import Conflict, NotFound

Clock = Callable[[], datetime]


def ask(
    actor: Actor, admission_id: UUID, day: date, *, line_seq: int, text: str, now: Clock
) -> dict[str, Any]:
    """Put a question to a billed line; asked twice it is one question.

    NotFound BILL_LINE_UNKNOWN for a line that no version of that day's bill has; Conflict
    QUESTION_OPEN while another question of the same person to this line waits.
    """
    at = now()
    with Session.begin() as db:
        stay = stay_for(db, actor, admission_id, "VIEW")
        billed = select(DailyBill.id).where(
            DailyBill.hospital_id == stay.hospital_id,
            DailyBill.admission_id == stay.id,
            DailyBill.day == day,
            DailyBill.line_seqs.contains([line_seq]),
        )
        if db.scalar(billed.limit(1)) is None:
            raise NotFound("BILL_LINE_UNKNOWN")
        asked = BillQuestion.ask(
            db,
            hospital_id=stay.hospital_id,
            admission_id=stay.id,
            day=day,
            line_seq=line_seq,
            text=text,
            asked_at=at,
            asked_by=actor.name,
        )
        return _view(asked)


def answer(actor: Actor, question_id: UUID, *, text: str, now: Clock) -> dict[str, Any]:
    """The ward's answer, given once, and told to the patient; the same again changes nothing.

    Conflict QUESTION_ANSWERED when another answer was given before.
    """
    actor.needs("question:answer")
    at = now()
    with Session.begin() as db:
        question = BillQuestion.locked(db, actor.hospital_id, question_id)
        if not knows_stay(db, actor, question.admission_id, "VIEW"):
            raise NotFound("QUESTION_UNKNOWN")
        if question.answered_at is not None:
            if question.answer != text:
                raise Conflict("QUESTION_ANSWERED")
            return _view(question)
        question.answer, question.answered_at, question.answered_by = text, at, actor.name
        stay = db.get_one(Admission, question.admission_id)
        _told(db, question, stay.patient_id, at)
        return _view(question)


def _told(db: Db, question: BillQuestion, patient_id: UUID, at: datetime) -> None:
    tell(
        db,
        hospital_id=question.hospital_id,
        key=f"line-answered:{question.id}",
        patient_id=patient_id,
        template="LINE_ANSWERED",
        values={"day": question.day},
        at=at,
    )


def _view(question: BillQuestion) -> dict[str, Any]:
    return {
        "id": question.id,
        "admission_id": question.admission_id,
        "day": question.day,
        "line_seq": question.line_seq,
        "text": question.text,
        "asked_at": question.asked_at,
        "answer": question.answer,
        "answered_at": question.answered_at,
    }
