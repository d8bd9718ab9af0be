"""Somebody opens a daily bill: its lines in plain words; that it was opened is noted (CQ-5.3)."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any, LiteralString
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import distinct_on

from config import SHANGHAI
from journeys.patient_scope import asked_for, stay_for
from models.daily_bill import DailyBill
from models.db import ReadSession, Session, named_at_once
from models.patient import masked_name
from policies.access import Actor
from policies.bill_words import (
    OTHER_CATEGORY,
    Spoken,
    category_name,
    estimate_note,
    line_words,
    read_aloud,
)
from policies.refusals import NotFound

BILL: LiteralString = """
    SELECT * FROM daily_bill_read(%(hospital)s, %(stay)s, %(day)s, %(version)s, %(words)s,
        %(other)s, %(patients)s, %(wards)s)
"""


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
) -> tuple[dict[str, Any], str]:
    """One version of a day's list, the latest if none is named: the bill, ready to be written as
    JSON, and its lines, which are JSON already.

    That a patient or a consenting relative opened it is noted the first time; staff leave no mark.
    """
    bill = _find(actor, admission_id, day, version)
    if actor.may("own:read") and bill["opened_at"] is None:
        bill["opened_at"] = _note_opening(bill["id"], actor, now())
    by_category = _by_category(bill["classes"] or {}, bill["classes_before"] or {})
    view = {
        **_head(admission_id, day, bill),
        "insured": bill["insured"],
        "before_total_fen": bill["before_total_fen"],
        "by_category": by_category,
        "read_aloud": _aloud(day, bill, by_category),
        "questions": [_question(question) for question in bill["questions"] or ()],
    }
    return view, f"[{bill['lines'] or ''}]"


def _find(actor: Actor, admission_id: UUID, day: date, version: int | None) -> dict[str, Any]:
    found = named_at_once(
        BILL,
        day=day,
        version=version,
        words=line_words(),
        other=OTHER_CATEGORY,
        **asked_for(actor, admission_id, "VIEW"),
    )
    if not found:
        raise NotFound("ADMISSION_UNKNOWN")
    if found[0]["id"] is None:
        raise NotFound("DAILY_BILL_UNKNOWN", day=day.isoformat())
    return found[0]


def _note_opening(bill_id: UUID, actor: Actor, at: datetime) -> datetime | None:
    """When it was opened first: now, unless somebody was faster."""
    first = update(DailyBill).where(DailyBill.id == bill_id, DailyBill.opened_at.is_(None))
    with Session.begin() as db:
        db.execute(first.values(opened_at=at, opened_by=actor.name))
        return db.scalar(select(DailyBill.opened_at).where(DailyBill.id == bill_id))


def _by_category(now: dict[str, int], before: dict[str, int]) -> list[dict[str, Any]]:
    """The totals of each class today and the day before: what has become more, and what less."""
    return [
        {
            "category": code,
            "name": category_name(code),
            "total_fen": now.get(code, 0),
            "before_fen": before.get(code, 0),
        }
        for code in sorted(now.keys() | before.keys())
    ]


def _head(admission_id: UUID, day: date, bill: dict[str, Any]) -> dict[str, Any]:
    return {
        "admission_id": str(admission_id),
        "inpatient_no": bill["inpatient_no"],
        "patient_name": masked_name(bill["patient_id"], bill["name_sealed"]),
        "ward_name": bill["ward_name"],
        "bed": bill["bed"],
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
            corrected=bill["version"] > 1,
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
