"""The small form of ``make prove-secrets``, and that its search finds what it looks for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.prove.clear_text import KINDS, encodings, invent, search

ROOT = Path(__file__).resolve().parent.parent.parent
PEOPLE = 6


def test_nobody_is_in_clear_on_a_disk() -> None:
    command = [sys.executable, "-m", "tests.prove.clear_text", "--people", str(PEOPLE)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["figure"].startswith(f"0 of {KINDS * PEOPLE} secrets found in ")
    places = ("dump", "tables", "WAL", "data directory", "Valkey", "logs")
    assert told["control"] == dict.fromkeys(places, KINDS)


def test_people_differ_in_everything_and_every_seed_makes_its_own() -> None:
    crowd = invent(1001, 1)
    assert len({secret for person in crowd for secret in person.secrets}) == 1001 * KINDS
    assert crowd == invent(1001, 1) != invent(1001, 2)


@pytest.mark.parametrize("kind", range(KINDS))
def test_every_encoding_is_found_inside_other_bytes(tmp_path: Path, kind: int) -> None:
    (person,) = invent(1, 7)
    place = tmp_path / "place"
    place.mkdir()
    secret = person.secrets[kind]
    forms = encodings(secret)
    assert len(forms) == (5 if kind == 0 else 3 if secret.endswith("X") else 2)
    for number, form in enumerate(forms):
        (place / str(number)).write_bytes(b"\0\xff" + form + b"\n\x80")
    assert search([place], [person], tmp_path) == {(place, secret): len(forms)}
