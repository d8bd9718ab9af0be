"""The backup-and-restore drill: a database and its disk are lost in the middle of money movements,
and another cluster is brought to a moment before from the base backup and the archived WAL.

``python -m tests.prove.drill`` does, in this order: a cluster with WAL archiving; movements by four
threads, the base backup taken meanwhile; a moment at which every table is hashed and the audit
trail anchored; more movements; SIGKILL to the postmaster and its directory deleted; a second
cluster from backup and archive to that moment; all hashes, the ledger's proof, the audit trail,
every sealed value; then the portable way, pg_dump and pg_restore, and the same checks again.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import psycopg
from psycopg import sql

import local
from config import today
from journeys.audit_anchor import anchor_trail, kept
from journeys.unmasking import unmask
from local_servers import Children, postgres_program, start_postgres
from models import audit, ledger, schema, sealing
from models import db as database
from models.admission import Admission
from models.db import Session, rows
from models.hospital import Hospital
from tests import till
from tests.prove.clear_text import scratch
from tests.prove.report import Figure, write
from tests.sim_process import running
from tests.stage import Stage, build

KEYS = {"drill": "A" * 43 + "="}
INDEX = "B" * 43 + "="
THREADS, STAYS = 4, 16
PATIENCE_S = 120
Hashes = dict[str, tuple[int, str]]
"""Table -> its rows and the hash over all of them."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a drill lies. ``lost``: the first cluster, ``new``: the second, ``archive``: the WAL,
    ``anchors``: the file of the audit trail's heads."""

    lost: Path
    new: Path
    archive: Path
    anchors: Path

    @classmethod
    def lay(cls, directory: Path) -> "Site":
        """Make the directories, open to the server's user."""
        site = cls(
            directory / "lost", directory / "new", directory / "archive", directory / "heads"
        )
        _, as_user = postgres_program("postgres", directory)
        for place in (site.lost, site.new, site.archive):
            place.mkdir(mode=0o755)
            if as_user:
                os.chown(place, as_user["user"], as_user["group"])
        return site


