"""A job that carries many messages: each has its turn, and the slot is given back."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import text

from journeys import words
from models.db import Session, new_id
from notifications.messages import deliver_many
from policies.refusals import NotFound


def test_of_a_job_for_many_one_that_fails_takes_nobodys_turn(house):
    """Said again, the job carries what is left and nothing twice."""
    outside = SimpleNamespace(senders=house.senders, now=house.clock.now)
    told = []
    for _ in range(2):
        patient = house.patient(phone=False)
        house.stay(patient)
        told.append(house.tell(patient))
    pack = [str(told[0]), str(new_id()), str(told[1])]
    for _ in range(2):
        with pytest.raises(NotFound, match="MESSAGE_UNKNOWN"):
            words.deliver_messages(outside, pack)
    assert [house.trail(message) for message in told] == [["QUEUED", "SENT"]] * 2
    assert {job.message_id for job in house.print_jobs()} == set(told)


def test_a_job_for_many_does_not_keep_its_slot_while_a_carrier_is_slow(house):
    """After five seconds the rest is another job, behind those that wait."""
    patients = [house.patient(phone=False) for _ in range(3)]
    for patient in patients:
        house.stay(patient)
    told = [house.tell(patient) for patient in patients]
    start = house.clock.now()
    moments = iter(
        [start, start, *[start + timedelta(seconds=5)] * 2, start + timedelta(seconds=6)]
    )

    def now():
        return next(moments, start + timedelta(seconds=7))

    deliver_many(told, house.senders, now)
    states = [house.message(message).state for message in told]
    assert states == ["SENT", "SENT", "QUEUED"]
    with Session() as db:
        (again,) = db.scalars(
            text("SELECT args FROM procrastinate_jobs WHERE args ? 'message_ids'"
                 " AND args ->> 'hospital_id' = :id"),
            {"id": str(house.hospital_id)},
        )  # fmt: skip
    assert again["message_ids"] == [str(told[2])]
    words.deliver_messages(
        SimpleNamespace(senders=house.senders, now=house.clock.now), again["message_ids"]
    )
    assert house.trail(told[2]) == ["QUEUED", "SENT"]
