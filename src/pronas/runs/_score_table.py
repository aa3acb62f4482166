"""Tables of every candidate's score, written as they come and resumable: one CSV file, or a folder of Parquet parts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from pronas.errors import require
from pronas.predictors import Floats, Rows
from pronas.space import StateSpace


class TableWriter:
    """Takes what chunks give, in order. This one keeps nothing: the best are written elsewhere."""

    @staticmethod
    def make(output: str, folder: Path, blocks: int, space: StateSpace, state: dict[str, Any]) -> TableWriter:
        """The writer of an output, taken up where ``state`` says."""
        if output == "csv":
            return LineWriter(folder / f"scores_{blocks}.csv", int(state.get("bytes", 0)))
        if output == "parquet":
            return PartWriter(folder / f"scores_{blocks}.parquet", blocks, space, fresh=not state)
        return TableWriter()

    def write(self, number: int, found: Any) -> None:
        """Take a chunk's result."""

    def state(self) -> dict[str, Any]:
        """JSON values from which to go on; everything before them is on disk."""
        return {}

    def finish(self) -> None:
        """Make the table what its name says: whole."""


class LineWriter(TableWriter):
    """CSV lines into a hidden file beside the target, which is renamed at the end."""

    def __init__(self, target: Path, start: int) -> None:
        self.target, self.part = target, target.with_name(f".{target.name}.part")
        mode = "r+b" if self.part.is_file() and self.part.stat().st_size >= start else "wb"
        self.file = open(self.part, mode)  # noqa: SIM115 - open as long as the writer
        self.file.truncate(start if mode == "r+b" else 0)
        self.file.seek(0, os.SEEK_END)

    def write(self, number: int, found: bytes) -> None:
        """Append lines."""
        self.file.write(found)

    def state(self) -> dict[str, Any]:
        """How much is safely written."""
        self.file.flush()
        os.fsync(self.file.fileno())
        return {"bytes": self.file.tell()}

    def finish(self) -> None:
        """Rename."""
        self.state()
        self.file.close()
        os.replace(self.part, self.target)


class PartWriter(TableWriter):
    """A Parquet file a chunk, in a hidden folder that is renamed at the end: score, then input and operator columns."""

    def __init__(self, target: Path, blocks: int, space: StateSpace, *, fresh: bool) -> None:
        self.arrow, self.parquet = require("pyarrow", "parquet"), require("pyarrow.parquet", "parquet")
        self.target, self.part = target, target.with_name(f".{target.name}.part")
        self.names = [f"{kind}{i + 1}" for i in range(2 * blocks) for kind in ("input", "op")]
        self.operators = self.arrow.array(list(space.operators))
        if fresh:
            shutil.rmtree(self.part, ignore_errors=True)
        self.part.mkdir(parents=True, exist_ok=True)

    def write(self, number: int, found: tuple[Rows, Floats]) -> None:
        """Write a part; the same part again replaces it."""
        rows, scores = found
        columns: dict[str, Any] = {"score": self.arrow.array(np.asarray(scores, dtype=np.float32))}
        for place, name in enumerate(self.names):
            values = np.ascontiguousarray(rows[:, place])
            columns[name] = (
                self.arrow.DictionaryArray.from_arrays(values.astype(np.int32), self.operators)
                if place % 2
                else self.arrow.array(values)
            )
        path = self.part / f".part-{number:08d}"
        self.parquet.write_table(self.arrow.table(columns), path, compression="zstd")
        os.replace(path, self.part / f"part-{number:08d}.parquet")

    def state(self) -> dict[str, Any]:
        """Parts are whole or absent, so that there were some is enough."""
        return {"parts": True}

    def finish(self) -> None:
        """Rename the folder."""
        shutil.rmtree(self.target, ignore_errors=True)
        os.replace(self.part, self.target)


def table_bytes(output: str, space: StateSpace, blocks: int) -> int:
    """Bytes that a row takes on disk, about."""
    if output == "parquet":
        return 4 + 2 * blocks
    name = sum(map(len, space.operators)) / len(space.operators)
    return round(9 + 2 * blocks * (name + 4))
