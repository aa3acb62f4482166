"""Train the children of a small search on Fashion-MNIST and keep what they reached: `real_children.py` reads the file.

    python benchmarks/fashion_children.py benchmarks/data/fashion_children.csv --data-dir DATA

Cells of one to three blocks in a flat space of six operators: all 21 of level 1; of each further level one half drawn
at random from all cells and one half extensions of the best third of the level before. No predictor chooses, so
that predictors can be compared. Every child sees the same few images, as in a search; its seed comes from the cell. A
line is written as each child ends; the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from pronas.data import load_dataset
from pronas.networks import skeleton
from pronas.space import Cell, StateSpace
from pronas.training import ChildResult, NetworkManager

OPERATORS = ("3x3 dconv", "5x5 dconv", "1x7-7x1 conv", "3x3 maxpool", "3x3 avgpool", "identity")
COLUMNS = ("cell", "level", "chosen", "reward", "parameters", "macs", "seed", "processor_seconds")


def half_and_half(space: StateSpace, level: int, count: int, parents: list[tuple[float, Cell]]) -> dict[Cell, str]:
    """Cells of a level and how each was chosen: half at random, half extensions of the best third of the parents."""
    generator = np.random.default_rng(level)
    best = [cell for _, cell in sorted(parents, key=lambda pair: (-pair[0], str(pair[1])))[: max(1, len(parents) // 3)]]
    grown = np.concatenate(list(space.extend(space.encode(best))))
    chosen: dict[Cell, str] = {}
    pools = (("random", space.sample(20 * count, level, generator), count // 2), ("extension", grown, count))
    for name, rows, until in pools:
        for cell in space.decode(rows[generator.permutation(len(rows))]):
            if len(chosen) == until:
                break
            chosen.setdefault(cell.canonical(), name)
    return chosen


def read(path: Path) -> dict[Cell, float]:
    """What is already there."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {Cell.parse(line["cell"]): float(line["reward"]) for line in csv.DictReader(file)}


def train(manager: NetworkManager, cell: Cell) -> tuple[ChildResult, float]:
    """The result, and processor seconds."""
    started = time.process_time()
    result = next(manager.get_rewards([cell]))
    return result, time.process_time() - started


def write(path: Path, line: list[object]) -> None:
    """Append one line, after the header."""
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if fresh:
            writer.writerow(COLUMNS)
        writer.writerow(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--data-dir")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--validation", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--filters", type=int, nargs="+", default=[8, 12])
    parser.add_argument("--children", type=int, nargs="+", default=[60, 70], help="of levels 2, 3, …")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.file.parent.mkdir(parents=True, exist_ok=True)
    limit = arguments.images + arguments.validation
    dataset = load_dataset("fashion-mnist", data_dir=arguments.data_dir, validation=arguments.validation, limit=limit)
    space = StateSpace(1 + len(arguments.children), OPERATORS, 0)
    known = read(arguments.file)
    network = skeleton("flat", filters=arguments.filters)
    with NetworkManager(
        dataset, arguments.epochs, arguments.batch, skeleton=network, seed=arguments.seed, threads=1
    ) as manager:
        parents: list[tuple[float, Cell]] = []
        level_1 = {cell.canonical(): "all" for cell in space.decode(space.level1())}
        for level in range(1, space.B + 1):
            cells = level_1 if level == 1 else half_and_half(space, level, arguments.children[level - 2], parents)
            for cell, chosen in cells.items():
                if cell not in known:
                    result, seconds = train(manager, cell)
                    known[cell] = result.reward
                    costs = [result.parameters, result.macs, arguments.seed, round(seconds, 2)]
                    write(arguments.file, [str(cell), level, chosen, f"{result.reward:.4f}", *costs])
            parents = [(known[cell], cell) for cell in cells]
            print(
                f"level {level}: {len(cells)} children, best {max(parents, key=lambda pair: pair[0])[0]:.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
