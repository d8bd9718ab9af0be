"""Nobody's name, identity number, phone or bank card is in clear in anything that we leave on a
disk.

``python -m tests.prove.clear_text --people 1000`` starts everything as real processes, lets
invented people come in through the real edge, go wrong, pay, be insured, settled, told and looked
at; a census brings in what three of ten have on old cards, a campaign tells them, and they, or
others for them, get it back on bank cards by a file to the bank. PostgreSQL logs every statement.
Then it searches its dump, its data directory with the
WAL, Valkey's files and all logs for every secret in several encodings. Somebody planted in clear in
each of these places must be found there, or the search proves nothing.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random
from urllib.parse import quote

import psycopg
import redis

from local_servers import postgres_program
from tests.prove.living import Living, living
from tests.prove.old_money import OldMoney, comes
from tests.prove.report import Figure
from tests.stage import id_number

RARE = [bytes((row, cell)).decode("gb2312") for row in range(0xD8, 0xF7) for cell in (0xA1, 0xC3)]
"""Characters that hardly anything but an invented name has."""
FIRST_BIRTHDAY = date(1950, 1, 1)
KINDS = 4
"""Of secrets: name, identity number, phone, bank card."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who does not exist."""

    name: str
    id_no: str
    phone: str
    card: str

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be found."""
        return self.name, self.id_no, self.phone, self.card


def invent(count: int, seed: int) -> list[Person]:
    """So many people, all different in everything."""
    chance = Random(seed)
    names: set[str] = set()
    while len(names) < count:
        names.add("".join(chance.choices(RARE, k=chance.choice((3, 4)))))
    phones, cards = chance.sample(range(10**9), count), chance.sample(range(10**13), count)
    return [
        Person(
            name,
            id_number(number % 1000, FIRST_BIRTHDAY + timedelta(days=number)),
            f"19{phones[number]:09d}",
            f"622200{cards[number]:013d}",
        )
        for number, name in enumerate(sorted(names))
    ]


def encodings(secret: str) -> set[bytes]:
    """The ways in which it could lie somewhere."""
    utf8 = secret.encode()
    found = {utf8, utf8.hex().encode(), secret.lower().encode()}
    if not secret.isascii():
        escaped = json.dumps(secret)[1:-1].encode()
        found |= {secret.encode("gbk"), escaped, quote(secret).encode()}
    return found


def search(places: list[Path], people: list[Person], scratch: Path) -> Counter[tuple[Path, str]]:
    """(place, secret) -> how often it was found there, in whatever encoding."""
    known = {
        form: secret for person in people for secret in person.secrets for form in encodings(secret)
    }
    patterns = scratch / "patterns"
    patterns.write_bytes(b"\n".join(sorted(known)) + b"\n")
    found: Counter[tuple[Path, str]] = Counter()
    for place in places:
        grep = subprocess.run(
            ["grep", "-r", "-a", "-o", "-h", "-F", "-f", patterns, place],
            env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
            capture_output=True,
            check=False,
        )
        if grep.returncode > 1:
            raise AssertionError(grep.stderr.decode(errors="replace"))
        for line in grep.stdout.splitlines():
            found[place, known[line]] += 1
    return found


def live(home: Living, people: dict[int, Person]) -> None:
    """Everybody comes, half of them before the census knows their old card and half after it."""
    coming = {number: person for number, person in people.items() if comes(number)}
    office = OldMoney(home, people)
    home.admit({number: person for number, person in coming.items() if number % 2 == 0})
    office.census()
    office.tell()
    home.admit({number: person for number, person in coming.items() if number % 2})
    office.give_back()
    home.wait_until_told()
    office.must_have_left_traces()


def plant(home: Living, person: Person) -> None:
    """Leave one person in clear in each place."""
    with psycopg.connect(home.database_url, autocommit=True) as db:
        db.execute("CREATE TABLE planted (name text, id_no text, phone text, card text)")
        # log_statement has this in the log; the values go to the table, the WAL and the dump.
        words = ", ".join(f"'{secret}'" for secret in person.secrets)
        db.execute(f"INSERT INTO planted VALUES ({words})")  # noqa: S608
    with redis.Redis.from_url(home.redis_url) as memory:
        memory.set("planted", " ".join(person.secrets))


def places(home: Living) -> dict[str, Path]:
    """Everything that lies on a disk, written out now."""
    with psycopg.connect(home.database_url, autocommit=True) as db:
        db.execute("CHECKPOINT")
    with redis.Redis.from_url(home.redis_url) as memory:
        memory.save()
    dump = home.directory / "dump.sql"
    pg_dump, _ = postgres_program("pg_dump", home.directory)
    subprocess.run([pg_dump, "--file", dump, home.database_url], check=True)
    (data,) = home.directory.glob("postgres-*")
    return {
        "dump": dump,
        "tables": data / "base",
        "WAL": data / "pg_wal",
        "data directory": data,
        "Valkey": home.directory / "valkey",
        "logs": home.directory / "log",
    }


def prove(people: int, seed: int) -> tuple[Figure, dict[str, int]]:
    """The whole: load, plant, search. Also where the planted person was found how often."""
    began = time.monotonic()
    *crowd, planted = invent(people + 1, seed)
    with scratch() as directory, living(directory) as home:
        live(home, dict(enumerate(crowd)))
        plant(home, planted)
        searched = places(home)
        found = search(list(searched.values()), [*crowd, planted], directory)
        once = [path for name, path in searched.items() if name not in ("tables", "WAL")]
        size = sum(file.stat().st_size for path in once for file in files_of(path))
        requests = home.requests
    control = {
        name: len({secret for at, secret in found if at == path and secret in planted.secrets})
        for name, path in searched.items()
    }
    leaked = {secret for _, secret in found if secret not in planted.secrets}
    where = sorted({str(at.name) for at, secret in found if secret in leaked})
    figure = Figure(
        name="secrets at rest",
        faults=f"{requests} requests, good and bad, of inpatients and holders of old cards, with "
        "two dumps of a census and a file for the bank; every statement logged",
        must_hold="no name, identity number, phone or bank card in clear in dump, data directory "
        "with WAL, Valkey's files or logs (UTF-8, GBK, hex, JSON and URL escapes)",
        figure=f"{len(leaked)} of {KINDS * people} secrets found in {size / 2**20:.0f} MiB"
        + (f", in {', '.join(where)}" if where else "")
        + f"; a planted person's {KINDS} were found in "
        f"{sum(n == KINDS for n in control.values())} of {len(control)} places",
        seed=seed,
        seconds=time.monotonic() - began,
        held=not leaked and set(control.values()) == {KINDS},
    )
    return figure, control


def files_of(place: Path) -> Iterator[Path]:
    """The files of a directory, or the file."""
    return (file for file in ([place] if place.is_file() else place.rglob("*")) if file.is_file())


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory that PostgreSQL's user may enter."""
    with tempfile.TemporaryDirectory(prefix="xianzhen-secrets-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def main() -> int:
    """Print what was found as JSON; 0 if it held."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.prove.clear_text")
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=20251125)
    told = parser.parse_args()
    figure, control = prove(told.people, told.seed)
    sys.stdout.write(json.dumps({"figure": figure.figure, "held": figure.held, "control": control}))
    return 0 if figure.held else 1


if __name__ == "__main__":
    sys.exit(main())
