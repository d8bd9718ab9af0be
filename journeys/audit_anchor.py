"""Every night the head of each audit trail goes to a file outside the database, so that whoever
owns the database can neither cut the trail's end off nor write it anew unseen.

The file is a chain of its own, keyed with the index key: a line changed, removed or put in between
is found, and nobody without the key writes one. That its own last lines are gone it cannot show:
it belongs on storage that only appends, or is copied away every day.
"""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

from journeys.counterparts import Counterparts
from models import audit
from models.db import Session
from models.sealing import fingerprint
from models.work_item import open_item


class AnchorsBroken(Exception):
    """A line of the file was changed, moved or removed, or is cut off; the message names it."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """One line: the newest row of a hospital's trail at a moment. ``chain`` covers the lines before
    it and itself."""

    at: str
    hospital: str
    no: int
    hash: str
    chain: str = ""


def anchor_trail(outside: Counterparts, hospital_id: UUID) -> int:
    """Check a hospital's trail by the heads kept before, add the present one; its number.

    A trail that is broken becomes a task and gets no new head. 0 where there is nothing to do.
    AnchorsBroken: the file itself is not to be trusted.
    """
    no, digest = audit.head(hospital_id)
    if not outside.anchor_file or no == 0:
        return 0
    file, now = Path(outside.anchor_file), outside.now()
    broken_at = audit.verify(hospital_id, *kept(file, outside.code))
    if broken_at is None:
        append(file, Anchor(now.isoformat(), outside.code, no, digest))
        return no
    with Session.begin() as db:
        subject = f"audit_entry:{broken_at}"
        open_item(db, hospital_id=hospital_id, kind="AUDIT_BROKEN", subject=subject, at=now)
    return 0


def append(file: Path, anchor: Anchor) -> None:
    """Add one line and wait until it is on the disk. AnchorsBroken: nothing is added to a broken
    file.
    """
    opened = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o640)
    with os.fdopen(opened, "r+", encoding="utf8") as lines:
        fcntl.flock(lines, fcntl.LOCK_EX)  # several workers, one chain
        known = _read(lines.read())
        chain = _chain(known[-1].chain if known else "", anchor)
        lines.write(json.dumps(asdict(anchor) | {"chain": chain}) + "\n")
        lines.flush()
        os.fsync(lines.fileno())


def kept(file: Path, hospital: str) -> list[tuple[int, str]]:
    """The heads of this hospital's trail, oldest first, after the file's own chain was checked.

    None where there is no file yet. AnchorsBroken.
    """
    known = _read(file.read_text("utf8")) if file.exists() else []
    return [(anchor.no, anchor.hash) for anchor in known if anchor.hospital == hospital]


def _read(text: str) -> list[Anchor]:
    known: list[Anchor] = []
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        try:
            anchor = Anchor(**json.loads(line))
        except (ValueError, TypeError):
            raise AnchorsBroken(f"line {number} cannot be read") from None
        if anchor.chain != _chain(known[-1].chain if known else "", anchor):
            raise AnchorsBroken(f"line {number} is not what was written after the line before it")
        if not line.endswith("\n"):
            raise AnchorsBroken(f"line {number} is cut off")
        known.append(anchor)
    return known


def _chain(before: str, anchor: Anchor) -> str:
    said = json.dumps(["anchor", before, anchor.at, anchor.hospital, anchor.no, anchor.hash])
    return fingerprint(said.encode()).hex()
