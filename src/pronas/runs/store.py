"""The store of a run: every child's result, committed as it comes, written by the driver alone."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pronas.errors import RunError
from pronas.runs._schema import add_later_columns, connect, create, to_json
from pronas.runs._stored import CHILD, META, child_values, fit, legible, meta_value, misfit
from pronas.space import Cell

__all__ = ["CHILD", "META", "STORE", "Child", "Store", "connect", "misfit"]

#: The file's name in a run's folder.
STORE = "store.sqlite"
#: Running children's epochs are news, not results: at most so often, in seconds, do they cost a commit.
_PROGRESS_EVERY = 0.25


@dataclass(frozen=True)
class Child:
    """One child of a search: its cell, its place in the search, and its result once there is one; None: not yet.

    Attributes:
        id: 1, 2, … in the order of proposal.
        level: blocks of its cell; B + 1 is the level of skip connections.
        round: which proposal of the level.
        cell: as it was proposed; equal cells have one ``canonical``, a text.
        canonical: see ``cell``.
        status: ``proposed``, ``running``, ``done`` or ``failed``.
        reward: validation accuracy, or the run's metric, 0 to 1; a failed child counts as 0.
        predicted, spread: mean and standard deviation of the reward, as the predictor said before training.
        parameters, macs, binary_macs, weight_bits: of the network, one image; see `Description`.
        activation_bytes: most bytes that activations of one image take at a time.
        latency_us: microseconds an image, in the form that ships, where a limit asks for it.
        seconds: wall clock on its worker.
        epochs, images: trained, each image as often as it was seen.
        worker, attempts: where it was trained, and how often it was tried.
        error: one line, if it failed.
        metrics: curves by name, one number an epoch.
        started, finished: seconds since 1970.
        revision: of the store, when it last changed.
        machine: processor and kernels (or the GPU) that trained it; None where version 0.1 did.
    """

    id: int
    level: int
    round: int
    cell: Cell
    canonical: str
    status: str
    reward: float | None = None
    predicted: float | None = None
    spread: float | None = None
    parameters: int | None = None
    macs: int | None = None
    binary_macs: int | None = None
    weight_bits: int | None = None
    activation_bytes: int | None = None
    latency_us: float | None = None
    seconds: float | None = None
    epochs: int | None = None
    images: int | None = None
    worker: str | None = None
    attempts: int | None = None
    error: str | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    started: float | None = None
    finished: float | None = None
    revision: int = 0
    machine: str | None = None

    @property
    def settled(self) -> bool:
        """Whether it need not be trained (again)."""
        return self.status in ("done", "failed")


def read_children(connection: sqlite3.Connection) -> list[Child]:
    """Return every child in the order of proposal."""
    with legible(connection, "the table of children"):
        rows = connection.execute("SELECT * FROM children ORDER BY id").fetchall()
    return [_child(connection, row) for row in rows]


def _child(connection: sqlite3.Connection, row: sqlite3.Row) -> Child:
    with legible(connection, f"child {row['id']!r}"):
        values = child_values(dict(row))
    if "linear" in values["canonical"]:  # written before linear and identity were one operator
        values["canonical"] = str(values["cell"].canonical())
    return Child(**values)


def read_meta(connection: sqlite3.Connection, key: str) -> Any:
    """Return one entry of ``meta``, or ``None``.

    Raises:
        RunError: it cannot be read, or is not what the key holds.
    """
    with legible(connection, f"the entry {key!r}"):
        row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else meta_value(key, row["value"])


class Store:
    """Writes a run's store. Every call is one durable transaction: after it returns, ``kill -9`` loses nothing of it.

    Raises:
        RunError: from any method, when the disk is full or the file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / STORE
        if not self.path.exists():
            create(self.path)
        self._connection = connect(self.path, read_only=False)
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            add_later_columns(self._connection)
        except sqlite3.Error as error:
            raise RunError(_explain(self.path, error)) from error
        self._inode = os.stat(self.path).st_ino
        self._revision: int = read_meta(self._connection, "revision") or 0
        self._progress: dict[int, tuple[Any, ...]] = {}
        self._progress_written = 0.0

    def close(self) -> None:
        """Close the file; what was written stays, all of it in one file, unless somebody is reading just now."""
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA busy_timeout=0")
            self._connection.execute("PRAGMA journal_mode=DELETE")
        self._connection.close()

    @property
    def vanished(self) -> bool:
        """Whether the file is gone, or another has taken its place."""
        try:
            return os.stat(self.path).st_ino != self._inode
        except OSError:
            return True

    def meta(self, key: str) -> Any:
        """Return one entry of ``meta``, or ``None``."""
        return read_meta(self._connection, key)

    def set_meta(self, **entries: Any) -> None:
        """Set entries of ``meta`` together."""
        with self._writing() as cursor:
            for key, value in entries.items():
                cursor.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, to_json(value)))

    def children(self) -> list[Child]:
        """Return every child in the order of proposal."""
        return read_children(self._connection)

    def propose(self, rows: Sequence[Mapping[str, Any]]) -> list[int]:
        """Add children, all or none; each row holds columns of ``children``. Returns their ids, in order."""
        with self._writing() as cursor:
            first = (cursor.execute("SELECT max(id) FROM children").fetchone()[0] or 0) + 1
            for number, row in enumerate(rows, start=first):
                entry = {**row, "id": number, "status": "proposed", "revision": self._revision}
                columns, marks = ", ".join(entry), ", ".join("?" * len(entry))
                cursor.execute(f"INSERT INTO children({columns}) VALUES ({marks})", list(entry.values()))
        return list(range(first, first + len(rows)))

    def progress(self, child: int, epoch: int, epochs: int, accuracy: float | None, loss: float | None) -> None:
        """Note how far a running child is. Kept for a moment and written with others; lost when the driver dies."""
        now = time.time()
        self._progress[child] = (child, epoch, epochs, accuracy, loss, now)
        if now - self._progress_written >= _PROGRESS_EVERY:
            with self._writing():
                self._progress_written = now

    def finish(self, child: int, **columns: Any) -> None:
        """Record a child's result."""
        self._progress.pop(child, None)
        if "metrics" in columns:
            columns["metrics"] = to_json(columns["metrics"])
        with self._writing() as cursor:
            columns.update(finished=time.time(), revision=self._revision)
            marks = ", ".join(f"{name} = ?" for name in columns)
            cursor.execute(f"UPDATE children SET {marks} WHERE id = ?", [*columns.values(), child])
            cursor.execute("DELETE FROM progress WHERE child = ?", (child,))

    def forget_running(self) -> None:
        """Turn children that a dead driver left in flight back into proposed ones."""
        with self._writing() as cursor:
            cursor.execute(
                "UPDATE children SET status = 'proposed', started = NULL, revision = ? WHERE status = 'running'",
                (self._revision,),
            )
            cursor.execute("DELETE FROM progress")

    def add_fit(self, level: int, round_: int, report: Mapping[str, Any]) -> None:
        """Record what the predictor knew after a fit; a second record of the same fit (a replay) changes nothing."""
        known = "SELECT 1 FROM fits WHERE level = ? AND round = ?"
        with legible(self._connection, "the table of fits"):
            if self._connection.execute(known, (level, round_)).fetchone():
                return
        with self._writing() as cursor:
            row = (level, round_, to_json(report), time.time())
            cursor.execute("INSERT INTO fits(level, round, report, time) VALUES (?, ?, ?, ?)", row)

    def fits(self) -> list[tuple[int, dict[str, Any]]]:
        """Return level and report of each fit, in their order."""
        with legible(self._connection, "the table of fits"):
            rows = self._connection.execute("SELECT level, report FROM fits ORDER BY id").fetchall()
            return [fit(dict(row)) for row in rows]

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Cursor]:
        if self.vanished:
            raise RunError(f"{self.path} is gone, and with it what was recorded; start again, or put the folder back")
        cursor = self._connection.cursor()
        try:
            cursor.execute("BEGIN IMMEDIATE")
            self._revision += 1
            yield cursor
            self._write_progress(cursor)
            cursor.execute("INSERT OR REPLACE INTO meta VALUES ('revision', ?)", (str(self._revision),))
            cursor.execute("COMMIT")
        except BaseException as error:
            if self._connection.in_transaction:
                self._connection.rollback()
            if isinstance(error, sqlite3.Error):
                raise RunError(_explain(self.path, error)) from error
            raise

    def _write_progress(self, cursor: sqlite3.Cursor) -> None:
        for row in self._progress.values():
            cursor.execute("INSERT OR REPLACE INTO progress VALUES (?, ?, ?, ?, ?, ?)", row)
            cursor.execute(
                "UPDATE children SET status = 'running', started = coalesce(started, ?), revision = ? "
                "WHERE id = ? AND status = 'proposed'",
                (row[-1], self._revision, row[0]),
            )
        self._progress.clear()


def _explain(path: Path, error: sqlite3.Error) -> str:
    cure = "make room and run the same command again" if "full" in str(error) else "mend that and run it again"
    return f"{path}: {error}; nothing recorded before is lost: {cure}"
