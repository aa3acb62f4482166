"""The layout of ``store.sqlite``, documented in ``docs/run-folder.md``."""

from __future__ import annotations

import json
import math
import os
import sqlite3
from pathlib import Path
from typing import Any

from pronas.errors import RunError
from pronas.files import replacing

VERSION = 1

TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE children(
    id INTEGER PRIMARY KEY, level INTEGER NOT NULL, round INTEGER NOT NULL,
    cell TEXT NOT NULL, canonical TEXT NOT NULL, status TEXT NOT NULL,
    reward REAL, predicted REAL, spread REAL,
    parameters INTEGER, macs INTEGER, binary_macs INTEGER, weight_bits INTEGER, activation_bytes INTEGER,
    latency_us REAL, seconds REAL, epochs INTEGER, images INTEGER, worker TEXT, attempts INTEGER, error TEXT,
    metrics TEXT, started REAL, finished REAL, revision INTEGER NOT NULL, machine TEXT);
CREATE INDEX children_revision ON children(revision);
CREATE TABLE progress(
    child INTEGER PRIMARY KEY, epoch INTEGER, epochs INTEGER, accuracy REAL, loss REAL, updated REAL);
CREATE TABLE fits(id INTEGER PRIMARY KEY, level INTEGER, round INTEGER, report TEXT NOT NULL, time REAL);
"""

#: Columns of ``children`` that stores of version 0.1 have not.
LATER = {"machine": "TEXT"}


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Open an existing store and check its version.

    Raises:
        RunError: there is none, it is no store, or a newer pronas wrote it.
    """
    if not os.path.isfile(path):  # also where the name is too long
        raise RunError(f"{path.parent} is no run folder: it holds no {path.name}")
    try:
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode={'ro' if read_only else 'rw'}",
            uri=True,
            isolation_level=None,
            timeout=30,
            check_same_thread=False,
        )
        connection.row_factory = sqlite3.Row
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as error:
        raise RunError(f"{path} cannot be read as a store ({error})") from error
    if version != VERSION:
        connection.close()
        raise RunError(f"{path} has layout {version}, this pronas reads layout {VERSION}; use the pronas that wrote it")
    return connection


def create(path: Path) -> None:
    """Make an empty store; it appears whole or not at all."""
    try:
        with replacing(path) as temporary:
            connection = sqlite3.connect(temporary, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
            finally:
                connection.close()  # the last one to close folds the write-ahead log into the file
    except (sqlite3.Error, OSError) as error:
        raise RunError(f"{path}: cannot be written ({error}); choose a folder on a local disk with space") from error


def add_later_columns(connection: sqlite3.Connection) -> None:
    """Give a store of version 0.1 the columns that came later; readers of that version do not mind them."""
    known = {row[1] for row in connection.execute("PRAGMA table_info(children)")}
    for name, kind in LATER.items():
        if known and name not in known:
            connection.execute(f"ALTER TABLE children ADD COLUMN {name} {kind}")


def to_json(value: Any) -> str:
    """Return strict JSON: NaN and infinities become null, because readers in a browser refuse them."""
    return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return value
