"""The desk before the simulator, over its real wire: a stay, every cut, wrong money, a lost row."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import Engine

from config import SHANGHAI, Connections, today
from payments.insurance.desk import InsuranceDesk
from payments.insurance.profile import load
from policies.refusals import Busy, Refused
from tests.payments.insurance.conftest import BILL_FEN, House, hospital
from tests.payments.insurance.test_insurance_line_cut import STEPS
from tests.sim_process import Simulator, running

HOSPITALS = {"GZ01": "csb-guizhou", "CQ01": "tif-chongqing"}
CUTS = [(code, infno, cut) for code in HOSPITALS for infno in STEPS for cut in ("before", "after")]
CUTS += [("GZ01", "2304", cut) for cut in ("error500_before", "error500_after")]


@dataclass
class SharedClock:
    """The simulator's time, which tests move."""

    simulator: Simulator

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.simulator.shifted)

    def forward(self, **by: float) -> None:
        self.simulator.shift(self.simulator.shifted + timedelta(**by).total_seconds())


@pytest.fixture(scope="module")
def world() -> Iterator[Simulator]:
    with running() as simulator:
        yield simulator


@pytest.fixture(params=HOSPITALS)
def code(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def house(engine: Engine, world: Simulator, code: str) -> House:
    """A hospital of ours before the simulator's platform of this code."""
    world.reset()
    clock = SharedClock(world)
    settings = Connections.read(world.connections(code)).insurance

    def seed(card) -> None:
        person = {"certno": card.id_no, "name": card.name, "insutype": "390"}
        world.post(f"/_sim/insurance/{code}/persons", person)

    now = clock.now()
    return House(
        InsuranceDesk.connect(settings, clock.now),
        clock,
        hospital(),
        load(HOSPITALS[code]),
        admitted=now - timedelta(days=4),
        left=now - timedelta(hours=1),
        seed=seed,
    )


@pytest.fixture
def theirs(world: Simulator, code: str) -> Callable[[House, UUID], list[dict]]:
    """The live settlements of a stay by the platform's books."""

    def found(house: House, encounter_id: UUID) -> list[dict]:
        mdtrt_id = house.encounter(encounter_id).mdtrt_id
        return [
            row
            for row in world.get(f"/_sim/insurance/{code}/settlements")["settlements"]
            if row["mdtrt_id"] == mdtrt_id and row["state"] == "ACTIVE" and not row["undoes"]
        ]

    return found


def test_a_whole_stay(house: House, theirs: Callable) -> None:
    encounter_id = house.uploaded()
    trial = house.desk.trial(encounter_id, house.nurse)
    settled = house.settle(encounter_id)
    assert settled.payer_lines() == trial.payer_lines()
    assert sum(amount for _, amount in settled.payer_lines()) == BILL_FEN
    assert settled.funds > 0 and not settled.funds_misplaced and not settled.lines_disagree
    (row,) = theirs(house, encounter_id)
    assert row["setl_id"] == settled.setl_id
    undone = house.desk.undo_settlement(encounter_id, house.nurse, reopen_stay=True)
    assert undone is not None and undone.cash == -settled.cash
    assert theirs(house, encounter_id) == []
    house.desk.change(encounter_id, house.facts(encounter_id), house.nurse)
    house.desk.cancel_registration(encounter_id, house.nurse)
    assert house.encounter(encounter_id).state == "CANCELLED"


@pytest.mark.parametrize(("code", "infno", "fault"), CUTS)
def test_the_line_is_cut(
    house: House, world: Simulator, theirs: Callable, infno: str, fault: str
) -> None:
    begin, step, there = STEPS[infno]
    encounter_id = begin(house)
    world.fault("insurance", infno, fault)
    with pytest.raises(Busy) as busy:
        step(house, encounter_id)
    assert busy.value.code == "INSURANCE_NO_ANSWER"
    step(house, encounter_id)
    stay = house.encounter(encounter_id)
    assert stay.state == there
    assert len(theirs(house, encounter_id)) == (there == "SETTLED")
    if there == "REGISTERED":
        house.upload(encounter_id)
        assert house.settle(encounter_id).total == BILL_FEN


def test_money_that_disagrees_stops(house: House, world: Simulator, theirs: Callable) -> None:
    encounter_id = house.uploaded()
    world.fault("insurance", "2304", "wrong_amounts")
    with pytest.raises(Refused) as refusal:
        house.settle(encounter_id)
    assert refusal.value.code == "INSURANCE_AMOUNTS_DISAGREE"
    assert house.encounter(encounter_id).state == "DISCHARGED"
    (call,) = [call for call in house.calls(encounter_id, "2304") if call.state == "HUMAN"]
    (row,) = theirs(house, encounter_id)
    assert call.facts == {"setl_id": row["setl_id"]}
    assert house.desk.recover(call.id, house.nurse) == "REVERSED"
    assert house.settle(encounter_id).total == BILL_FEN


def test_a_refusal_changes_nothing(house: House, world: Simulator, theirs: Callable) -> None:
    encounter_id = house.uploaded()
    world.fault("insurance", "2304", "refuse")
    with pytest.raises(Refused) as refusal:
        house.settle(encounter_id)
    assert refusal.value.code == "INSURANCE_DECLINED" and refusal.value.facts["said"]
    assert theirs(house, encounter_id) == []
    assert house.settle(encounter_id).total == BILL_FEN


def yesterday(house: House) -> date:
    """The day of what happened until now; the clock then stands in the next one."""
    day = today(house.clock.now())
    midnight = datetime.combine(day + timedelta(days=1), datetime.min.time(), SHANGHAI)
    house.clock.forward(seconds=(midnight - house.clock.now()).total_seconds() + 3600)
    return day


def noon(house: House) -> None:
    """Noon of the next day: far from midnight on either side."""
    yesterday(house)
    house.clock.forward(hours=11)


def test_a_lost_settlement_is_found_by_the_difference_file(
    house: House, world: Simulator, theirs: Callable
) -> None:
    noon(house)
    house.settled()
    encounter_id = house.uploaded()
    world.fault("insurance", "2304", "after")
    with pytest.raises(Busy):
        house.settle(encounter_id)
    (call,) = house.calls(encounter_id, "2304")
    day = yesterday(house)
    found = house.desk.reconcile(day, house.nurse)
    assert ("CENTRE_ONLY", call.msgid, "REVERSED") in [
        (finding.kind, finding.msgid, finding.detail) for finding in found
    ]
    assert theirs(house, encounter_id) == []
    assert house.states(encounter_id, "2304") == ["REVERSED"]
    assert house.settle(encounter_id).total == BILL_FEN
