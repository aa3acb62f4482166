"""Replay search policies on tables of trained children, with hundreds of seeds: nothing is trained.

    python benchmarks/replay.py benchmarks/data/children_flat_digits.npz --seeds 200 --budgets 24 60 150
    python benchmarks/replay.py TABLE --policies greedy liar random evolution --images 300 --max-params 5000

Policies go through `ControllerManager`, on a space that holds the table's cells alone: a cell's extensions are those of
the table. They see the best epoch's accuracy of the first seed, with ``--images N`` as so many validation images would
show it (binomial noise). Judged is the last epoch's accuracy, the mean over the seeds of training. Printed are, for
each budget, the mean and standard error of

    luckiest    of the cell of the highest reward seen
    believed    of the cell that `ControllerManager.best` gives (policies that have a predictor)
    seen        of the best cell seen: what a perfect choice of the winner would have given
    copies      the share of children that differ from another of their round in one place only
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from _children_table import ChildrenTable, load
from pronas.controller import ControllerManager
from pronas.space import Cell, Space

#: Policies: keyword arguments of the manager. ``rounds`` are a level's; ``levels`` are shares of the budget.
POLICIES: dict[str, dict[str, Any]] = {
    "greedy": {"acquisition": "mean"},
    "greedy-ei": {"acquisition": "ei"},
    "optimistic": {"acquisition": "optimistic"},
    "thompson": {"acquisition": "thompson"},
    "believer-ei": {"acquisition": "ei", "batch": "believer"},
    "believer-optimistic": {"acquisition": "optimistic", "batch": "believer"},
    "liar": {"acquisition": "mean", "batch": "liar"},
    "liar-ei": {"acquisition": "ei", "batch": "liar"},
    "penalised": {"acquisition": "mean", "batch": "penalised"},
    "penalised-ei": {"acquisition": "ei", "batch": "penalised"},
    "joint": {"acquisition": "mean", "batch": "joint"},
    "random": {"strategy": "random"},
    "random x4": {"strategy": "random", "times": 4},
    "evolution": {"strategy": "evolution", "options": {"population": 10, "sample": 4, "batch": 2}},
}


class TableSpace(Space):
    """The cells of a table; rows, tokens and features are those of its `StateSpace`."""

    def __init__(self, table: ChildrenTable, described: bool = False) -> None:
        self.base = table.space
        self.cells = table.decoded()
        self.described = described
        levels = sorted({len(cell) for cell in self.cells})
        assert levels == list(range(1, len(levels) + 1)), "a table holds cells of every level from 1 on"
        self._rows, self._index = {}, {}
        for level in levels:
            index = np.array([i for i, cell in enumerate(self.cells) if len(cell) == level])
            self._rows[level] = self.base.encode([self.cells[i] for i in index])
            keys = self.base.keys(self._rows[level])
            self._index.update({key.tobytes(): int(i) for key, i in zip(keys, index, strict=True)})
        self._children = self._link()
        sizes = np.stack([table.arrays[name] for name in ("parameters", "macs")], axis=1) + 1.0
        binary = table.arrays["binary_macs"][:, None] + 1.0
        self.descriptors = np.log(np.concatenate([sizes, binary], axis=1)).astype(np.float32)
        self._features = {level: self.base.features(rows) for level, rows in self._rows.items()}

    def _link(self) -> dict[bytes, list[int]]:
        """For each cell's key the cells one block larger that it is a part of."""
        children: dict[bytes, list[int]] = {}
        for i, cell in enumerate(self.cells):
            if len(cell) == 1:
                continue
            smaller = {without(cell, unused) for unused in cell.unused}
            for parent in smaller - {None}:
                key = self.base.keys(self.base.encode([parent]))[0].tobytes()
                children.setdefault(key, []).append(i)
        return children

    def index(self, rows: np.ndarray) -> np.ndarray:
        """Places in the table (n,)."""
        return np.array([self._index[key.tobytes()] for key in self.base.keys(rows)], dtype=np.int64)

    @property
    def B(self) -> int:
        return max(self._rows)

    @property
    def token_sizes(self) -> tuple[int, ...]:
        return self.base.token_sizes

    @property
    def token_splits(self) -> tuple[int, ...]:
        return self.base.token_splits

    def token_kinds(self, b: int) -> tuple[int, ...]:
        return self.base.token_kinds(b)

    def tokens(self, rows: np.ndarray) -> np.ndarray:
        return self.base.tokens(rows)

    def ordered_tokens(self, rows: np.ndarray) -> np.ndarray:
        return self.base.ordered_tokens(rows)

    def level_of(self, rows: np.ndarray) -> int:
        return rows.shape[1] // 4

    def level1(self) -> np.ndarray:
        return self._rows[1]

    def extend(self, parents: np.ndarray, chunk: int = 65536) -> Iterator[np.ndarray]:
        found = sorted({i for key in self.base.keys(parents) for i in self._children.get(key.tobytes(), ())})
        if found:
            yield self.base.encode([self.cells[i] for i in found])

    def canonical(self, rows: np.ndarray) -> np.ndarray:
        return self.base.canonical(rows)

    def keys(self, rows: np.ndarray) -> np.ndarray:
        return self.base.keys(rows)

    def features(self, rows: np.ndarray) -> np.ndarray:
        features = self.base.features(rows)
        return np.concatenate([features, self.descriptors[self.index(rows)]], axis=1) if self.described else features

    def feature_names(self) -> tuple[str, ...]:
        more = ("parameters:log", "macs:log", "binary_macs:log") if self.described else ()
        return self.base.feature_names() + more

    def sample(self, count: int, b: int, generator: np.random.Generator) -> np.ndarray:
        rows = self._rows[b]
        return rows[generator.integers(len(rows), size=count)]

    def mutate(self, rows: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """One of the twelve nearest cells of the table, by features: few have all their neighbours in it."""
        pool = self._features[rows.shape[1] // 4]
        own = self.base.features(rows)
        result = []
        for feature in own:
            distance = ((pool - feature) ** 2).sum(1)
            near = np.argsort(distance, kind="stable")[1:13]
            result.append(self._rows[rows.shape[1] // 4][generator.choice(near)])
        return np.stack(result)

    def encode(self, cells: Any) -> np.ndarray:
        return self.base.encode(cells)

    def decode(self, rows: np.ndarray) -> list[Cell]:
        return self.base.decode(rows)

    def to_dict(self) -> dict[str, Any]:
        return {**self.base.to_dict(), "kind": "table"}


def without(cell: Cell, block: int) -> Cell | None:
    """The cell less a block that nobody reads; None where the rest is no cell."""
    items: list[int | str] = []
    for j, kept in enumerate(cell.blocks):
        if j == block:
            continue
        for value, operator in kept.halves:
            source = cell.source_block(value)
            items += [value - (source is not None and source > block), operator]
    return Cell.from_list(items).canonical()


def truth_of(table: ChildrenTable) -> np.ndarray:
    """Last epoch's accuracy (n,) of full trainings, the mean over seeds."""
    length = table.lengths()[-1]
    both = np.stack([table.final(seed, length) for seed in (0, 1)])
    known = ~np.isnan(both)
    return np.where(known.any(0), np.nansum(both, axis=0) / np.maximum(known.sum(0), 1), 0.0)


def differs_in_one(rows: np.ndarray) -> float:
    """Share of rows (n, w) that differ from an earlier one in at most one place (a place: an input or an operator)."""
    copies = [any((row != other).sum() <= 1 for other in rows[:i]) for i, row in enumerate(rows)]
    return float(np.mean(copies)) if len(rows) else 0.0


def replay(job: tuple[str, int, int]) -> dict[str, Any]:
    """One search: what it chose and how good that is."""
    policy, budget, seed = job
    space, seen_rewards, truth, arguments = (SHARED[name] for name in ("space", "rewards", "truth", "arguments"))
    options = dict(POLICIES[policy])
    budget *= options.pop("times", 1)
    rewards = np.array(seen_rewards)
    if arguments.images:
        rewards = np.random.default_rng([seed, 7]).binomial(arguments.images, rewards) / arguments.images
    allowed = SHARED["allowed"]

    def feasible(cells: list[Cell]) -> list[bool]:
        return allowed[space.index(space.encode(cells))].tolist()

    if "strategy" in options:
        options |= {"K": None, "budget": budget, "predictor": "gp"}
    else:
        shares = np.array(arguments.shares or [1] * space.B, dtype=float)
        first = max(4, min(round(budget * shares[0] / shares.sum()), len(space.level1())))
        k = max(1, (budget - first) // max(1, space.B - 1))
        options |= {"K": k, "first": first, "rounds": arguments.rounds, "predictor": arguments.predictor}
    manager = ControllerManager(space, seed=seed, validate=False, feasible=feasible, **options)
    order: list[int] = []
    copies: list[float] = []
    while cells := manager.get_actions():
        rows = space.encode(cells)
        index = space.index(rows)
        order += index.tolist()
        if manager.level > 1:
            copies.append(differs_in_one(rows))
        noise = None
        if arguments.images and arguments.tell_noise:
            noise = np.sqrt(
                np.maximum(rewards[index] * (1 - rewards[index]), 0.25 / arguments.images) / arguments.images
            )
        manager.tell(cells, rewards[index].clip(1e-6, 1).tolist(), None if noise is None else noise.tolist())
        manager.update()
    luckiest = order[int(np.argmax(rewards[order]))]
    believed = space.index(space.encode([manager.best()[0][0]]))[0]
    return {
        "luckiest": float(truth[luckiest]),
        "believed": float(truth[believed]),
        "seen": float(truth[order].max()),
        "copies": float(np.mean(copies)) if copies else float("nan"),
        "children": len(order),
    }


SHARED: dict[str, Any] = {}


def prepare(arguments: argparse.Namespace) -> None:
    table = load(arguments.table)
    truth = truth_of(table)
    rewards = table.final(0, table.lengths()[-1], best=True)
    space = TableSpace(table, arguments.described)
    allowed = ~np.isnan(rewards)
    if arguments.max_params:
        allowed &= table.arrays["parameters"] <= arguments.max_params
    SHARED.update(space=space, rewards=np.nan_to_num(rewards), truth=truth, allowed=allowed, arguments=arguments)


def show(policy: str, budget: int, found: list[dict[str, Any]], seconds: float) -> None:
    columns = []
    for name in ("luckiest", "believed", "seen", "copies"):
        values = np.array([result[name] for result in found])
        values = values[~np.isnan(values)]
        if len(values):
            error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
            columns.append(f"{name} {100 * values.mean():.2f}±{100 * error:.2f}")
    children = np.mean([result["children"] for result in found])
    print(f"{policy:20s} {children:5.0f} children  " + "  ".join(columns) + f"  ({seconds:.0f} s)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--policies", nargs="*", default=list(POLICIES), choices=list(POLICIES))
    parser.add_argument("--budgets", type=int, nargs="*", default=[24, 60, 150])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=1, help="fits and choices a level")
    parser.add_argument("--shares", type=float, nargs="*", help="of the levels in the budget; the first counts alone")
    parser.add_argument("--predictor", default="gp")
    parser.add_argument("--described", action="store_true", help="parameters and operations join the features")
    parser.add_argument("--images", type=int, default=0, help="rewards as so many validation images show them")
    parser.add_argument("--tell-noise", action="store_true", help="tell the standard errors of the rewards")
    parser.add_argument("--max-params", type=int)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON lines, one a search")
    arguments = parser.parse_args()
    prepare(arguments)
    space, truth, allowed = SHARED["space"], SHARED["truth"], SHARED["allowed"]
    levels = [len(space._rows[b]) for b in range(1, space.B + 1)]
    print(
        f"{len(truth)} cells, levels of {levels}, {int(allowed.sum())} allowed, best {100 * truth[allowed].max():.2f}"
    )
    with multiprocessing.get_context("fork").Pool(arguments.workers) as pool:
        for budget in arguments.budgets:
            for policy in arguments.policies:
                started = time.monotonic()
                found = pool.map(replay, [(policy, budget, seed) for seed in range(arguments.seeds)], chunksize=1)
                show(policy, budget, found, time.monotonic() - started)
                if arguments.out:
                    with arguments.out.open("a") as file:
                        for seed, result in enumerate(found):
                            file.write(json.dumps({"policy": policy, "budget": budget, "seed": seed} | result) + "\n")


if __name__ == "__main__":
    main()
