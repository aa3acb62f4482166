"""What one open live page is told: changes of the store since the last thing it received."""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path
from typing import Any

from pronas.errors import RunError
from pronas.report._page import run_name, to_json
from pronas.report._payload import payload
from pronas.report._reader import RunReader, Snapshot

_SOMETIMES = ("fits", "meta", "metrics", "mistakes", "space")


class Feed:
    """Turns a store's changes into server-sent events, for one page.

    An event's id is the store's mark and the revision up to which the page now knows it; a page that comes back with
    its last id is told exactly what it missed, or everything when another store has taken the place.

    Args:
        run: the run folder; its store may appear later, or be replaced.
        last_event: the id of the last event that the page received, if any.
    """

    def __init__(self, run: Path, last_event: str = "") -> None:
        self._run, self._name, self._reader = run, run_name(run), None
        mark, _, revision = last_event.rpartition("-")
        self._mark, self._revision = mark, int(revision) if re.fullmatch(r"[0-9]{1,15}", revision) else -1
        self._pictures: set[str] = set()
        self._said: dict[str, Any] = {}
        self._polling, self._closed = threading.Lock(), False
        self._finished, self._tries = False, 8  # so often is a finished store let go of

    _reader: RunReader | None

    def close(self) -> None:
        """Close the store, for good: at once, or when the poll that another thread is in has ended.

        A page that goes away cuts its poll off; SQLite crashes where a connection is closed under a query.
        """
        self._closed = True
        if self._polling.acquire(blocking=False):
            try:
                self._shut()
            finally:
                self._polling.release()

    def poll(self) -> str | None:
        """Return the next event, or None when there is no news. Never raises for a store that is not there now."""
        with self._polling:
            try:
                return None if self._closed else self._poll()
            finally:
                if self._closed:
                    self._shut()

    def _shut(self) -> None:
        if self._reader:
            self._reader.close()
        self._reader = None

    def _poll(self) -> str | None:
        try:
            reader = self._open()
            if reader is None or not reader.changed():
                self._leave_one_file()
                return None
            mark, snapshot = self._read(reader)
            self._finished = snapshot.meta.get("state") == "done"
            return self._event(mark, snapshot)
        except RunError:
            self._shut()  # gone, replaced in this moment, or being made: tried again at the next poll
            return None

    def _leave_one_file(self) -> None:
        """Let go of a finished store for a moment: whoever closes it last folds it into one file."""
        if self._finished and self._tries and self._reader and self._reader.journalled:
            self._tries -= 1
            self._shut()

    def _open(self) -> RunReader | None:
        if self._reader and self._reader.replaced():
            self._shut()
        if self._reader is None:
            self._reader = RunReader(self._run)
        return self._reader

    def _read(self, reader: RunReader) -> tuple[str, Snapshot]:
        snapshot = reader.read(self._revision)
        mark = _mark(snapshot.run)
        if mark == self._mark and snapshot.revision >= self._revision:
            return mark, snapshot
        self._pictures, self._said, self._revision = set(), {}, -1
        return mark, reader.read(-1)

    def _event(self, mark: str, snapshot: Snapshot) -> str | None:
        message = payload(snapshot, self._name, self._pictures)
        for key in _SOMETIMES:
            if self._said.get(key) == message[key]:
                del message[key]
            else:
                self._said[key] = message[key]
        everything = self._revision < 0
        self._mark, self._revision = mark, snapshot.revision
        return f"id: {mark}-{snapshot.revision}\ndata: {to_json({**message, 'reset': everything})}\n\n"


def _mark(run: str) -> str:
    return hashlib.sha256(run.encode()).hexdigest()[:12]
