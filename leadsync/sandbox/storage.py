"""The content file: a SQLite database with one row per thing, written before a request is answered."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import orjson


class Storable(Protocol):
    """Anything that can write itself down as JSON."""

    def stored(self) -> dict[str, Any]:
        """What is kept of it."""
        ...


class ContentFile:
    """Rows of (kind, id, JSON). Without a path it keeps nothing, and costs nothing.

    `keep` and `drop` collect what changed; `flush` writes it in one transaction. After it the changes survive the
    death of this process (the log is in the kernel's hands; it is not synced, so a power cut may lose the last ones).
    """

    def __init__(self, path: Path | None = None) -> None:
        self._pending: dict[tuple[str, str], Storable | None] = {}
        self._database: sqlite3.Connection | None = None
        if path is not None:
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=OFF")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS content "
                "(kind TEXT, id TEXT, body BLOB, PRIMARY KEY (kind, id)) WITHOUT ROWID"
            )

    def keep(self, kind: str, id: int | str, thing: Storable) -> None:
        """Remembers to write a thing, new or changed."""
        if self._database is not None:
            self._pending[kind, str(id)] = thing

    def drop(self, kind: str, id: int | str) -> None:
        """Remembers to delete a thing."""
        if self._database is not None:
            self._pending[kind, str(id)] = None

    def flush(self) -> None:
        """Writes everything that waits, all or nothing."""
        if self._database is None or not self._pending:
            return
        gone = [key for key, thing in self._pending.items() if thing is None]
        rows = [(*key, orjson.dumps(thing.stored())) for key, thing in self._pending.items() if thing is not None]
        self._database.execute("BEGIN")
        self._database.executemany("DELETE FROM content WHERE kind = ? AND id = ?", gone)
        self._database.executemany("INSERT OR REPLACE INTO content VALUES (?, ?, ?)", rows)
        self._database.execute("COMMIT")
        self._pending.clear()

    def rows(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The things of one kind as (id, JSON), numeric ids in growing order."""
        if self._database is not None:
            query = "SELECT id, body FROM content WHERE kind = ? ORDER BY CAST(id AS INTEGER), id"
            for id, body in self._database.execute(query, (kind,)):
                yield id, orjson.loads(body)

    def wipe(self, *kinds: str) -> None:
        """Forgets every thing of these kinds at once."""
        if self._database is not None:
            self._pending = {key: thing for key, thing in self._pending.items() if key[0] not in kinds}
            self._database.executemany("DELETE FROM content WHERE kind = ?", [(kind,) for kind in kinds])

    def close(self) -> None:
        """Writes the rest and lets go of the file."""
        self.flush()
        if self._database is not None:
            self._database.close()
            self._database = None
