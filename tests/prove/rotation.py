"""A sealing key is retired while people are changed and the command is killed again and again."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from uuid import UUID

from sqlalchemy import Engine, text

from models import resealing, sealing
from models.db import Session, new_id
from models.hospital import Hospital
from models.patient import Patient
from tests.stage import id_number

ROOT = Path(__file__).resolve().parent.parent.parent
OLD, NEW, INDEX = "A" * 43 + "=", "sm4-gcm:" + "D" * 22 + "==", "B" * 43 + "="
AT_ONCE = 1000


@dataclass
class People:
    """Patients with what we know of each."""

    engine: Engine
    known: dict[UUID, list[str]] = field(default_factory=dict)

    def make(self, count: int) -> None:
        """So many patients, sealed with the present key."""
        with Session(bind=self.engine) as db, db.begin():
            hospital = Hospital(
                id=new_id(),
                code=f"R-{new_id().hex}",
                name="示范医院",
                institution_type="PUBLIC",
                county_code="520102",
                rule_packs=[],
            )
            db.add(hospital)
        for first in range(0, count, AT_ONCE):
            with Session(bind=self.engine) as db, db.begin():
                numbers = range(first, min(first + AT_ONCE, count))
                db.add_all([self._one(hospital.id, number) for number in numbers])

    def _one(self, hospital_id: UUID, number: int) -> Patient:
        patient = Patient(id=new_id(), hospital_id=hospital_id, his_patient_no=f"P{number}")
        words = [f"张{number}丰", id_number(number), f"199{number:08d}"]
        patient.name, patient.id_no, patient.phone = words
        self.known[patient.id] = words
        return patient

    def change_one(self, chance: Random) -> None:
        """Somebody has a new phone, as the HIS or the window would write it."""
        patient_id = chance.choice(list(self.known))
        phone = f"198{chance.randrange(10**8):08d}"
        with Session(bind=self.engine) as db, db.begin():
            db.get_one(Patient, patient_id, with_for_update=True).phone = phone
        self.known[patient_id][2] = phone

    def wrong(self) -> int:
        """How many patients do not read as we know them."""
        with Session(bind=self.engine) as db:
            return sum(
                [patient.name, patient.id_no, patient.phone] != self.known[patient.id]
                for patient in db.query(Patient).yield_per(AT_ONCE)
            )


@dataclass(frozen=True, slots=True)
class Rotation:
    """What became of it. ``left``: values that only the old key opens."""

    values: int
    kills: int
    changed: int
    shut: int
    left: int
    wrong: int
    seconds: float


def rotate(
    engine: Engine, directory: Path, *, people: int, kills: int, batch: int, seed: int
) -> Rotation:
    """Seal with the old key, add a new one, and seal again, killed ``kills`` times on the way.

    Afterwards the ring of this process holds the new key alone, as after the retirement.
    """
    sealing.use_keys({"old": OLD}, INDEX)
    crowd = People(engine)
    crowd.make(people)
    values = 3 * people
    sealing.use_keys({"old": OLD, "new": NEW}, INDEX)
    began, changed = time.monotonic(), 0
    done, chance = threading.Event(), Random(seed)

    def change() -> None:
        nonlocal changed
        while not done.wait(0.005):
            crowd.change_one(chance)
            changed += 1

    clerk = threading.Thread(target=change)
    clerk.start()
    try:
        for number in range(kills):
            stop_at = values * (number + 1) // (kills + 1)
            _kill_when(engine, stop_at, _start(engine, directory, batch))
        last = _start(engine, directory, batch)
        said, _ = last.communicate()
        if last.returncode:
            raise AssertionError(f"exit {last.returncode}: {said}")
    finally:
        done.set()
        clerk.join()
    seconds = time.monotonic() - began
    sealing.use_keys({"new": NEW}, INDEX)
    with Session(bind=engine) as db:
        shut, held = resealing.shut_values(db), resealing.values_by_key(db)
    left = sum(count for name, count in held.items() if name != "new")
    return Rotation(values, kills, changed, len(shut), left, crowd.wrong(), seconds)


def _start(engine: Engine, directory: Path, batch: int) -> subprocess.Popen[str]:
    connections = directory / "connections.json"
    connections.write_text("{}", "utf8")
    told = {
        "ENVIRONMENT": "development",
        "DATABASE_URL": engine.url.set(drivername="postgresql").render_as_string(False),
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "PUBLIC_BASE_URL": "http://127.0.0.1:9",
        "CONNECTIONS_FILE": str(connections),
        "JWT_KEYS": json.dumps({"only": OLD}),
        "SEALING_KEYS": json.dumps({"old": OLD, "new": NEW}),
        "INDEX_KEY": INDEX,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "wsgi", "keys", "reseal", f"--batch={batch}"],
        cwd=ROOT,
        env=os.environ | told,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _kill_when(engine: Engine, stop_at: int, process: subprocess.Popen[str]) -> None:
    """SIGKILL it when so many values are sealed with the new key."""
    count = text("SELECT count(*) * 3 FROM patient WHERE substring(id_no_sealed, 1, 3) = 'new'")
    while process.poll() is None:
        with engine.connect() as db:
            if db.scalar(count) >= stop_at:
                process.send_signal(signal.SIGKILL)
                break
    process.communicate()
    if process.returncode != -signal.SIGKILL:
        raise AssertionError(f"it ended before it was killed: {process.returncode}")
