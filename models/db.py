"""The one door to PostgreSQL: sessions for writing, an AUTOCOMMIT reader, and a check that nobody
waits inside either.
"""

import select
import threading
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, LiteralString, Self
from uuid import UUID
from weakref import WeakSet

import psycopg
import uuid_utils.compat
from psycopg.abc import Params
from psycopg.rows import RowFactory, dict_row, tuple_row
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    MetaData,
    create_engine,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.dialects.postgresql import UUID as PgUUID
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidatePoolError
from sqlalchemy.orm import DeclarativeBase, SessionTransaction, sessionmaker
from sqlalchemy.orm import Session as SqlSession

from policies.refusals import Conflict

Session: sessionmaker[SqlSession] = sessionmaker(expire_on_commit=False)
"""Every write: ``with Session.begin() as db``. Journeys open it; nothing below them commits."""

ReadSession: sessionmaker[SqlSession] = sessionmaker(expire_on_commit=False)
"""Every read that is followed by no write: ``with ReadSession() as db``. Statements stand for
themselves, without BEGIN and ROLLBACK around them; nothing can be written through it.
"""

_open_here = threading.local()
_reader: Engine | None = None


class Base(DeclarativeBase):
    """Every table. Ids are UUIDv7 made in Python; stored times are UTC; money is whole fen in a
    bigint.
    """

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {
        UUID: PgUUID(as_uuid=True),
        int: BigInteger,
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
    }

    def as_row(self) -> dict[str, Any]:
        """Its columns, for a function of the database that writes it down; what was not said is
        what the table's default says.
        """
        return {column.key: _said(self, column) for column in self.__table__.columns}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """Such a row as PostgreSQL wrote it in JSON; it belongs to no session."""
        return cls(**{key: _read(cls.__table__.columns[key], value) for key, value in row.items()})


def _said(entity: Base, column: ColumnElement[Any]) -> Any:
    value = getattr(entity, column.key or "")
    default: Any = getattr(column, "default", None)
    if value is not None or default is None:
        return value
    return default.arg(None) if default.is_callable else default.arg


_OF_JSON: dict[type, Callable[[Any], Any]] = {
    UUID: UUID,
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
    bytes: lambda text: bytes.fromhex(text.removeprefix("\\x")),
}
"""What JSON has no words for."""


def _read(column: ColumnElement[Any], value: Any) -> Any:
    read = _OF_JSON.get(column.type.python_type)
    return read(value) if read and value is not None else value


class TransactionOpen(AssertionError):
    """Somebody was about to wait for the outside world while holding a database transaction."""


Moment = TIMESTAMP(timezone=True)
"""Column type of a point in time; always UTC."""


def new_id() -> UUID:
    """A UUIDv7: unique across machines and sorted by the time it was made."""
    return uuid_utils.compat.uuid7()


def id_of(number: str) -> UUID | None:
    """The id whose hexadecimal digits this number is; None for a number that is not ours."""
    try:
        return UUID(hex=number)
    except ValueError:
        return None


KEPT_OPEN = 10
"""Connections that stay open when nobody needs them."""


def connect(url: str, *, connections: int = 20, timeout: float = 10) -> Engine:
    """Bind both doors to a database URL (``postgresql://…``) and return the engine that writes.

    At most so many ``connections`` are open; who gets none within ``timeout`` seconds is told so.
    """
    global _reader
    url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(
        url,
        pool_size=min(connections, KEPT_OPEN),
        max_overflow=max(0, connections - KEPT_OPEN),
        pool_timeout=timeout,
        connect_args={"options": "-c timezone=UTC -c lock_timeout=15s"},
    )
    event.listen(engine, "checkout", _refuse_a_dead_line)
    Session.configure(bind=engine)
    _reader = engine.execution_options(isolation_level="AUTOCOMMIT")
    ReadSession.configure(bind=_reader)
    return engine


def reader() -> Connection:
    """A connection in AUTOCOMMIT for reads that need no transaction: ``with reader() as db``."""
    if _reader is None:
        raise RuntimeError("connect() was not called")
    return _reader.connect()


