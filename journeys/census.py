"""The census of old cards (GZ-7): look at a dump without keeping it, then let a second person
release it.

Both read the files whole in one transaction and check every row; nothing of a dump is kept unless
its sums equal the source.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from config import today
from journeys import census_files
from journeys.census_files import HeadingsWrong
from journeys.census_holders import sealed_holders
from models import census_staging as staging
from models.audit import audit
from models.census import CensusFinding, CensusImport, CensusState
from models.db import ReadSession, Session, new_id
from models.work_item import open_item
from policies.access import Actor
from policies.census import FIELDS, CensusMapping, Table, read_mapping, words
from policies.refusals import Conflict, Forbidden
from policies.sheets import Cell
from policies.sheets import table as as_table

Clock = Callable[[], datetime]
Progress = Callable[[str, int], None]
"""Told the table and how many of its rows were read since the last call."""

COUNTED = 10_000
EXPORTED = 50_000

HEADER = ("表", "行", "列", "代码", "处理", "说明", "应为（元）", "文件写的（元）")


def check_dump(actor: Actor, dump: Path, mapping_text: str, now: Clock, progress: Progress) -> UUID:
    """The dry run: everything that is wrong with a dump, and its totals; no account is made.

    Refused CENSUS_MAPPING_INVALID, CENSUS_FILE_MISSING.
    """
    actor.needs("census:prepare")
    mapping = read_mapping(mapping_text)
    files = census_files.describe(dump, mapping)
    made = new_id()
    with Session.begin() as db:
        moment = now()
        before = CensusImport.standing(db, actor.hospital_id, mapping.source)
        report = _look(db, actor, dump, mapping, before, moment, progress)
        prepared = CensusImport(
            id=made,
            hospital_id=actor.hospital_id,
            source=mapping.source,
            digest=census_files.digest(mapping_text, files),
            state=CensusState.REFUSED if report["blocked"] else CensusState.CHECKED,
            prepared_by=actor.name,
            prepared_at=moment,
            files=files,
            report=report,
        )
        db.add(prepared)
        db.flush()
        prepared.start(db, at=moment, by=actor.name)
        staging.keep_findings(db, made, actor.hospital_id)
        _ask_one_by_one(db, prepared, moment)
        facts = {"state": prepared.state, "digest": prepared.digest, "counts": report["findings"]}
        audit(
            db, actor.hospital_id, actor.name, "census checked", f"census:{made}", facts, at=moment
        )
    return made


def release_dump(
    actor: Actor, import_id: UUID, dump: Path, mapping_text: str, now: Clock, progress: Progress
) -> dict[str, Any]:
    """Import a dump that somebody else checked; the files must be the very same.

    Said again it answers what happened. Forbidden SAME_PERSON_FORBIDDEN, Conflict
    CENSUS_FILES_CHANGED, CENSUS_NOT_RELEASABLE; Refused CENSUS_SUMS_DIFFER: nothing was imported.
    """
    actor.needs("census:release")
    mapping = read_mapping(mapping_text)
    told = census_files.digest(mapping_text, census_files.describe(dump, mapping))
    with Session.begin() as db:
        made = CensusImport.of(db, actor.hospital_id, import_id, lock=True)
        if made.prepared_by == actor.name:
            raise Forbidden("SAME_PERSON_FORBIDDEN")
        if made.digest != told:
            raise Conflict("CENSUS_FILES_CHANGED")
        if made.state in (CensusState.REFUSED, CensusState.REPLACED):
            raise Conflict("CENSUS_NOT_RELEASABLE", state=made.state)
        if made.state == CensusState.CHECKED:
            _release(db, actor, made, dump, mapping, now(), progress)
        return _shown(made)


def imports(actor: Actor) -> list[dict[str, Any]]:
    """Every dump that was looked at here, the newest first."""
    query = (
        select(CensusImport)
        .where(CensusImport.hospital_id == actor.hospital_id)
        .order_by(CensusImport.prepared_at.desc())
    )
    with ReadSession() as db:
        return [_shown(each) for each in db.scalars(query)]


def one_import(actor: Actor, import_id: UUID) -> dict[str, Any]:
    """One dump with its report."""
    with ReadSession() as db:
        return _shown(CensusImport.of(db, actor.hospital_id, import_id))


def findings(actor: Actor, import_id: UUID, after: int, limit: int) -> list[dict[str, Any]]:
    """What was found, in the order of the files, after a number."""
    with ReadSession() as db:
        CensusImport.of(db, actor.hospital_id, import_id)
        query = (
            select(CensusFinding)
            .where(CensusFinding.import_id == import_id, CensusFinding.no > after)
            .order_by(CensusFinding.no)
            .limit(limit)
        )
        return [_told(each) for each in db.scalars(query)]


def export_findings(actor: Actor, import_id: UUID, form: str) -> bytes:
    """What was found as a table for whoever mends the files, the first EXPORTED of it."""
    found = findings(actor, import_id, 0, EXPORTED)
    return as_table(form, HEADER, map(_line, found))


def _release(
    db: Db,
    actor: Actor,
    made: CensusImport,
    dump: Path,
    mapping: CensusMapping,
    moment: datetime,
    progress: Progress,
) -> None:
    before = CensusImport.standing(db, actor.hospital_id, made.source)
    made.report = _look(db, actor, dump, mapping, before, moment, progress)
    made.released_by, made.released_at = actor.name, moment
    staging.keep_findings(db, made.id, actor.hospital_id)
    if made.report["blocked"]:
        made.move(db, CensusState.REFUSED, at=moment, by=actor.name)
        _ask_one_by_one(db, made, moment)
    elif made.report["standing"] == "SAME":
        made.move(db, CensusState.UNCHANGED, at=moment, by=actor.name)
    else:
        if before:
            before.move(db, CensusState.REPLACED, at=moment, by=actor.name, why=f"census:{made.id}")
            db.flush()
        replaces = before.id if before else None
        staging.load(
            db, made.id, actor.hospital_id, made.source, replaces, by=actor.name, at=moment
        )
        made.move(db, CensusState.IMPORTED, at=moment, by=actor.name)
    db.flush()
    facts = {"state": made.state, "digest": made.digest, "totals": made.report["totals"]}
    audit(
        db, actor.hospital_id, actor.name, "census released", f"census:{made.id}", facts, at=moment
    )


def _ask_one_by_one(db: Db, made: CensusImport, moment: datetime) -> None:
    """Money moved since the dump that this one corrects: a name, a balance, are a person's work."""
    if made.report["standing"] == "MOVED":
        open_item(
            db,
            hospital_id=made.hospital_id,
            kind="CENSUS_CHANGED_AFTER_MONEY",
            subject=f"census:{made.id}",
            at=moment,
            note="更正的旧卡数据没有导入，因为已有账户的钱动过：请按检查结果逐户核对。姓名写错的，"
            "请本人带证件到窗口办理，或请HIS按证件登记",
        )


