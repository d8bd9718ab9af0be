"""The night of the daily bills is killed inside its statements, and then runs twice at once.

``python -m tests.prove bill_night`` holds the table that the night writes next, kills the
connection that waits for it, 20 times, and then lets two nodes make the bills of one day at once.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import Random

from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from models.db import Session
from tests.his_day import HisDay, line, shanghai
from tests.prove.ground import at_once, ground
from tests.prove.report import Figure

DAY = shanghai(2025, 7, 3).date()
PATIENTS, KILLS, LINES = 2_000, 20, 3
HELD = ("daily_bill", "message")
"""Where the night may be: making the bills, or the messages after them."""
WAITING = text(
    "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN pg_locks l USING (pid)"
    " WHERE NOT l.granted AND l.relation = CAST(:t AS regclass) AND a.pid <> pg_backend_pid()"
)


def run(seed: int, _operations: int) -> list[Figure]:
    """The figure; the seed draws at which statement each kill comes."""
    with ground():
        return [kill_the_night(HisDay(), PATIENTS, KILLS, seed)]


def kill_the_night(day: HisDay, patients: int, kills: int, seed: int = 0) -> Figure:
    """So many nights that die, then one on two nodes at once."""
    begun, chance = time.monotonic(), Random(seed)
    for _ in range(patients):
        stay = day.admit()
        day.charge(*(line(stay.inpatient_no) for _ in range(LINES)))
    day.morning_after(DAY)
    half_done = 0
    with Session() as db:
        engine: Engine = db.get_bind().engine
    with ThreadPoolExecutor(2) as pool:
        for _ in range(kills):
            _kill_once(day, engine, chance.choice(HELD), pool)
            half_done += day.count("daily_bill") + day.count("message")
        made = [said.value for said in at_once([partial(day.make_bills, DAY)] * 2, pool)]
    bills = day.bills()
    missing = patients - len({bill.admission_id for bill in bills})
    doubled = len(bills) - patients + missing
    off_fen = sum(bill.total_fen for bill in bills) - day.charged_fen()
    messages = day.count("message")
    return Figure(
        "the night of the daily bills killed, and on two nodes",
        f"{kills} nights killed inside a statement that makes bills or messages; then two at once",
        "each patient-day once, with one message; lines are the charges",
        f"{missing} of {patients:,} bills missing, {doubled} doubled, {half_done} rows of killed"
        f" nights left, {messages - patients} messages too many, lines off by {off_fen} fen under"
        f" these {kills} kills with seed {seed}",
        seed,
        time.monotonic() - begun,
        not any((missing, doubled, half_done, off_fen, messages - patients))
        and sum(made) == patients,
    )


def _kill_once(day: HisDay, engine: Engine, table: str, pool: ThreadPoolExecutor) -> None:
    with engine.connect() as holder, engine.connect() as killer:
        holder.execute(text(f"LOCK TABLE {table} IN SHARE MODE"))
        night = pool.submit(day.make_bills, DAY)
        while not killer.execute(WAITING, {"t": table}).all():
            if night.done():
                raise AssertionError("the night ended before it was killed")
            killer.rollback()
            time.sleep(0.005)
        killer.rollback()
        if not isinstance(night.exception(), OperationalError):
            raise AssertionError(f"the night was not killed: {night.exception()!r}")
