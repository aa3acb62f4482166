"""``pronas score``: every candidate of a level scored by a run's controller, in any number of processes, resumably."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pronas.errors import ModelFileError, RunError, UsageError
from pronas.files import write_atomic
from pronas.predictors import (
    CHUNK,
    HELD,
    MARGIN,
    Best,
    Level,
    Predictor,
    Rows,
    best_of_chunk,
    decode_best,
    every_line,
    every_row,
    exact,
    merged,
    plan_level,
    read_checkpoint,
    restore_predictor,
)
from pronas.runs._score_table import TableWriter, table_bytes
from pronas.space import StateSpace, space_from_dict

#: ``top``: the best cells; ``csv`` and ``parquet``: every candidate.
Output = Literal["top", "csv", "parquet"]


@dataclass(frozen=True)
class Estimate:
    """What scoring a level takes.

    Attributes:
        blocks: the level.
        parents: how many cells are extended.
        candidates: how many are scored, renumbered copies counted.
        seconds: of the clock, with all workers, by a few parents that were measured here.
        bytes: on disk.
    """

    blocks: int
    parents: int
    candidates: int
    seconds: float
    bytes: int


_MOST_BLOCKS = 64  # that a cell may have


@dataclass(frozen=True)
class Request:
    """What to score.

    Attributes:
        run: the run folder.
        blocks: the level; None: one more than evaluated.
        children: how many of the best cells of a level that is only scored are extended; None: every cell there is.
        top: how many of the best are kept.
        output: ``top``: the best cells; ``csv`` and ``parquet``: every candidate.
        workers: processes.
        chunk: candidates that are scored in one go.
        held: see `plan_level`.
        pause: seconds between two notes of how far the work has come.
    """

    run: Path
    blocks: int | None = None
    children: int | None = 256
    top: int = 1000
    output: Output = "top"
    workers: int = 1
    chunk: int = CHUNK
    held: int = HELD
    pause: float = 3.0


class LevelScorer:
    """A run's predictor, and what it says of one level's candidates after another.

    Args:
        request: what to score.

    Raises:
        UsageError: a number below 1, or more than 64 blocks.
        RunError: the run has no controller, or one that was never fitted.
        ModelFileError: the controller's files are damaged.
    """

    def __init__(self, request: Request) -> None:
        for name, value in (("children", request.children), ("top", request.top), ("workers", request.workers)):
            if value is not None and value < 1:
                raise UsageError(f"{name}={value}: it is at least 1")
        if request.blocks is not None and request.blocks > _MOST_BLOCKS:
            raise UsageError(f"blocks={request.blocks}: it is at most {_MOST_BLOCKS}")
        self.request = request
        self.checkpoint = request.run / "weights" / "controller"
        if not self.checkpoint.with_name("controller.json").is_file():
            raise RunError(
                f"{request.run} has no fitted controller (weights/controller.json); run `pronas search` first"
            )
        tensors, document = read_checkpoint(self.checkpoint)
        try:
            space = space_from_dict(document["space"])
            self.evaluated = _by_level(document)
            for rows in self.evaluated.values():
                space.decode(rows)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
            raise ModelFileError(f"{self.checkpoint}.json is damaged ({error}); run `pronas search` again") from error
        reached = max(self.evaluated, default=0)
        self.blocks = request.blocks if request.blocks is not None else reached + 1
        self.space = space.with_blocks(max(space.B, self.blocks))
        self.predictor = restore_predictor(tensors, document, self.space)
        if not self.predictor.fitted:
            raise RunError(f"the controller of {request.run} has not been fitted yet: nothing was evaluated")
        self.digest = str(document["sha256"])

    def levels(self) -> list[int]:
        """The levels to score, in order: those between what was evaluated and the one asked for."""
        if self.blocks < 2:
            raise UsageError(f"blocks={self.blocks}: every cell of level 1 is a start; take 2 or more blocks")
        if self.request.children is None or self.blocks - 1 in self.evaluated:
            return [self.blocks]
        return list(range(max(self.evaluated, default=1) + 1, self.blocks + 1))

    def plan(self, blocks: int, parents: Rows | None) -> Level:
        """The candidates of a level."""
        if self.request.children is None:
            parents = None
        elif parents is None:
            parents = self.evaluated.get(blocks - 1)
        return plan_level(self.space, blocks, parents, chunk=self.request.chunk, held=self.request.held)

    def estimate(self, blocks: int, level: Level) -> Estimate:
        """Measure a few parents and say what the level takes."""
        few = replace(level, base=level.base[:1]) if not level.between else level
        rows = few.parent_rows(0)[:8]
        started = time.perf_counter()
        for _ in self.predictor.extension_scores(rows, level.blocks):
            pass
        rate = len(rows) * len(level.blocks) / max(time.perf_counter() - started, 1e-6)
        each = table_bytes(self.request.output, self.space, blocks)
        size = each * (level.candidates if self.request.output != "top" else min(self.request.top, level.candidates))
        seconds = level.candidates / rate / self.request.workers
        return Estimate(blocks, level.parents, level.candidates, seconds, size)

    def check_disk(self, estimate: Estimate) -> None:
        """Raise a RunError if the disk has no room for the scores."""
        free = shutil.disk_usage(self.request.run).free
        if estimate.bytes > free:
            need, have = estimate.bytes / 1e9, free / 1e9
            raise RunError(
                f"scores of level {estimate.blocks} need {need:.1f} GB, the disk has {have:.1f}: keep only the best"
            )

    def score(self, blocks: int, level: Level, progress: Callable[[int, int], None]) -> Best:
        """Score a level, write its file, return the best.

        ``progress(done, all)`` in candidates. What is done is noted every few seconds, so that the same call goes on
        after an interruption.
        """
        last = blocks == self.blocks
        output: Output = self.request.output if last else "top"
        note = _Note(self.request.run / f".score_{blocks}.json", self._identity(blocks, level, output))
        keep = self.request.top if last else max(self.request.top, self.request.children or 0)
        writer = TableWriter.make(output, self.request.run, blocks, self.space, note.state)
        best, done, noted = note.best(), note.done, time.monotonic()
        with self._results(level, output, done, lambda: _threshold(best, keep)) as results:
            for found in results:
                if output == "top":
                    best = merged(self.space, [best, found], keep)
                else:
                    writer.write(done, found)
                done += 1
                progress(min(done * level.chunk, level.parents) * len(level.blocks), level.candidates)
                if time.monotonic() - noted > self.request.pause:
                    note.write(done, best, writer.state())
                    noted = time.monotonic()
        best = exact(self.predictor, best, keep)
        if output == "top":
            self._write_best(blocks, best)
        writer.finish()
        note.remove()
        return best

    def _write_best(self, blocks: int, best: Best) -> None:
        cells = decode_best(self.space, best)[: self.request.top]
        lines = [f"{score:.6f},{cell.to_csv()}\n" for score, cell in zip(best.scores.tolist(), cells, strict=False)]
        write_atomic(self.request.run / f"scores_{blocks}.csv", "".join(lines))

    def _identity(self, blocks: int, level: Level, output: Output) -> str:
        text = f"{self.digest} {blocks} {level.parents} {level.chunk} {self.request.top} {output}"
        return hashlib.sha256(text.encode() + level.base.tobytes()).hexdigest()

    @contextmanager
    def _results(
        self, level: Level, output: Output, start: int, threshold: Callable[[], float]
    ) -> Iterator[Iterator[Any]]:
        """What each chunk from ``start`` on gives, in order."""
        numbers = range(start, level.chunks)
        keep = max(self.request.top, self.request.children or 0)
        workers = min(self.request.workers, len(numbers))
        if workers <= 1:
            yield (_work(self.predictor, level, output, number, keep, threshold()) for number in numbers)
            return
        shared = (str(self.checkpoint), self.space.to_dict(), level, output, keep)
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers, context, _begin, shared)
        try:
            yield _in_order(pool, numbers, 2 * workers, threshold)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _in_order(pool: ProcessPoolExecutor, numbers: range, ahead: int, threshold: Callable[[], float]) -> Iterator[Any]:
    waiting: deque[Future[Any]] = deque()
    for number in numbers:
        waiting.append(pool.submit(_job, number, threshold()))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


_worker: dict[str, Any] = {}


def _begin(checkpoint: str, space: dict[str, Any], level: Level, output: Output, keep: int) -> None:
    """Set up a worker process."""
    tensors, document = read_checkpoint(checkpoint)
    predictor = restore_predictor(tensors, document, StateSpace.from_dict(space))
    _worker.update(predictor=predictor, level=level, output=output, keep=keep)


def _job(number: int, threshold: float) -> Any:
    return _work(_worker["predictor"], _worker["level"], _worker["output"], number, _worker["keep"], threshold)


def _work(predictor: Predictor, level: Level, output: Output, number: int, keep: int, threshold: float) -> Any:
    if output == "csv":
        return every_line(predictor, level, number)
    if output == "parquet":
        return every_row(predictor, level, number)
    return best_of_chunk(predictor, level, number, keep, threshold)


def _threshold(best: Best, keep: int) -> float:
    """The score below which nothing can be among the best any more."""
    return float(best.scores[-1]) if len(best.scores) >= keep + MARGIN else -np.inf


def _by_level(document: dict[str, Any]) -> dict[int, Rows]:
    """Evaluated cells that did not fail, by number of blocks."""
    levels: dict[int, list[list[int]]] = {}
    for row, reward in zip(document.get("rows", []), document.get("rewards", []), strict=True):
        if reward > 0:
            levels.setdefault(len(row) // 4, []).append(row)
    return {level: np.array(rows, dtype=np.int16) for level, rows in levels.items()}


class _Note:
    """How far the scoring of a level has come, kept on disk; another request's note does not count."""

    def __init__(self, path: Path, identity: str) -> None:
        self.path, self.identity = path, identity
        try:
            content = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            content = {}
        if not isinstance(content, dict) or content.get("identity") != identity:
            content = {}
        self.done = int(content.get("done", 0))
        self.state: dict[str, Any] = content.get("state", {})
        self._best = content.get("best", {"rows": [], "scores": []})

    def best(self) -> Best:
        """The best so far."""
        rows = np.array(self._best["rows"], dtype=np.int16)
        return Best(rows if len(rows) else np.empty((0, 4), np.int16), np.array(self._best["scores"], dtype=np.float64))

    def write(self, done: int, best: Best, state: dict[str, Any]) -> None:
        """Note that ``done`` chunks are through."""
        found = {"rows": best.rows.tolist(), "scores": best.scores.tolist()}
        write_atomic(self.path, json.dumps({"identity": self.identity, "done": done, "state": state, "best": found}))

    def remove(self) -> None:
        """Forget it: the level is done."""
        self.path.unlink(missing_ok=True)
