"""A settlement whose process died goes on by itself, from wherever it stood (GZ-20)."""

from datetime import timedelta
from typing import Any

from journeys import discharge
from models.admission import Admission
from models.db import ReadSession, named_at_once
from models.queue import use_clock_shift
from models.settlement import Settlement
from payments import insurer_share
from tests.journeys.test_discharge import look, proven, ready, settle
from tests.stage import Stage


def silent(stage: Stage) -> Admission:
    """A stay that was agreed to, and the insurer was never reached."""
    stay = ready(stage, fen=[900_000], fixed={"hifp_pay": "6000.00"}, deposit=350_000)
    stage.simulator.fault("insurance", "2402", "before")
    assert settle(stage, stay)["state"] == "CONFIRMED"
    return stay


def run_of(stay: Admission) -> Settlement:
    with ReadSession() as db:
        run = Settlement.alive(db, stay.id)
    assert run is not None
    return run


def jobs_of(stay: Admission) -> list[Any]:
    found = named_at_once(
        "SELECT scheduled_at FROM procrastinate_jobs WHERE task_name = 'advance_settlement'"
        " AND args ->> 'admission_id' = %(id)s::text",
        id=str(stay.id),
    )
    return [job["scheduled_at"] for job in found]


def test_the_queue_goes_on_half_a_minute_later(stage: Stage) -> None:
    stay = silent(stage)
    agreed_at = run_of(stay).confirmed_at
    assert jobs_of(stay) == [agreed_at + timedelta(seconds=30)]
    assert "advance_settlement" not in stage.run_jobs()
    stage.clock.forward(minutes=2)
    assert "advance_settlement" in stage.run_jobs()
    assert look(stage, stay)["state"] == "CLOSED"
    assert proven(stage)


def test_in_a_rehearsal_the_queue_goes_on_in_its_own_time(stage: Stage) -> None:
    use_clock_shift(timedelta(days=30))
    try:
        stay = silent(stage)
    finally:
        use_clock_shift(timedelta())
    wanted = run_of(stay).confirmed_at + timedelta(seconds=30) - timedelta(days=30)
    assert jobs_of(stay) == [wanted]


def test_what_the_insurer_said_stands_and_the_sweep_books_it(stage: Stage) -> None:
    stay, nurse, outside = silent(stage), stage.actor("NURSE"), stage.outside
    stage.clock.forward(minutes=2)
    run = insurer_share.ask(run_of(stay), outside.insurance, stage.clock.now, nurse)
    assert (run.state, run.amounts["basic"]) == ("INSURED", 600_000)  # and here the process dies
    again = insurer_share.insured({}, silently_drawn(run, stage))
    assert (again.state, again.amounts) == ("INSURED", run.amounts)
    assert discharge.sweep_settlements(outside, stage.hospital_id) == 1
    assert look(stage, stay)["state"] == "CLOSED"
    assert proven(stage)


def test_a_sweep_over_a_bill_that_waits_for_its_payer_writes_nothing(stage: Stage) -> None:
    stay = ready(stage, fen=[100_000], deposit=50_000)
    assert settle(stage, stay)["state"] == "DUE"
    before = written(stay)
    assert discharge.sweep_settlements(stage.outside, stage.hospital_id) == 1
    assert written(stay) == before
    assert look(stage, stay)["due_fen"] == 50_000


def written(stay: Admission) -> list[Any]:
    """Which version of its row the run is, and how many messages its patient has."""
    return named_at_once(
        "SELECT s.xmin::text AS version, count(m.id) AS messages FROM settlement s"
        " LEFT JOIN message m ON m.patient_id = %(patient)s"
        " WHERE s.admission_id = %(id)s GROUP BY 1",
        id=stay.id,
        patient=stay.patient_id,
    )


def silently_drawn(run: Settlement, stage: Stage) -> dict[str, Any]:
    """The move that somebody else, who still saw it confirmed, would make."""
    seen = Settlement(id=run.id, hospital_id=run.hospital_id, state="CONFIRMED")
    return seen.drawn("INSURED", at=stage.clock.now(), by="somebody slower")
