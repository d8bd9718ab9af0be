"""A channel's pace, kept together by everybody who asks: processes, threads, the dead ones too."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from models import pace
from models.db import Session, new_id
from models.pace import FailureSlot
from payments.pacing import BEAT, LEASE, WECHAT_REFUNDS, Limits, turn
from tests.sim_process import ROOT
from tests.stage import Stage

QUICK = Limits(calls=200, old_calls=3_000, failures=6)


@pytest.fixture
def asked(stage: Stage):
    """Ask a channel of its own from many threads; (when, failed) of every call, in order."""
    channel = f"TEST-{new_id().hex}"

    def ask(fails: list[bool], *, old: bool = False, limits: Limits = QUICK):
        def once(fail: bool) -> tuple[float, bool]:
            with turn(stage.hospital_id, channel, limits, old=old) as mine:
                at = time.monotonic()
                mine.failed = fail
            return at, fail

        with ThreadPoolExecutor(8) as pool:
            return sorted(pool.map(once, fails))

    return ask


def most_in(moments: list[float], seconds: float) -> int:
    """The most of these moments that lie within any window so long."""
    return max(sum(start <= at < start + seconds for at in moments) for start in moments)


def test_calls_keep_their_distance(asked):
    calls = asked([False] * 60, limits=Limits(calls=50, old_calls=6_000, failures=6))
    moments = [at for at, _ in calls]
    assert most_in(moments, 1.0) <= 50
    assert moments[-1] - moments[0] >= 59 / 45 - 0.1


def test_calls_about_old_payments_keep_a_longer_one(asked):
    moments = [at for at, _ in asked([False] * 40, old=True)]
    assert most_in(moments, 1.0) <= 50
    assert moments[-1] - moments[0] >= 39 / 45 - 0.1


def test_never_more_than_six_failures_in_a_second(asked):
    calls = asked([n % 2 == 0 for n in range(40)])
    failed = [at for at, fail in calls if fail]
    assert len(failed) == 20
    assert most_in(failed, 1.0) <= 6


def hand(engine, stage, channel: str, *what: str) -> subprocess.Popen[str]:
    url = engine.url.render_as_string(hide_password=False).replace("+psycopg", "")
    command = [sys.executable, "-m", "tests.payments.pacing_process", url, str(stage.hospital_id)]
    return subprocess.Popen([*command, channel, *what], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_a_killed_process_gives_its_slots_back_soon_and_not_at_once(stage, engine):
    one = Limits(calls=200, old_calls=3_000, failures=1)
    asking = hand(engine, stage, "KILLED", "hold")
    with asking:
        assert asking.stdout.readline()
        time.sleep(BEAT + 0.5)  # it has said once that it lives
        asking.kill()
    killed = time.monotonic()
    with turn(stage.hospital_id, "KILLED", one, old=False):
        waited = time.monotonic() - killed
    assert LEASE.total_seconds() - BEAT - 0.6 <= waited < LEASE.total_seconds() + 2


def test_a_call_that_takes_longer_than_a_lease_keeps_its_slot(stage):
    one = Limits(calls=200, old_calls=3_000, failures=1)
    with turn(stage.hospital_id, "LONG", one, old=False):
        time.sleep(LEASE.total_seconds() + 0.5)
        assert took(stage, "LONG") is None


def test_whoever_lost_its_slot_neither_keeps_nor_frees_anothers(stage):
    hospital, channel, second = stage.hospital_id, "LOST", timedelta(seconds=60)
    first, next_one = new_id(), new_id()
    assert took(stage, channel, new_id()) is None  # makes the rows
    assert took(stage, channel, first) is not None
    pace.keep(hospital, channel, first, timedelta())  # its lease runs out
    assert took(stage, channel, next_one) is not None
    pace.keep(hospital, channel, first, second)
    pace.give_back(hospital, channel, first, timedelta())  # the dead one wakes up
    assert took(stage, channel) is None
    pace.give_back(hospital, channel, next_one, timedelta())
    assert took(stage, channel) is not None


def took(stage, channel, holder=None):
    step = timedelta(milliseconds=5)
    return pace.take_turn(
        stage.hospital_id,
        channel,
        holder or new_id(),
        old=False,
        step=step,
        old_step=step,
        slots=1,
        lease=timedelta(seconds=60),
    )


def test_an_error_while_asking_counts_as_a_failure(stage):
    def free() -> int:
        with Session() as db:
            return db.scalar(
                select(func.count())
                .select_from(FailureSlot)
                .where(
                    FailureSlot.hospital_id == stage.hospital_id,
                    FailureSlot.free_at <= func.clock_timestamp(),
                )
            )

    with turn(stage.hospital_id, "WECHAT", WECHAT_REFUNDS, old=False):
        pass
    assert free() == 6
    mine = turn(stage.hospital_id, "WECHAT", WECHAT_REFUNDS, old=False)
    with pytest.raises(ZeroDivisionError), mine:
        raise ZeroDivisionError
    assert free() == 5


def test_several_processes_keep_one_pace(stage, engine):
    hands = [hand(engine, stage, "TOGETHER", "16") for _ in range(3)]
    lines = [
        line.split() for hand in hands for line in hand.communicate(timeout=120)[0].split("\n")
    ]
    assert [hand.returncode for hand in hands] == [0, 0, 0]
    moments = sorted(float(line[0]) for line in lines if line)
    failed = sorted(float(line[0]) for line in lines if line and line[1] == "1")
    assert (len(moments), len(failed)) == (48, 24)
    assert most_in(moments, 1.0) <= 40
    assert most_in(failed, 1.0) <= 6
