"""Somebody opens a daily bill: its lines in plain words; that it was opened is noted (CQ-5.3)."""

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session as Db

from config import SHANGHAI
from journeys.patient_scope import stay_for
from models.admission import Admission
from models.daily_bill import DailyBill
from models.db import ReadSession, Session
from models.patient import Patient
from policies.access import Actor
from policies.bill_words import Spoken, category_name, estimate_note, level_words, read_aloud
from policies.refusals import NotFound

# The bill, its lines and questions and what it is compared with, in one round trip. Rows leave
# PostgreSQL as JSON carries them: a line is neither computed nor converted after this.
BILL = text("""
    WITH bill AS (
        SELECT * FROM daily_bill
        WHERE hospital_id = :hospital AND admission_id = :stay AND day = :day
            AND version = coalesce(:version, version)
        ORDER BY version DESC LIMIT 1
    ), before AS (
        SELECT * FROM daily_bill
        WHERE hospital_id = :hospital AND admission_id = :stay AND day = :day - 1
        ORDER BY version DESC LIMIT 1
    ), insured AS (
        SELECT id FROM insurance_encounter
        WHERE hospital_id = :hospital AND admission_id = :stay AND state <> 'CANCELLED'
    ), line AS (
        SELECT line.seq,
            to_char(line.occurred_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI:SS')
                AS occurred_at,
            line.category, line.hospital_code, line.national_code, line.item_name,
            line.specification, line.unit, trim_scale(line.quantity)::text AS quantity,
            trim_scale(line.unit_price)::text AS unit_price, line.amount_fen, line.insurance_level,
            coalesce(
                nullif(fee.verdict ->> 'selfpay_prop', 'None'),
                trim_scale(line.self_pay_ratio)::text
            ) AS self_pay_ratio,
            (fee.verdict ->> 'own_expense')::bigint AS own_expense_fen,
            (fee.verdict ->> 'over_limit')::bigint AS over_limit_fen,
            (fee.verdict ->> 'first_share')::bigint AS first_share_fen,
            (fee.verdict ->> 'in_scope')::bigint AS in_scope_fen,
            line.department_name, line.doctor_name, line.reverses IS NOT NULL AS reversal,
            line.seq = ANY (bill.added_seqs) AS added
        FROM bill
        JOIN charge_line line ON line.admission_id = :stay AND line.occurred_on = :day
            AND line.seq = ANY (bill.line_seqs)
        LEFT JOIN insurance_uploaded_fee fee ON fee.encounter_id = (SELECT id FROM insured)
            AND fee.line = line.source_line_id AND fee.state = 'UPLOADED'
        ORDER BY line.occurred_at, line.seq
    ), class_before AS (
        SELECT line.category, sum(line.amount_fen)::bigint AS total_fen
        FROM before
        JOIN charge_line line ON line.admission_id = :stay AND line.occurred_on = :day - 1
            AND line.seq = ANY (before.line_seqs)
        GROUP BY line.category
    ), question AS (
        SELECT id, line_seq, text, asked_at, answer, answered_at FROM bill_question
        WHERE admission_id = :stay AND day = :day
        ORDER BY asked_at, id
    )
    SELECT bill.id, bill.version, bill.made_at, bill.opened_at, bill.items_hash, bill.line_count,
        cardinality(bill.added_seqs) AS added_count, bill.total_fen, bill.running_total_fen,
        bill.deposit_held_fen, bill.estimated_personal_fen, before.total_fen AS before_total_fen,
        EXISTS (SELECT FROM insured) AS insured, patient.name_sealed,
        (SELECT json_agg(line) FROM line) AS lines,
        (SELECT json_object_agg(category, total_fen) FROM class_before) AS classes_before,
        (SELECT json_agg(question) FROM question) AS questions
    FROM bill JOIN patient ON patient.id = :patient LEFT JOIN before ON true
""")


