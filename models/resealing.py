"""Which key sealed what, and sealing again with the present key, so that an old key can be retired.

Every batch is the caller's short transaction. A row that somebody holds is passed over and found by
the next pass; a row sealed meanwhile by the API is sealed with a key of the ring already.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Table, bindparam, func, or_, select
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from models import schema, sealing
from models.db import Base
from models.sealing import CannotOpen, bound_to, seal, unseal


@dataclass(frozen=True, slots=True)
class Batch:
    """What one batch did. ``last``: the id it came to, None at the end of the table.

    ``shut``: ``table:column:id`` of every value that no key opens; its row was left as it is.
    """

    last: UUID | None
    resealed: int
    shut: tuple[str, ...]


def sealed_tables() -> dict[Table, list[str]]:
    """Every table with sealed columns, and their names without ``_sealed``."""
    schema.import_all()
    found: dict[Table, list[str]] = {}
    for owner, name in sealing.COLUMNS:
        table = Base.metadata.tables[owner.__tablename__]  # type: ignore[attr-defined]
        found.setdefault(table, []).append(name)
    return found


def values_by_key(db: Session) -> dict[str, int]:
    """Key name -> how many stored values it sealed."""
    counted: dict[str, int] = {}
    for table, names in sealed_tables().items():
        for name in names:
            sealed = table.c[f"{name}_sealed"]
            key = func.convert_from(_key_of(sealed), "UTF8")
            query = select(key, func.count()).where(sealed.is_not(None)).group_by(key)
            for known, count in db.execute(query):
                counted[known] = counted.get(known, 0) + count
    return counted


def count_old(db: Session) -> int:
    """How many rows hold a value that another key than the present one sealed."""
    counts = [
        select(func.count()).select_from(table).where(_old(table, names))
        for table, names in sealed_tables().items()
    ]
    return sum(db.scalar(count) or 0 for count in counts)


def reseal_batch(
    db: Session, table: Table, names: list[str], after: UUID | None, limit: int
) -> Batch:
    """Seal the next rows again with the present key, each under its lock."""
    columns = [table.c[f"{name}_sealed"] for name in names]
    query = select(table.c.id, *columns).where(_old(table, names)).order_by(table.c.id)
    if after is not None:
        query = query.where(table.c.id > after)
    found = db.execute(query.limit(limit).with_for_update(skip_locked=True, key_share=True)).all()
    changed, shut = [], []
    for row_id, *blobs in found:
        new = {"row": row_id}
        for name, blob in zip(names, blobs, strict=True):
            place = bound_to(table.name, name, row_id)
            try:
                new[name] = blob and seal(unseal(blob, place), place)
            except CannotOpen:
                shut.append(place)
        if len(new) > len(names):  # every value of the row was opened
            changed.append(new)
    if changed:
        values: dict[str, Any] = {f"{name}_sealed": bindparam(name) for name in names}
        db.connection().execute(
            table.update().where(table.c.id == bindparam("row")).values(values), changed
        )
    return Batch(found[-1].id if found else None, len(changed), tuple(shut))


def shut_values(db: Session) -> list[str]:
    """Try every sealed value there is; ``table:column:id`` of those that do not open."""
    shut: list[str] = []
    for table, names in sealed_tables().items():
        for name in names:
            sealed = table.c[f"{name}_sealed"]
            query = select(table.c.id, sealed).where(sealed.is_not(None))
            for row_id, blob in db.execute(query.execution_options(yield_per=1000)):
                place = bound_to(table.name, name, row_id)
                try:
                    unseal(blob, place)
                except CannotOpen:
                    shut.append(place)
    return shut


def _key_of(sealed: Column[bytes]) -> ColumnElement[bytes]:
    return func.substring(sealed, 1, func.pg_catalog.position(sealed, b"\0") - 1)


def _old(table: Table, names: list[str]) -> ColumnElement[bool]:
    head = sealing.current_key().encode() + b"\0"
    columns = [table.c[f"{name}_sealed"] for name in names]
    return or_(*(func.substring(column, 1, len(head)) != head for column in columns))
