"""Somebody opens a daily bill: its lines in plain words; that it was opened is noted (CQ-5.3)."""

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, text, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session as Db

from config import SHANGHAI
from journeys.patient_scope import stay_for
from models.admission import Admission
from models.daily_bill import BillQuestion, DailyBill
from models.db import Session
from models.insurance import Encounter
from models.patient import Patient
from policies.access import Actor
from policies.bill_words import Spoken, category_name, estimate_note, level_words, read_aloud
from policies.refusals import NotFound

# Rows leave PostgreSQL as JSON carries them: a line is neither computed nor converted after this.
LINES = text("""
    SELECT line.seq,
        to_char(line.occurred_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS')
            AS occurred_at,
        line.category, line.hospital_code, line.national_code, line.item_name, line.specification,
        line.unit, trim_scale(line.quantity)::text AS quantity,
        trim_scale(line.unit_price)::text AS unit_price, line.amount_fen, line.insurance_level,
        coalesce(
            nullif(fee.verdict ->> 'selfpay_prop', 'None'), trim_scale(line.self_pay_ratio)::text
        ) AS self_pay_ratio,
        (fee.verdict ->> 'own_expense')::bigint AS own_expense_fen,
        (fee.verdict ->> 'over_limit')::bigint AS over_limit_fen,
        (fee.verdict ->> 'first_share')::bigint AS first_share_fen,
        (fee.verdict ->> 'in_scope')::bigint AS in_scope_fen,
        line.department_name, line.doctor_name, line.reverses IS NOT NULL AS reversal,
        line.seq = ANY (:added) AS added
    FROM charge_line line
    LEFT JOIN insurance_uploaded_fee fee ON fee.encounter_id = :encounter
        AND fee.line = line.source_line_id AND fee.state = 'UPLOADED'
    WHERE line.admission_id = :stay AND line.occurred_on = :day AND line.seq = ANY (:seqs)
    ORDER BY line.occurred_at, line.seq
""")


def list_bills(actor: Actor, admission_id: UUID) -> list[dict[str, Any]]:
    """The latest version of each day of a stay, the newest day first."""
    with Session() as db:
        stay = stay_for(db, actor, admission_id, "VIEW")
        bills = db.scalars(
            select(DailyBill)
            .where(DailyBill.hospital_id == stay.hospital_id, DailyBill.admission_id == stay.id)
            .ext(distinct_on(DailyBill.day))
            .order_by(DailyBill.day.desc(), DailyBill.version.desc())
        )
        return [
            {
                "day": bill.day.isoformat(),
                "version": bill.version,
                "line_count": bill.line_count,
                "total_fen": bill.total_fen,
                "running_total_fen": bill.running_total_fen,
                "corrected": bill.version > 1,
                "opened_at": _shown(bill.opened_at),
            }
            for bill in bills
        ]


def read_bill(
    actor: Actor,
    admission_id: UUID,
    day: date,
    version: int | None,
    now: Callable[[], datetime],
) -> dict[str, Any]:
    """One version of a day's list, the latest if none is named, ready to be written as JSON.

    That a patient or a consenting relative opened it is noted the first time; staff leave no mark.
    """
    at = now()
    with Session.begin() as db:
        stay = stay_for(db, actor, admission_id, "VIEW")
        bill = _version(db, stay, day, version)
        if actor.may("own:read") and bill.opened_at is None:
            _note_opening(db, bill, actor, at)
        before = _latest(db, stay, day - timedelta(days=1))
        encounter = Encounter.active(db, stay.id)
        lines = _lines(db, stay, bill, encounter.id if encounter else None)
        by_category = _by_category(lines, _lines(db, stay, before, None) if before else [])
        return {
            **_head(stay, db.get_one(Patient, stay.patient_id).masked_name, bill),
            "insured": encounter is not None,
            "before_total_fen": before.total_fen if before else None,
            "by_category": by_category,
            "read_aloud": _aloud(bill, before, by_category),
            "lines": lines,
            "questions": _questions(db, bill),
        }


def _version(db: Db, stay: Admission, day: date, version: int | None) -> DailyBill:
    bill = _latest(db, stay, day) if version is None else _find(db, stay, day, version)
    if bill is None:
        raise NotFound("DAILY_BILL_UNKNOWN", day=day.isoformat())
    return bill


