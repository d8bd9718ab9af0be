"""What the simulated world remembers: JSON documents in one SQLite file that survives kill -9."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Doc = dict[str, Any]


class Store:
    """Documents by (kind, key), in the order of first insertion; one lock guards everything."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.RLock()
        self._depth = 0
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # NORMAL is enough against kill -9; only a power cut could take the last commits.
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS document (place INTEGER PRIMARY KEY AUTOINCREMENT,"
            " kind TEXT NOT NULL, key TEXT NOT NULL, doc TEXT NOT NULL, UNIQUE (kind, key))"
        )

    def get(self, kind: str, key: str) -> Doc | None:
        """The document, or None."""
        row = self._run("SELECT doc FROM document WHERE kind=? AND key=?", kind, key).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, kind: str, key: str, doc: Doc) -> None:
        """Write the document, replacing what was there and keeping its place in the order."""
        self._run(
            "INSERT INTO document (kind, key, doc) VALUES (?,?,?)"
            " ON CONFLICT (kind, key) DO UPDATE SET doc=excluded.doc",
            kind,
            key,
            json.dumps(doc, ensure_ascii=False),
        )

    def insert(self, kind: str, key: str, doc: Doc) -> bool:
        """Write the document unless the key is taken; False when it was taken."""
        done = self._run(
            "INSERT OR IGNORE INTO document (kind, key, doc) VALUES (?,?,?)",
            kind,
            key,
            json.dumps(doc, ensure_ascii=False),
        )
        return done.rowcount == 1

    def all(self, kind: str) -> list[tuple[str, Doc]]:
        """Every (key, document) of a kind, oldest first."""
        rows = self._run("SELECT key, doc FROM document WHERE kind=? ORDER BY place", kind)
        return [(key, json.loads(doc)) for key, doc in rows.fetchall()]

    def telling(self, kind: str, words: str) -> list[tuple[str, Doc]]:
        """As ``all``, but only documents with these words, quickly: none of the others is read."""
        rows = self._run(
            "SELECT key, doc FROM document WHERE kind=? AND instr(doc, ?) ORDER BY place",
            kind,
            words,
        )
        return [(key, json.loads(doc)) for key, doc in rows.fetchall()]

    def latest(self, kind: str, count: int) -> list[tuple[str, Doc]]:
        """The last ``count`` inserted of a kind, newest first."""
        rows = self._run(
            "SELECT key, doc FROM document WHERE kind=? ORDER BY place DESC LIMIT ?", kind, count
        )
        return [(key, json.loads(doc)) for key, doc in rows.fetchall()]

    def delete(self, kind: str, key: str) -> bool:
        """Remove the document; False when there was none."""
        return self._run("DELETE FROM document WHERE kind=? AND key=?", kind, key).rowcount == 1

    def clear(self, kind: str) -> None:
        """Remove every document of a kind."""
        self._run("DELETE FROM document WHERE kind=?", kind)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside become durable together or not at all; may nest; holds the lock."""
        with self.lock:
            if self._depth == 0:
                self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._db.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._db.execute("COMMIT")

    def _run(self, statement: str, *values: object) -> sqlite3.Cursor:
        with self.lock:
            return self._db.execute(statement, values)