def rows(sql: str, **values: Any) -> list[dict[str, Any]]:
    """The rows of one statement that stands for itself, as dictionaries."""
    with reader() as db:
        return [dict(row) for row in db.execute(text(sql), values).mappings()]


def at_once(sql: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
    """The rows of one statement that is a transaction of its own, over the bare driver (``%s``).

    For the few paths of which a hospital has hundreds a second: through SQLAlchemy a statement
    costs three times the CPU. What fails is raised as SQLAlchemy would raise it.
    """
    return _at_once(sql, values, tuple_row)


def named_at_once(sql: LiteralString, **values: Any) -> list[dict[str, Any]]:
    """As ``at_once``, with names on both sides: ``%(name)s`` in the statement, rows as
    dictionaries."""
    return _at_once(sql, values, dict_row)


def _at_once(sql: LiteralString, values: Params, row: RowFactory[Any]) -> list[Any]:
    if _reader is None:
        raise RuntimeError("connect() was not called")
    try:
        line = _reader.raw_connection()
        driver: Any = line.driver_connection
        try:
            driver.autocommit = True
            return list(driver.cursor(row_factory=row).execute(sql, values).fetchall())
        finally:
            if driver.closed:
                line.invalidate()
            else:
                driver.autocommit = False
            line.close()
    except psycopg.Error as failure:
        raise failed(sql, failure) from failure


def within(db: SqlSession, sql: LiteralString, **values: Any) -> list[dict[str, Any]]:
    """As ``named_at_once``, in the transaction of this session, after what the session has to
    write.
    """
    db.flush()
    driver: Any = db.connection().connection.driver_connection
    try:
        return list(driver.cursor(row_factory=dict_row).execute(sql, values).fetchall())
    except psycopg.Error as failure:
        raise failed(sql, failure) from failure


def add_once(db: SqlSession, row: Base, one_a_key: str) -> None:
    """Write a new row now. Conflict IDEMPOTENCY_CONFLICT when at this moment another was made with
    the same key: ``one_a_key`` is the name of the constraint that says so.
    """
    db.add(row)
    try:
        db.flush()
    except IntegrityError as twin:
        if one_a_key in str(twin.orig):
            raise Conflict("IDEMPOTENCY_CONFLICT") from twin
        raise


def failed(sql: str, failure: psycopg.Error) -> BaseException:
    """What SQLAlchemy would have raised if the statement had gone through it."""
    return DBAPIError.instance(sql, None, failure, psycopg.Error)


def assert_nothing_open() -> None:
    """Raise if this thread holds a transaction. Every adapter calls it before it asks anyone
    anything.
    """
    if any(session.in_transaction() for session in _begun_here()):
        raise TransactionOpen("no transaction may be open while waiting for an outside system")


def _begun_here() -> WeakSet[SqlSession]:
    """The sessions that ever began a transaction in this thread and are still alive.

    They are asked, not counted: a transaction whose connection died in the commit ends without the
    event that would count it down, and its thread could never ask anybody again.
    """
    begun: WeakSet[SqlSession] = _open_here.__dict__.setdefault("sessions", WeakSet())
    return begun


def _refuse_a_dead_line(line: Any, *_: object) -> None:
    """Take no connection out of the pool on which the server has hung up or said goodbye.

    An idle line has nothing to read, so a look at the socket is enough: asking the server each time
    (``pool_pre_ping``) costs a round trip. All older lines are thrown away with it.
    """
    ear = select.poll()
    ear.register(line.pgconn.socket, select.POLLIN)
    if ear.poll(0):
        raise InvalidatePoolError("the server has hung up")


@event.listens_for(ReadSession, "before_flush")
def _nothing_is_written(*_: object) -> None:
    raise AssertionError("a reading session writes nothing: use Session.begin()")


@event.listens_for(Session, "after_transaction_create")
@event.listens_for(ReadSession, "after_transaction_create")
def _opened(session: SqlSession, _transaction: SessionTransaction) -> None:
    _begun_here().add(session)
