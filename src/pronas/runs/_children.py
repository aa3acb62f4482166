"""The children of a running search: in memory, in the store, and in the files for people."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pronas.runs._config import Config
from pronas.runs._disk import disk_errors
from pronas.runs._legacy_files import LegacyFiles
from pronas.runs._tracking import Observers
from pronas.runs.store import Child, Store
from pronas.space import Cell, StateSpace

_RESULT = (
    *("status", "reward", "error", "seconds", "epochs", "images", "metrics", "worker", "attempts", "machine"),
    *("parameters", "macs", "binary_macs", "weight_bits", "activation_bytes"),
)


class Children:
    """Every child of a run, in the order of proposal. What is changed here is in the store before the call returns."""

    def __init__(self, folder: Path, store: Store, config: Config, space: StateSpace) -> None:
        store.forget_running()
        self._folder, self._store = folder, store
        self._by_id = {child.id: child for child in store.children()}
        self.settled = sum(child.settled for child in self)
        self._legacy_files = LegacyFiles(folder, config.data.name, space)
        with disk_errors(folder):
            self.observers = Observers(folder, config, store, self)

    def __iter__(self) -> Iterator[Child]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def rounds(self) -> list[list[Child]]:
        """Return the children by level and round, in the order of proposal."""
        found: dict[tuple[int, int], list[Child]] = {}
        for child in self:
            found.setdefault((child.level, child.round), []).append(child)
        return list(found.values())

    def propose(self, level: int, round_: int, cells: Sequence[Cell], more: Sequence[Mapping[str, Any]]) -> list[Child]:
        """Record proposed cells, all or none; ``more`` holds further columns for each."""
        rows = [
            {"level": level, "round": round_, "cell": str(cell), "canonical": str(cell.canonical()), **columns}
            for cell, columns in zip(cells, more, strict=True)
        ]
        ids = self._store.propose(rows)
        for number, cell, row in zip(ids, cells, rows, strict=True):
            self._by_id[number] = Child(**{**row, "id": number, "cell": cell, "status": "proposed"})
        return [self._by_id[number] for number in ids]

    def settle(self, number: int, result: Any) -> Child:
        """Record a ``ChildResult`` (or a settled ``Child`` of another run), in place of an earlier one if need be."""
        columns = {name: getattr(result, name) for name in _RESULT}
        if columns["status"] == "failed":
            columns["reward"] = 0.0
        self._store.finish(number, **columns)
        self.settled += not self._by_id[number].settled
        child = replace(self._by_id[number], **columns, finished=time.time())
        self._by_id[number] = child
        with disk_errors(self._folder):
            self._legacy_files.update(self)
            self.observers.child(child)
        return child

    def flush(self) -> None:
        """Bring the files for people up to date, if their folder is still there."""
        if self._store.vanished:
            return
        with disk_errors(self._folder):
            self._legacy_files.update(self, now=True)

    def best(self) -> Child | None:
        """Return the trained child with the highest reward, the earliest of equals."""
        done = [child for child in self if child.status == "done"]
        return max(done, key=lambda child: child.reward or 0.0, default=None)
