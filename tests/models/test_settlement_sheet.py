"""A stay and its settlement are held as they are stored, and written down whole or not at all."""

from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from models import ledger
from models.db import Base, Session, named_at_once
from models.ledger import AccountKind, Line
from models.settlement import Settlement, SettlementState
from models.settlement_sheet import Sheet
from policies.refusals import NotFound, Refused
from tests.journeys.test_discharge import ready, settle
from tests.stage import Stage


def as_stored(entity: Base) -> dict[str, Any]:
    """What the object mapper reads of the same row."""
    with Session() as db:
        stored = db.get_one(type(entity), entity.id)
        return {column.key: getattr(stored, column.key) for column in stored.__table__.columns}


def said(entity: Base) -> dict[str, Any]:
    return {column.key: getattr(entity, column.key) for column in entity.__table__.columns}


def closed(stage: Stage) -> Any:
    """A stay whose bill was closed a moment ago."""
    stay = ready(stage, fen=[100_000], deposit=150_000)
    assert settle(stage, stay)["state"] == "CLOSED"
    return stay


def test_what_is_held_is_what_is_stored(stage: Stage) -> None:
    stay = closed(stage)
    with Session.begin() as db:
        sheet = Sheet.held(db, stay.id)
    assert said(sheet.stay) == as_stored(sheet.stay)
    assert said(sheet.run) == as_stored(sheet.run)
    assert (sheet.claim, sheet.rounds, sheet.was) == (None, 1, "CLOSED")


def test_a_stay_out_of_bounds_is_unknown(stage: Stage) -> None:
    stay = stage.stay()
    with Session.begin() as db:
        assert Sheet.held(db, stay.id, wards=["W1"]).found is None
        for bounds in ({"wards": ["W2"]}, {"patients": []}, {"hospital": stay.id}):
            with pytest.raises(NotFound, match="ADMISSION_UNKNOWN"):
                Sheet.held(db, stay.id, **bounds)


def test_a_run_is_written_only_from_the_state_it_was_held_in(stage: Stage) -> None:
    stay = closed(stage)
    with pytest.raises(IntegrityError, match="is not TRIAL"), Session.begin() as db:
        sheet = Sheet.held(db, stay.id)
        sheet.was = "TRIAL"
        sheet.write(db)


def test_what_the_ledger_refuses_is_not_written_at_all(stage: Stage) -> None:
    stay = closed(stage)
    before = moves(stay.id)
    with pytest.raises(Refused, match="BALANCE_TOO_LOW"), Session.begin() as db:
        sheet = Sheet.held(db, stay.id)
        sheet.move(sheet.run, SettlementState.DUE, at=stage.clock.now(), by="x")
        sheet.movements.append(overdraft(sheet.run, stage))
        try:
            sheet.write(db)
        finally:  # the caller's transaction goes on, and holds nothing of it
            with_it = db.get_one(Settlement, sheet.run.id, populate_existing=True)
            assert with_it.state == "CLOSED"
    assert moves(stay.id) == before


def overdraft(run: Settlement, stage: Stage) -> dict[str, Any]:
    return ledger.movement(
        hospital_id=run.hospital_id,
        key=f"too-much:{run.id}",
        kind="TEST",
        why="",
        by="x",
        at=stage.clock.now(),
        lines=[
            Line(AccountKind.REFUND_IN_TRANSIT, "nobody", 1),
            Line(AccountKind.REVENUE, "INPATIENT", -1),
        ],
    )


def moves(stay_id: Any) -> int:
    """How many moves the run of a stay has made."""
    (row,) = named_at_once(
        "SELECT count(*) AS n FROM state_move m JOIN settlement s ON s.id = m.entity_id"
        " WHERE s.admission_id = %(id)s",
        id=stay_id,
    )
    return int(row["n"])