def list_bills(actor: Actor, admission_id: UUID) -> list[dict[str, Any]]:
    """The latest version of each day of a stay, the newest day first."""
    with ReadSession() as db:
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
    with ReadSession() as db:
        stay = stay_for(db, actor, admission_id, "VIEW")
        bill = _find(db, stay, day, version)
    if actor.may("own:read") and bill["opened_at"] is None:
        bill["opened_at"] = _note_opening(bill["id"], actor, now())
    lines = [
        {
            **line,
            "category_name": category_name(line["category"]),
            "level_words": level_words(line["insurance_level"]),
        }
        for line in bill["lines"] or ()
    ]
    by_category = _by_category(lines, bill["classes_before"] or {})
    return {
        **_head(stay, day, bill),
        "insured": bill["insured"],
        "before_total_fen": bill["before_total_fen"],
        "by_category": by_category,
        "read_aloud": _aloud(day, bill, by_category),
        "lines": lines,
        "questions": [_question(question) for question in bill["questions"] or ()],
    }


def _find(db: Db, stay: Admission, day: date, version: int | None) -> dict[str, Any]:
    which = {
        "hospital": stay.hospital_id,
        "stay": stay.id,
        "patient": stay.patient_id,
        "day": day,
        "version": version,
    }
    if found := db.execute(BILL, which).mappings().first():
        return dict(found)
    raise NotFound("DAILY_BILL_UNKNOWN", day=day.isoformat())


def _note_opening(bill_id: UUID, actor: Actor, at: datetime) -> datetime | None:
    """When it was opened first: now, unless somebody was faster."""
    first = update(DailyBill).where(DailyBill.id == bill_id, DailyBill.opened_at.is_(None))
    with Session.begin() as db:
        db.execute(first.values(opened_at=at, opened_by=actor.name))
        return db.scalar(select(DailyBill.opened_at).where(DailyBill.id == bill_id))


def _by_category(lines: list[dict[str, Any]], before: dict[str, int]) -> list[dict[str, Any]]:
    """The totals of each class today and the day before: what has become more, and what less."""
    now: Counter[str] = Counter()
    for line in lines:
        now[line["category"]] += line["amount_fen"]
    return [
        {
            "category": code,
            "name": category_name(code),
            "total_fen": now[code],
            "before_fen": before.get(code, 0),
        }
        for code in sorted(now.keys() | before.keys())
    ]


def _head(stay: Admission, day: date, bill: dict[str, Any]) -> dict[str, Any]:
    patient = Patient(id=stay.patient_id, name_sealed=bill["name_sealed"])
    return {
        "admission_id": str(stay.id),
        "inpatient_no": stay.inpatient_no,
        "patient_name": patient.masked_name,
        "ward_name": stay.ward_name,
        "bed": stay.bed,
        "day": day.isoformat(),
        "version": bill["version"],
        "corrected": bill["version"] > 1,
        "made_at": _shown(bill["made_at"]),
        "opened_at": _shown(bill["opened_at"]),
        "items_hash": bytes(bill["items_hash"]).hex(),
        "line_count": bill["line_count"],
        "added_count": bill["added_count"],
        "total_fen": bill["total_fen"],
        "running_total_fen": bill["running_total_fen"],
        "deposit_held_fen": bill["deposit_held_fen"],
        "estimated_personal_fen": bill["estimated_personal_fen"],
        "estimate_note": estimate_note(bill["estimated_personal_fen"]),
    }


def _aloud(day: date, bill: dict[str, Any], by_category: list[dict[str, Any]]) -> str:
    return read_aloud(
        Spoken(
            day=day,
            line_count=bill["line_count"],
            added_count=bill["added_count"],
            total_fen=bill["total_fen"],
            before_fen=bill["before_total_fen"],
            running_total_fen=bill["running_total_fen"],
            deposit_held_fen=bill["deposit_held_fen"],
            estimated_personal_fen=bill["estimated_personal_fen"],
            by_category=tuple(
                (row["category"], row["total_fen"]) for row in by_category if row["total_fen"]
            ),
        )
    )


def _question(asked: dict[str, Any]) -> dict[str, Any]:
    answered_at = asked["answered_at"]
    return {
        **asked,
        "asked_at": _shown(datetime.fromisoformat(asked["asked_at"])),
        "answered_at": _shown(datetime.fromisoformat(answered_at)) if answered_at else None,
    }


def _shown(moment: datetime | None) -> str | None:
    return moment.astimezone(SHANGHAI).isoformat(timespec="seconds") if moment else None
