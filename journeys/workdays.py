"""The hospital's own word on single working days, where the published table is missing or late."""

from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from journeys.counterparts import Counterparts
from models.audit import audit
from models.db import ReadSession, Session, new_id
from models.workday_override import WorkdayOverride
from policies.access import Actor
from policies.workdays import published


def set_workday(
    actor: Actor, outside: Counterparts, *, day: date, works: bool, source: str
) -> None:
    """Say whether a day is worked, and by which notice; the last word counts, all are audited."""
    row = {"hospital_id": actor.hospital_id, "day": day, "works": works, "source": source}
    with Session.begin() as db:
        said = insert(WorkdayOverride).values(id=new_id(), **row)
        db.execute(
            said.on_conflict_do_update(
                index_elements=["hospital_id", "day"], set_={"works": works, "source": source}
            )
        )
        facts = {"works": works, "source": source}
        audit(
            db, actor.hospital_id, actor.name, "workday set", f"day:{day}", facts, at=outside.now()
        )


def workdays_of(actor: Actor, year: int) -> dict[str, Any]:
    """A year's own days, and whether the published table is missing (clocks are provisional)."""
    query = (
        select(WorkdayOverride.day, WorkdayOverride.works, WorkdayOverride.source)
        .where(
            WorkdayOverride.hospital_id == actor.hospital_id,
            WorkdayOverride.day.between(date(year, 1, 1), date(year, 12, 31)),
        )
        .order_by(WorkdayOverride.day)
    )
    with ReadSession() as db:
        days = [dict(row) for row in db.execute(query).mappings()]
    return {"year": year, "table_missing": published(date(year, 1, 1)) is None, "days": days}
