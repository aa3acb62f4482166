"""Train many children of a space on a small data set and keep every epoch: `replay.py` replays searches on the table.

    python benchmarks/children_table.py benchmarks/data/children_flat_digits.npz --space flat --data digits --minutes 30
    python benchmarks/children_table.py benchmarks/data/children_residual_cifar10.npz --space SPACE.toml \
        --skeleton residual --filters 4 8 16 --data cifar10 --limit 4000 --validation 2000 --epochs 8

All of level 1 is trained, then round after round ``--round`` cells of each level above: half drawn at random, half
extensions of the best third of the level below. A third of the cells (by a hash of their text) is trained with a second
seed; every training is done at full length and at a quarter of it. Each round is a shard beside the file, so the same
command goes on after an interruption; ``--join`` (and the end) makes one file of them. Format: `_children_table.py`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import pronas
from _children_table import SIZES, ChildrenTable, Training, append_shard, join_shards, load_with_shards
from pronas.data import Dataset, load_dataset
from pronas.networks import skeleton
from pronas.space import Cell, StateSpace, space
from pronas.training import ChildResult, NetworkManager


class Source:
    """Which cells to train next, given what is trained."""

    def __init__(self, space: StateSpace, table: ChildrenTable, seed: int) -> None:
        self.space, self.seed = space, seed
        self.known: dict[str, float] = {}
        self.note(table.trainings(), max(table.lengths(), default=0))

    def note(self, trainings: Iterable[Training], epochs: int) -> None:
        """Take the rewards of full trainings with the first seed."""
        for training in trainings:
            self.known.setdefault(training.cell, 0.0)
            if training.seed == 0 and training.epochs == epochs:
                self.known[training.cell] = max(training.curves.get("accuracy", []), default=0.0)

    def level1(self) -> list[tuple[Cell, str]]:
        cells = dict.fromkeys(cell.canonical() for cell in self.space.decode(self.space.level1()))
        return [(cell, "level") for cell in cells if str(cell) not in self.known]

    def round(self, level: int, count: int) -> list[tuple[Cell, str]]:
        """New cells of a level, half random, half grown; fewer where the level is exhausted."""
        generator = np.random.default_rng([self.seed, level, len(self.known)])
        chosen: dict[Cell, str] = {}
        for cells, origin, until in (
            (self._random(level, count, generator), "random", count // 2),
            (self._grown(level, count, generator), "grown", count),
        ):
            for cell in cells:
                if len(chosen) >= until:
                    break
                if str(cell) not in self.known:
                    chosen.setdefault(cell, origin)
        return list(chosen.items())

    def _random(self, level: int, count: int, generator: np.random.Generator) -> list[Cell]:
        rows = self.space.sample(40 * count, level, generator)
        return [cell.canonical() for cell in self.space.decode(rows)]

    def _grown(self, level: int, count: int, generator: np.random.Generator) -> list[Cell]:
        below = sorted((t for t in self.known if t.count("|") == level - 2), key=lambda t: (-self.known[t], t))
        best = [Cell.parse(text) for text in below[: max(1, len(below) // 3)]]
        extension = self.space.extension(self.space.encode(best))
        pairs = generator.integers([len(extension.parents), len(extension.blocks)], size=(40 * count, 2))
        return [cell.canonical() for cell in self.space.decode(extension.rows(pairs[:, 0], pairs[:, 1]))]


def has_second_seed(cell: Cell) -> bool:
    return hashlib.sha256(str(cell).encode()).digest()[0] % 3 == 0


def train(
    managers: Sequence[NetworkManager], chosen: list[tuple[Cell, str]], epochs: int, done: set[tuple[str, int, int]]
) -> list[Training]:
    """Every training of some cells that is not done yet: both lengths, and a second seed for a third of them."""
    origin = dict(chosen)
    found = []
    for seed, manager in enumerate(managers):
        for length in (epochs, max(1, epochs // 4)):
            cells = [cell for cell, _ in chosen if seed == 0 or has_second_seed(cell)]
            cells = [cell for cell in cells if (str(cell), seed, length) not in done]
            for event in manager.events(cells, recipes=[{"epochs": length}] * len(cells)) if cells else ():
                if isinstance(event, ChildResult):
                    found.append(kept(event, origin[event.cell], seed, length))
    return found


def kept(result: ChildResult, origin: str, seed: int, epochs: int) -> Training:
    metrics = result.metrics if result.status == "done" else {}
    names = {"accuracy": "validation_accuracy", "loss": "validation_loss", "train_loss": "loss"}
    curves = {name: [float(value) for value in metrics[theirs]] for name, theirs in names.items()} if metrics else {}
    sizes = tuple(int(getattr(result, name)) for name in SIZES)
    return Training(str(result.cell), origin, sizes, seed, epochs, result.seconds, curves)


def describe(image_size: int | None, cells: StateSpace, data: Dataset, manager: NetworkManager) -> dict[str, Any]:
    return {
        "space": cells.to_dict(),
        "skeleton": json.loads(json.dumps(manager.skeleton.to_dict())),
        "recipe": json.loads(json.dumps(manager.recipe.to_dict())),
        "data": {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "train": len(data.train),
            "validation": len(data.validation),
            "image_size": image_size,
        },
        "versions": {"pronas": pronas.__version__, "python": platform.python_version(), "numpy": np.__version__},
    }


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="the table, .npz")
    parser.add_argument("--space", default="flat", help="a named space or a TOML file")
    parser.add_argument("--blocks", type=int, default=3, help="B")
    parser.add_argument("--operators", nargs="+", help="instead of the space's")
    parser.add_argument("--skeleton", help="default: binary for binary spaces, else flat")
    parser.add_argument("--filters", type=int, nargs="+", default=[6, 8])
    parser.add_argument("--option", nargs="*", default=[], metavar="NAME=JSON", help="more options of the skeleton")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--data-dir")
    parser.add_argument("--limit", type=int, help="images of training and validation")
    parser.add_argument("--validation", type=int, help="of these, for validation; many, so that rewards are exact")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--recipe", default="search")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--max-children", type=int, default=10**9, help="cells in the table")
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--round", type=int, default=24, help="cells of each level in a round")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--join", action="store_true", help="only join the shards")
    return parser.parse_args()


def main() -> None:
    arguments = parsed()
    end = time.monotonic() + 60 * arguments.minutes
    cells = space(arguments.space, arguments.blocks)
    if arguments.operators:
        cells = StateSpace(cells.B, arguments.operators, cells.input_lookback_depth, cells.input_lookforward_depth)
    options = {name: json.loads(value) for name, _, value in (text.partition("=") for text in arguments.option)}
    name = arguments.skeleton or ("binary" if cells.binary else "flat")
    network = skeleton(name, filters=arguments.filters, **options)
    data = load_dataset(
        arguments.data,
        data_dir=arguments.data_dir,
        validation=arguments.validation,
        limit=arguments.limit,
        image_size=arguments.image_size,
    )
    managers = [
        NetworkManager(
            data,
            arguments.epochs,
            arguments.batch,
            skeleton=network,
            recipe=arguments.recipe,
            execution="local" if arguments.workers > 1 else "inline",
            workers=arguments.workers,
            seed=seed,
        )
        for seed in (0, 1)
    ]
    meta = describe(arguments.image_size, cells, data, managers[0])
    try:
        if not arguments.join:
            fill(arguments, cells, managers, meta, end)
    finally:
        for manager in managers:
            manager.close()
        table = join_shards(arguments.file, meta)
        print(f"{len(table)} cells, {len(table.arrays['cell'])} trainings in {arguments.file}", flush=True)


def fill(
    arguments: argparse.Namespace, cells: StateSpace, managers: list[NetworkManager], meta: dict[str, Any], end: float
) -> None:
    table = load_with_shards(arguments.file, meta)
    source = Source(cells, table, arguments.seed)
    done = {training.key for training in table.trainings()}
    origins = [str(origin) for origin in table.arrays["origin"]]
    queue = list(zip(table.decoded(), origins, strict=True))  # an interruption may have left out some trainings
    queue += source.level1()
    level = 1
    while time.monotonic() < end and len(source.known) < arguments.max_children:
        part, queue = queue[: arguments.round], queue[arguments.round :]
        if not part:
            level = 2 if level >= cells.B else level + 1
            part = source.round(level, arguments.round)
        found = train(managers, part, arguments.epochs, done)
        if not found:
            continue
        append_shard(arguments.file, meta, found)
        done |= {training.key for training in found}
        source.note(found, arguments.epochs)
        print(f"{len(source.known)} cells, best {max(source.known.values()):.4f}", flush=True)


if __name__ == "__main__":
    main()
