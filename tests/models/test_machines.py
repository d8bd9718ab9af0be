"""Every pair of states of every machine is tried; docs/machines.md draws what is allowed."""

import re
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy.orm import Session as SqlSession

from models import schema
from models.db import Base, new_id
from models.machine import ForbiddenMove, Machine, StateMove

schema.import_all()
MACHINES = {
    m.class_.__name__: m.class_ for m in Base.registry.mappers if issubclass(m.class_, Machine)
}
NOW = datetime(2026, 11, 22, tzinfo=UTC)
DRAWN = Path(__file__).parents[2] / "docs" / "machines.md"

PAIRS = [
    pytest.param(machine, str(here), str(there), id=f"{name}:{here}-{there}")
    for name, machine in sorted(MACHINES.items())
    for here, there in product(machine.MOVES, machine.MOVES)
]


@pytest.mark.parametrize(("machine", "here", "there"), PAIRS)
def test_a_pair_of_states(machine, here, there):
    entity = machine(id=new_id(), hospital_id=new_id(), state=here)
    db = SqlSession()
    if there in machine.MOVES[here]:
        entity.move(db, there, at=NOW, by="somebody", why="because")
        (row,) = db.new
        assert isinstance(row, StateMove)
        assert (row.machine, row.entity_id) == (machine.__name__, entity.id)
        assert (row.here, row.there, row.by, row.why, row.at) == (
            here,
            there,
            "somebody",
            "because",
            NOW,
        )
        assert entity.state == there
    else:
        with pytest.raises(ForbiddenMove):
            entity.move(db, there, at=NOW, by="somebody")
        assert entity.state == here
        assert not db.new


def test_an_entity_of_no_session_moves_the_same_way():
    run = MACHINES["Settlement"](id=new_id(), hospital_id=new_id(), state="TRIAL")
    row = run.goes("CONFIRMED", at=NOW, by="somebody", why="because")
    assert (run.state, row["entity_id"], row["here"], row["there"]) == (
        "CONFIRMED",
        run.id,
        "TRIAL",
        "CONFIRMED",
    )
    with pytest.raises(ForbiddenMove):
        run.goes("CLOSED", at=NOW, by="somebody")
    assert run.state == "CONFIRMED"


def test_there_are_machines_to_try():
    assert {
        "PaymentOrder",
        "RefundLeg",
        "InsuranceCall",
        "Message",
        "Settlement",
    } <= MACHINES.keys()


def test_the_document_draws_exactly_these_moves():
    drawn = {}
    for name, table in re.findall(
        r"^## (\w+)\n(.*?)(?=^## |\Z)", DRAWN.read_text("utf8"), re.M | re.S
    ):
        rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", table, re.M)
        drawn[name] = {here: set(re.findall(r"`(\w+)`", there)) for here, there in rows}
    assert drawn == {
        name: {str(here): {str(t) for t in there} for here, there in machine.MOVES.items()}
        for name, machine in MACHINES.items()
    }


def test_every_move_leads_to_a_known_state():
    for machine in MACHINES.values():
        for there in machine.MOVES.values():
            assert set(there) <= set(machine.MOVES)