@dataclass(frozen=True, slots=True)
class Moment:
    """What was at the moment to which everything is restored."""

    at: datetime
    hashes: Hashes
    hospital: str

    @property
    def rows(self) -> int:
        """How many there were in all tables."""
        return sum(count for count, _ in self.hashes.values())


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong with a restored database; all empty when it is right."""

    tables: list[str]
    ledger: int
    audit: str
    keys: str

    @property
    def held(self) -> bool:
        """Whether nothing is."""
        return not (self.tables or self.ledger or self.audit or self.keys)

    def told(self, moment: Moment) -> str:
        """In the words of the table."""
        return (
            f"{len(self.tables)} of {len(moment.hashes)} tables ({moment.rows} rows) differ; "
            f"{self.ledger} findings of the ledger's proof; audit trail: {self.audit or 'whole'}; "
            f"keys check --all: {self.keys or 'all open'}"
        )


class Movements:
    """Money that moves at the windows of one hospital."""

    def __init__(self, stage: Stage, chance: Random) -> None:
        self.stage, self.chance = stage, chance
        for role in ("CASHIER", "NURSE", "FINANCE_CHECKER"):
            stage.actor(role)
        self.stays = [stage.stay(quota_fen=10**9) for _ in range(STAYS)]
        self.made = 0

    def make(self, count: int) -> None:
        """So many, by four people at once."""
        jobs = [(self.chance.choice(self.stays), self.chance.random()) for _ in range(count)]
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda job: self._one(*job), jobs))
        self.made += count

    def _one(self, stay: Admission, kind: float) -> None:
        till.pay_cash(self.stage, stay, 10_000 + int(kind * 90_000))
        if kind < 0.3:
            refund = till.ask_back(self.stage, stay, 5_000)
            till.check(self.stage, refund)
            till.hand_over(self.stage, refund)
        elif kind < 0.6:
            self.stage.charge(stay, 1_234, 5_678)
        elif kind < 0.7:
            self.look_at_somebody(stay)

    def look_at_somebody(self, stay: Admission) -> None:
        """A row of the audit trail."""
        unmask(self.stage.actor("NURSE"), stay.id, "核对身份", self.stage.clock.now)


def hashes_of(url: str) -> Hashes:
    """Every table of ours, whole."""
    found: Hashes = {}
    with psycopg.connect(url, autocommit=True, options="-c timezone=UTC") as db:
        listed = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        for (table,) in db.execute(listed).fetchall():
            query = sql.SQL(
                "SELECT count(*), md5(coalesce(string_agg(md5(t::text), '' ORDER BY md5(t::text)),"
                " '')) FROM {} t"
            ).format(sql.Identifier(table))
            count, digest = db.execute(query).fetchone() or (0, "")
            found[table] = count, digest
    return found


@contextmanager
def archiving(site: Site) -> Iterator[str]:
    """The first cluster, its finished WAL copied to the archive."""
    with (
        Children(site.lost / "log") as children,
        psycopg.connect(start_postgres(children, site.lost), autocommit=True) as db,
    ):
        copy = f"test ! -f {site.archive}/%f && cp %p {site.archive}/%f"
        db.execute("ALTER SYSTEM SET archive_mode = 'on'")
        db.execute(sql.SQL("ALTER SYSTEM SET archive_command = {}").format(copy))
    with Children(site.lost / "log") as children:
        yield start_postgres(children, site.lost)


def base_backup(site: Site, url: str) -> subprocess.Popen[bytes]:
    """Start copying the running cluster to where the second one will stand."""
    (data,) = site.lost.glob("postgres-*")
    program, as_user = postgres_program("pg_basebackup", site.lost)
    argv = [program, "--dbname", url, "--pgdata", site.new / data.name, "--checkpoint=fast"]
    return subprocess.Popen(argv, cwd="/", **as_user)


def note(stage: Stage, url: str, site: Site) -> Moment:
    """Hash everything and anchor the trail; nobody writes meanwhile."""
    with Session() as db:
        code = db.get_one(Hospital, stage.hospital_id).code
    outside = replace(stage.outside, anchor_file=str(site.anchors))
    if not anchor_trail(outside, stage.hospital_id):
        raise AssertionError("nothing was anchored")
    moment = Moment(rows("SELECT clock_timestamp() AS at")[0]["at"], hashes_of(url), code)
    time.sleep(0.1)  # recovery stops before the first commit that is later
    return moment


def archive_all(url: str, patience_s: float = PATIENCE_S) -> None:
    """Finish the present WAL file and wait until the archive has it."""
    with psycopg.connect(url, autocommit=True) as db:
        (last,) = db.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone() or ("",)
        until = time.monotonic() + patience_s
        asked = "SELECT coalesce(last_archived_wal, '') >= %s FROM pg_stat_archiver"
        while db.execute(asked, [last]).fetchone() != (True,):
            if time.monotonic() > until:
                raise AssertionError(f"{last} was not archived")
            time.sleep(0.1)


def lose(site: Site) -> None:
    """The postmaster is killed and its disk is gone, with all logs."""
    (pid_file,) = site.lost.glob("postgres-*/postmaster.pid")
    os.kill(int(pid_file.read_text().splitlines()[0]), signal.SIGKILL)
    shutil.rmtree(pid_file.parent)


def restore(children: Children, site: Site, moment: Moment) -> str:
    """Bring the second cluster to the moment; its URL when it takes writes."""
    (data,) = site.new.glob("postgres-*")
    target = moment.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")
    with (data / "postgresql.auto.conf").open("a") as told:
        told.write(
            "archive_mode = 'off'\n"
            f"restore_command = 'cp {site.archive}/%f %p'\n"
            f"recovery_target_time = '{target}'\n"
            "recovery_target_action = 'promote'\n"
        )
    signal_file = data / "recovery.signal"
    signal_file.touch()
    os.chown(signal_file, data.stat().st_uid, data.stat().st_gid)
    url = start_postgres(children, site.new)
    until = time.monotonic() + PATIENCE_S
    with psycopg.connect(url, autocommit=True) as db:
        while db.execute("SELECT pg_is_in_recovery()").fetchone() != (False,):
            if time.monotonic() > until:
                raise AssertionError("recovery did not end")
            time.sleep(0.05)
    return url


def portable(site: Site, url: str) -> str:
    """pg_dump, a new database, pg_restore; its URL."""
    dump, copy = site.new / "xianzhen.dump", url.replace("/xianzhen?", "/xianzhen_restored?")
    pg_dump, _ = postgres_program("pg_dump", site.new)
    pg_restore, _ = postgres_program("pg_restore", site.new)
    subprocess.run([pg_dump, "--format=custom", "--file", dump, url], check=True)
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("CREATE DATABASE xianzhen_restored")
    options = ["--no-owner", "--exit-on-error", "--jobs=2", "--dbname", copy]
    subprocess.run([pg_restore, *options, dump], check=True)
    return copy


def examine(url: str, moment: Moment, site: Site, later: list[tuple[int, str]]) -> Findings:
    """All that docs/operations.md asks to be looked at after a restore."""
    now = hashes_of(url)
    tables = sorted(t for t in moment.hashes | now if moment.hashes.get(t) != now.get(t))
    engine = database.connect(url)
    with Session() as db:
        hospital_id = Hospital.by_code(db, moment.hospital).id
        findings = len(ledger.prove(db, hospital_id))
    missing = audit.head(hospital_id)[0] + 1
    seen = audit.verify(hospital_id, *later) == missing
    engine.dispose()
    environment = os.environ | {
        "ENVIRONMENT": "development",
        "DATABASE_URL": url,
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "PUBLIC_BASE_URL": "http://127.0.0.1:9",
        "CONNECTIONS_FILE": str(site.new / "connections.json"),
        "AUDIT_ANCHOR_FILE": str(site.anchors),
        "JWT_KEYS": json.dumps(KEYS),
        "SEALING_KEYS": json.dumps(KEYS),
        "INDEX_KEY": INDEX,
    }
    (site.new / "connections.json").write_text("{}", "utf8")
    flask = ("-m", "flask", "--app", "wsgi")
    return Findings(
        tables,
        findings,
        ("" if seen else "the rows lost after the moment are not missed")
        or _complaint(*flask, "audit", "verify", "--hospital", moment.hospital, env=environment),
        _complaint(*flask, "keys", "check", "--all", env=environment),
    )


def _complaint(*command: str, env: dict[str, str]) -> str:
    """What a command of ours says when it fails; empty when it does not."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=local.ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stderr.strip() or f"exit {done.returncode}"


