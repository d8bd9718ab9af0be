"""The small form of the killed night of the daily bills."""

from sqlalchemy import Engine

from tests.his_day import HisDay
from tests.prove import bill_night


def test_a_killed_night_and_two_nodes_bill_each_day_once(engine: Engine) -> None:
    found = bill_night.kill_the_night(HisDay(), 6, 4, seed=1)
    assert found.held, found.figure
    assert found.figure.startswith("0 of 6 bills missing, 0 doubled, 0 rows of killed nights left")