def _look(
    db: Db,
    actor: Actor,
    dump: Path,
    mapping: CensusMapping,
    before: CensusImport | None,
    moment: datetime,
    progress: Progress,
) -> dict[str, Any]:
    """Read all files into staging and check them: totals, findings by code, whether one blocks."""
    staging.begin(db, actor.hospital_id, mapping.channels)
    rows = {table.name: _stage(db, dump, table, progress) for table in mapping.tables}
    standing = staging.check(db, actor.hospital_id, before.id if before else None, today(moment))
    found = staging.counts(db)
    return {
        "rows": rows,
        "standing": standing,
        "blocked": any(words()[code].blocks for code in found),
        "findings": found,
        "totals": staging.totals(db, today(moment)),
    }


def _stage(db: Db, dump: Path, table: Table, progress: Progress) -> int:
    try:
        with census_files.opened(dump, table) as read:
            rows = _counting(table.name, read, progress)
            return staging.copy(db, table.name, _in_order(table, rows))
    except HeadingsWrong as headings:
        for field, code in headings.wrong:
            staging.found(db, table.name, 1, field, code)
        return 0


def _in_order(table: Table, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Cells in the order of our fields, whatever the mapping's order; unmapped ones empty."""
    if table.name == "holders":
        return sealed_holders(list(table.columns), rows)
    told = list(table.columns)
    places = [2 + told.index(field) if field in told else None for field in FIELDS[table.name]]
    if places == list(range(2, 2 + len(told))):
        return iter(rows)
    return (
        (row[0], row[1], *("" if place is None else row[place] for place in places)) for row in rows
    )


def _counting(
    name: str, rows: Iterable[tuple[Any, ...]], progress: Progress
) -> Iterator[tuple[Any, ...]]:
    since = 0
    for row in rows:
        yield row
        since += 1
        if since == COUNTED:
            progress(name, since)
            since = 0
    progress(name, since)


def _shown(made: CensusImport) -> dict[str, Any]:
    return {
        "id": made.id,
        "source": made.source,
        "state": made.state,
        "prepared_by": made.prepared_by,
        "prepared_at": made.prepared_at,
        "released_by": made.released_by,
        "released_at": made.released_at,
        "files": made.files,
        "report": made.report,
    }


def _line(found: dict[str, Any]) -> list[Cell]:
    facts = found["facts"]
    fen = [facts.get("expected_fen"), facts.get("stated_fen")]
    return [
        *(found["table"], found["row"], found["field"], found["code"]),
        *("必须改正" if found["blocks"] else "提醒", found["say"]),
        *(None if each is None else Decimal(each) / 100 for each in fen),
    ]


def _told(finding: CensusFinding) -> dict[str, Any]:
    word = words()[finding.code]
    return {
        "no": finding.no,
        "table": finding.about,
        "row": finding.row_no,
        "field": finding.field,
        "code": finding.code,
        "blocks": word.blocks,
        "say": word.say,
        "facts": finding.facts or {},
    }