def drill(movements: int, seed: int) -> list[Figure]:
    """Do it all; one figure a way of restoring."""
    sealing.use_keys(KEYS, INDEX)
    with scratch() as directory, running() as simulator:
        site = Site.lay(directory)
        began = time.monotonic()
        with archiving(site) as url:
            schema.upgrade(url)
            engine = database.connect(url)
            money = Movements(build(simulator), Random(seed))
            moment, later = happen(money, movements // 3, url, site)
            archive_all(url)
            engine.dispose()
            lose(site)
        with Children(site.new / "log") as children:
            began_to_restore = time.monotonic()
            url = restore(children, site, moment)
            restored_s = time.monotonic() - began_to_restore
            found = examine(url, moment, site, later)
            began_to_copy = time.monotonic()
            copy = portable(site, url)
            copied_s = time.monotonic() - began_to_copy
            again = examine(copy, moment, site, later)
        seconds = time.monotonic() - began
    must = (
        "every table as at the moment, the ledger proves itself, the trail whole, all values open"
    )
    loss = f"cluster and disk lost among {money.made} movements by {THREADS} threads"
    took = f"{found.told(moment)}; restored in {restored_s:.1f} s"
    copied = f"{again.told(moment)}; dumped and restored in {copied_s:.1f} s"
    copying = "pg_dump and pg_restore into an empty database"
    return [
        Figure("restore to a moment", loss, must, took, seed, seconds, found.held),
        Figure("portable restore", copying, must, copied, seed, copied_s, again.held),
    ]


def happen(
    money: Movements, count: int, url: str, site: Site
) -> tuple[Moment, list[tuple[int, str]]]:
    """Movements with a base backup among them, the moment, and movements that will be lost; also
    the trail's heads that were kept after the moment."""
    backup = base_backup(site, url)
    money.make(count)
    if backup.wait(PATIENCE_S):
        raise AssertionError("pg_basebackup failed")
    money.make(count)
    moment = note(money.stage, url, site)
    kept_then = site.anchors.read_bytes()
    money.make(count)
    money.look_at_somebody(money.stays[0])  # the trail goes on after the moment
    note(money.stage, url, site)
    later = kept(site.anchors, moment.hospital)
    site.anchors.write_bytes(kept_then)
    return moment, later


def main() -> int:
    """Print the figures, write them down unless told not to; 0 if all held."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.prove.drill")
    parser.add_argument("--movements", type=int, default=300)
    parser.add_argument("--seed", type=int, default=20251125)
    parser.add_argument("--dry", action="store_true", help="do not write docs/reliability.md")
    asked: Any = parser.parse_args()
    figures = drill(asked.movements, asked.seed)
    for figure in figures:
        sys.stdout.write(
            f"{'held' if figure.held else 'NOT HELD'}  {figure.name}: {figure.figure}\n"
        )
    if not asked.dry:
        write(figures, today(datetime.now(UTC)))
    return 0 if all(figure.held for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