def _find(db: Db, stay: Admission, day: date, version: int) -> DailyBill | None:
    return db.scalar(_of_day(stay, day).where(DailyBill.version == version))


def _latest(db: Db, stay: Admission, day: date) -> DailyBill | None:
    return db.scalar(_of_day(stay, day).order_by(DailyBill.version.desc()).limit(1))


def _of_day(stay: Admission, day: date) -> Select[DailyBill]:
    return select(DailyBill).where(
        DailyBill.hospital_id == stay.hospital_id,
        DailyBill.admission_id == stay.id,
        DailyBill.day == day,
    )


def _note_opening(db: Db, bill: DailyBill, actor: Actor, at: datetime) -> None:
    db.execute(
        update(DailyBill)
        .where(DailyBill.id == bill.id, DailyBill.opened_at.is_(None))
        .values(opened_at=at, opened_by=actor.name)
    )
    db.refresh(bill)


def _lines(
    db: Db, stay: Admission, bill: DailyBill, encounter_id: UUID | None
) -> list[dict[str, Any]]:
    found = db.execute(
        LINES,
        {
            "stay": stay.id,
            "day": bill.day,
            "seqs": bill.line_seqs,
            "added": bill.added_seqs,
            "encounter": encounter_id,
        },
    )
    return [
        {
            **line,
            "category_name": category_name(line["category"]),
            "level_words": level_words(line["insurance_level"]),
        }
        for line in found.mappings()
    ]


def _by_category(
    lines: list[dict[str, Any]], lines_before: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The totals of each class today and the day before: what has become more, and what less."""
    now: Counter[str] = Counter()
    before: Counter[str] = Counter()
    for totals, found in ((now, lines), (before, lines_before)):
        for line in found:
            totals[line["category"]] += line["amount_fen"]
    return [
        {
            "category": code,
            "name": category_name(code),
            "total_fen": now[code],
            "before_fen": before[code],
        }
        for code in sorted(now.keys() | before.keys())
    ]


def _head(stay: Admission, masked_name: str, bill: DailyBill) -> dict[str, Any]:
    return {
        "admission_id": str(stay.id),
        "inpatient_no": stay.inpatient_no,
        "patient_name": masked_name,
        "ward_name": stay.ward_name,
        "bed": stay.bed,
        "day": bill.day.isoformat(),
        "version": bill.version,
        "corrected": bill.version > 1,
        "made_at": _shown(bill.made_at),
        "opened_at": _shown(bill.opened_at),
        "items_hash": bill.items_hash.hex(),
        "line_count": bill.line_count,
        "added_count": len(bill.added_seqs),
        "total_fen": bill.total_fen,
        "running_total_fen": bill.running_total_fen,
        "deposit_held_fen": bill.deposit_held_fen,
        "estimated_personal_fen": bill.estimated_personal_fen,
        "estimate_note": estimate_note(bill.estimated_personal_fen),
    }


def _aloud(bill: DailyBill, before: DailyBill | None, by_category: list[dict[str, Any]]) -> str:
    return read_aloud(
        Spoken(
            day=bill.day,
            line_count=bill.line_count,
            added_count=len(bill.added_seqs),
            total_fen=bill.total_fen,
            before_fen=before.total_fen if before else None,
            running_total_fen=bill.running_total_fen,
            deposit_held_fen=bill.deposit_held_fen,
            estimated_personal_fen=bill.estimated_personal_fen,
            by_category=tuple(
                (row["category"], row["total_fen"]) for row in by_category if row["total_fen"]
            ),
        )
    )


def _questions(db: Db, bill: DailyBill) -> list[dict[str, Any]]:
    found = db.scalars(
        select(BillQuestion)
        .where(BillQuestion.admission_id == bill.admission_id, BillQuestion.day == bill.day)
        .order_by(BillQuestion.asked_at, BillQuestion.id)
    )
    return [
        {
            "id": str(question.id),
            "line_seq": question.line_seq,
            "text": question.text,
            "asked_at": _shown(question.asked_at),
            "answer": question.answer,
            "answered_at": _shown(question.answered_at),
        }
        for question in found
    ]


def _shown(moment: datetime | None) -> str | None:
    return moment.astimezone(SHANGHAI).isoformat(timespec="seconds") if moment else None
