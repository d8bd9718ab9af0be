"""Every night each inpatient gets the list of yesterday; late charges correct it (CQ-5.3)."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from config import SHANGHAI, today
from journeys.counterparts import Counterparts
from models import daily_bill
from models.admission import Admission
from models.db import ReadSession, Session
from models.work_item import close_open, open_item
from notifications.routes import priority_of, routes_of
from notifications.wording import wording_of
from policies.access import Actor
from policies.refusals import Refused

Clock = Callable[[], datetime]

MADE_AT = 6
"""The hour in Shanghai at which the bills of the day before are made."""


def make_bills(hospital_id: UUID, day: date, now: Clock) -> int:
    """The missing bills of a day that is over, with their messages; how many were made now.

    Kill it, run it twice or on two nodes at once: each patient gets one bill and one message.
    Refused DAY_NOT_OVER for today and later.
    """
    at = now()
    if day >= today(at):
        raise Refused("DAY_NOT_OVER")
    with Session.begin() as db:
        return daily_bill.make(db, hospital_id, day, at, _words())


def make_yesterdays_bills(outside: Counterparts, hospital_id: UUID) -> int:
    """The bills of yesterday, by the Shanghai calendar."""
    return make_bills(hospital_id, _yesterday(outside), outside.now)


def correct_bills(outside: Counterparts, hospital_id: UUID) -> int:
    """The next version for each day that got lines after it was over, told; how many were made.

    It also makes up for yesterday's bills: those of patients who were registered late, or all of
    them if the night's job did not get through. Before six o'clock it does nothing: yesterday's
    lines are still coming in, and nobody is told of each hour's in the night.
    """
    at, words = outside.now(), _words()
    if at.astimezone(SHANGHAI).hour < MADE_AT:
        return 0
    with Session.begin() as db:
        made = daily_bill.correct(db, hospital_id, at, words)
        return made + daily_bill.make(db, hospital_id, _yesterday(outside), at, words)


def check_yesterday(outside: Counterparts, hospital_id: UUID) -> int:
    """How many inpatients have no bill of yesterday; unless 0, a work item says so (CQ-5.3 T5)."""
    at, day = outside.now(), _yesterday(outside)
    kind, subject = "DAILY_BILL_MISSING", f"day:{day}"
    with Session.begin() as db:
        without = daily_bill.missing(db, hospital_id, day)
        if without:
            note = "有在院病人没有昨天的一日清单，请信息科检查夜间任务。"
            open_item(
                db,
                hospital_id=hospital_id,
                kind=kind,
                subject=subject,
                at=at,
                note=note,
                facts={"patients": len(without)},
            )
        else:
            close_open(
                db,
                hospital_id=hospital_id,
                kind=kind,
                subject=subject,
                by="system",
                at=at,
                outcome="清单已补齐",
            )
    return len(without)


def missing_bills(actor: Actor, day: date) -> list[dict[str, Any]]:
    """The report of inpatients without a bill of this day: by ward and bed, without names."""
    with ReadSession() as db:
        without = daily_bill.missing(db, actor.hospital_id, day)
        stays = db.scalars(
            select(Admission)
            .where(Admission.id.in_(without))
            .order_by(Admission.ward, Admission.bed, Admission.id)
        )
        return [
            {
                "admission_id": stay.id,
                "inpatient_no": stay.inpatient_no,
                "ward": stay.ward,
                "ward_name": stay.ward_name,
                "bed": stay.bed,
            }
            for stay in stays
        ]


def _yesterday(outside: Counterparts) -> date:
    return today(outside.now()) - timedelta(days=1)


def _words() -> dict[str, Any]:
    """The message that is stored with each bill: no diagnosis, no item; details need a login (T4).

    PostgreSQL puts in the day and the total of each.
    """
    either = {"first": "DAILY_BILL", "corrected": "DAILY_BILL_CORRECTED"}
    said = {
        which: {
            "template": template,
            "route": routes_of(template)[0],
            "values": wording_of(template).complete({"day": "", "total": ""}),
        }
        for which, template in either.items()
    }
    return {"priority": priority_of(either["first"]), **said}
