"""A run's store as reports see it: opened read-only, in short transactions that hold nobody up."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pronas.errors import RunError
from pronas.files import fold_journal
from pronas.report._mistakes import read_mistakes

STORE, LAYOUT = "store.sqlite", 1
EXPORTS = "exports.json"
_MOST_EXPORTS = 1 << 20  # bytes
_MOST_EPOCHS = 400  # of a child's curve
_LARGEST = 2**63  # of its values

#: Columns of ``children`` that pages show.
COLUMNS = (
    "id", "level", "round", "status", "reward", "predicted", "spread", "parameters", "macs", "binary_macs",
    "weight_bits", "activation_bytes", "latency_us", "seconds", "epochs", "worker", "attempts", "error",
    "started", "finished", "cell",
)  # fmt: skip


@dataclass(frozen=True)
class Snapshot:
    """What a run's store held at one moment.

        >>> Snapshot(run="1", revision=0, children=[]).best_cell() is None
        True

    Attributes:
        run: tells one store from another in the same place (when it was created).
        revision: of the newest write seen.
        children: rows of ``COLUMNS`` that changed since the revision asked for.
        running: children in training: ``child, epoch, epochs, accuracy, loss, updated``.
        fits: ``level, round, report`` of each fit of the predictor.
        meta: the entries of ``meta``, decoded.
        metrics: curves of the best child so far.
        exports: what was exported of the winner: facts by name, for each file.
        curves: validation accuracy by epoch of the children that changed, by their ids.
        mistakes: pictures that the winner gets wrong (``mistakes.json``).
    """

    run: str
    revision: int
    children: list[tuple[Any, ...]]
    running: list[dict[str, Any]] = field(default_factory=list)
    fits: list[dict[str, Any]] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    exports: list[dict[str, str]] = field(default_factory=list)
    curves: dict[int, list[float | None]] = field(default_factory=dict)
    mistakes: dict[str, Any] = field(default_factory=dict)

    def best_cell(self) -> str | None:
        """Text of the cell with the highest reward among ``children``, or None."""
        status, reward, cell = (COLUMNS.index(name) for name in ("status", "reward", "cell"))
        done = [row for row in self.children if row[status] == "done" and row[reward] is not None]
        return str(max(done, key=lambda row: row[reward])[cell]) if done else None


class RunReader:
    """Reads the store of a run folder while another process writes it; writes nothing into it.

    Args:
        folder: the run folder (or its ``store.sqlite``).

    Raises:
        RunError: there is no store, it is none, or its layout is of another version.
    """

    def __init__(self, folder: str | Path) -> None:
        path = Path(folder)
        self.path = path if path.name == STORE else path / STORE
        if not self.path.is_file():
            raise RunError(f"{str(folder)!r} is not a run folder: it has no {STORE}")
        self._inode = self.path.stat().st_ino
        self._connection = self._connect()
        self._seen: int | None = None

    def close(self) -> None:
        """Close the connection, and fold the store into one file where nobody else has it open."""
        self._connection.close()
        fold_journal(self.path)

    def __enter__(self) -> RunReader:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def replaced(self) -> bool:
        """Whether the file is gone, or another has taken its place (a search begun anew)."""
        try:
            return self.path.stat().st_ino != self._inode
        except OSError:
            return True

    @property
    def journalled(self) -> bool:
        """Whether part of the store is in files beside it."""
        return self.path.with_name(STORE + "-wal").exists()

    def changed(self) -> bool:
        """Whether anybody has written since the last call; costs microseconds."""
        with self._guarded():
            version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        before, self._seen = self._seen, version
        return bool(version != before)

    def read(self, since: int = -1) -> Snapshot:
        """Read what changed after a revision (-1: everything), all from one moment."""
        with self._guarded():
            self._connection.execute("BEGIN")
            try:
                return self._read(since)
            finally:
                self._connection.execute("ROLLBACK")

    def _read(self, since: int) -> Snapshot:
        meta = {key: _json(value) for key, value in self._rows("SELECT key, value FROM meta")}
        running = self._rows(
            "SELECT c.id, p.epoch, p.epochs, p.accuracy, p.loss, p.updated FROM children c "
            "LEFT JOIN progress p ON c.id = p.child WHERE c.status = 'running' ORDER BY c.id"
        )
        fits = self._rows("SELECT level, round, report FROM fits ORDER BY id")
        best = self._rows("SELECT metrics FROM children WHERE status = 'done' ORDER BY reward DESC, id LIMIT 1")
        newest = self._rows("SELECT max(revision) FROM children")
        names = ("child", "epoch", "epochs", "accuracy", "loss", "updated")
        return Snapshot(
            run=str(meta.get("created", "")),
            revision=max(_whole(meta.get("revision")), _whole(newest[0][0])),
            children=self._rows(f"SELECT {', '.join(COLUMNS)} FROM children WHERE revision > ? ORDER BY id", since),
            running=[dict(zip(names, row, strict=True)) for row in running],
            fits=[{"level": level, "round": round_, "report": _table(report)} for level, round_, report in fits],
            meta=meta,
            metrics=_table(best[0][0]) if best else {},
            exports=_exports(self.path.with_name(EXPORTS)),
            curves=self._curves(since),
            mistakes=read_mistakes(self.path.parent),
        )

    def _curves(self, since: int) -> dict[int, list[float | None]]:
        rows = self._rows("SELECT id, metrics FROM children WHERE status = 'done' AND revision > ?", since)
        found = {number: _curve(_table(metrics).get("validation_accuracy")) for number, metrics in rows}
        return {number: curve for number, curve in found.items() if curve}

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        rows = self._connection.execute(query, values).fetchall()
        return [tuple(None if isinstance(value, bytes) else value for value in row) for row in rows]

    def _connect(self) -> sqlite3.Connection:
        uri = self.path.resolve().as_uri() + "?mode=ro"
        if not self.journalled and not _may_write(self.path.parent):
            uri += "&immutable=1"  # a folder on read-only media: SQLite could not make its shared-memory file
        with self._guarded():
            connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5, check_same_thread=False)
            try:
                layout = connection.execute("PRAGMA user_version").fetchone()[0]
            except sqlite3.Error:
                connection.close()
                raise
        if layout != LAYOUT:
            connection.close()
            raise RunError(f"{self.path} has layout {layout}, this pronas reads {LAYOUT}: use the pronas that wrote it")
        return connection

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:  # the second: SQLite's own words on a damaged file
            raise RunError(f"cannot read {self.path}: {error}") from error


def _may_write(folder: Path) -> bool:
    import os

    return os.access(folder, os.W_OK)


def _json(text: Any) -> Any:
    """Decode, or None for what is not JSON: a page shows what it can."""
    try:
        return json.loads(text, parse_constant=lambda constant: None) if text else None
    except (ValueError, TypeError, RecursionError):
        return None


def _table(text: Any) -> dict[str, Any]:
    found = _json(text)
    return found if isinstance(found, dict) else {}


def _curve(values: Any) -> list[float | None]:
    """At most ``_MOST_EPOCHS`` of a curve's values, four digits each."""
    if not isinstance(values, list):
        return []
    numbers = [
        round(float(v), 4) if isinstance(v, int | float) and abs(v) < _LARGEST else None for v in values[:_MOST_EPOCHS]
    ]
    return numbers if any(number is not None for number in numbers) else []


def _exports(path: Path) -> list[dict[str, str]]:
    """Facts of each exported file, newest last; what is not such a table is left out."""
    try:
        text = path.read_bytes()[:_MOST_EXPORTS].decode("utf-8", "replace")
    except OSError:
        return []
    rows = [row for row in _table(text).values() if isinstance(row, dict)]
    return [{str(name): str(value) for name, value in row.items()} for row in rows]


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0
