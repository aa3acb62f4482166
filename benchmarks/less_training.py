"""What early stopping and weight inheritance do to the ranking of children and to the result of a search.

    python benchmarks/less_training.py rank --data-dir DATA      cheap rewards against full ones, on the same children
    python benchmarks/less_training.py search --data-dir DATA    whole searches, plain and saving, several seeds

Images trained are counted in the children's results, all rungs included. Everything runs in one process.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy.stats import kendalltau, spearmanr

OPERATORS = ("3x3 dconv", "5x5 dconv", "1x7-7x1 conv", "3x3 maxpool", "3x3 avgpool", "identity")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("rank", "search"))
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--data-dir")
    parser.add_argument("--limit", type=int, default=6000)
    parser.add_argument("--validation", type=float, default=1500)
    parser.add_argument("--filters", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--epochs", type=int, default=8, help="of a full child")
    parser.add_argument("--children", type=int, default=16, help="of rank; of a level of a search")
    parser.add_argument("--first", type=int, default=16)
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--final-epochs", type=int, default=15)
    parser.add_argument("--early-stop", type=int, default=8)
    parser.add_argument("--inherit", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    {"rank": rank, "search": searches}[arguments.what](arguments)


def rank(arguments: argparse.Namespace) -> None:
    """Grow parents by a block; train the children fully, briefly, and from their parents' weights."""
    from pronas.data import load_dataset
    from pronas.networks import skeleton
    from pronas.space import Cell, StateSpace
    from pronas.training import ChildResult, NetworkManager

    dataset = load_dataset(
        arguments.data, data_dir=arguments.data_dir, validation=int(arguments.validation), limit=arguments.limit
    )
    space = StateSpace(arguments.blocks, OPERATORS, 0)
    cells = space.decode(space.sample(arguments.children, 2, np.random.default_rng(arguments.seeds[0])))
    parents = [Cell(cell.blocks[:1]) for cell in cells]
    with NetworkManager(dataset, arguments.epochs, skeleton=skeleton("flat", filters=arguments.filters)) as manager:

        def train(asked: Sequence[Cell], epochs: int, **more: Any) -> dict[Cell, ChildResult]:
            events = manager.events(asked, recipes=[{"epochs": epochs}] * len(asked), **more)
            return {event.cell: event for event in events if isinstance(event, ChildResult)}

        grown = train(list(dict.fromkeys(parents)), arguments.epochs, keep_weights=True)
        full = train(cells, arguments.epochs)
        starts = {cell: (parent, grown[parent].weights) for cell, parent in zip(cells, parents, strict=True)}
        for epochs in sorted({1, 2, round(arguments.epochs / 4) or 1}):
            _compare(f"{epochs} of {arguments.epochs} epochs, fresh", train(cells, epochs), full)
            _compare(f"{epochs} of {arguments.epochs} epochs, inherited", train(cells, epochs, parents=starts), full)
    spread = [result.reward for result in full.values()]
    print(f"full rewards: {min(spread):.4f} to {max(spread):.4f}, {len(spread)} children of two blocks")


def _compare(name: str, cheap: dict[Any, Any], full: dict[Any, Any]) -> None:
    pairs = [(cheap[cell].reward, full[cell].reward) for cell in full]
    images = sum(result.images for result in cheap.values()) / sum(result.images for result in full.values())
    rho, tau = spearmanr(pairs).statistic, kendalltau(*zip(*pairs, strict=True)).statistic
    chosen = max(range(len(pairs)), key=lambda index: pairs[index][0])
    regret = max(final for _, final in pairs) - pairs[chosen][1]
    print(f"{name:32} Spearman {rho:.3f}  Kendall {tau:.3f}  images {images:.2f}  regret of its best {regret:.4f}")


def searches(arguments: argparse.Namespace) -> None:
    """Run plain and saving searches, taking turns."""
    from pronas.search import search

    kinds: dict[str, dict[str, int]] = {
        "plain": {},
        "early stop": {"early_stop": arguments.early_stop},
        "inherit": {"inherit": arguments.inherit},
        "both": {"early_stop": arguments.early_stop, "inherit": arguments.inherit},
    }
    tests: dict[str, list[float]] = {name: [] for name in kinds}
    images: dict[str, list[int]] = {name: [] for name in kinds}
    with tempfile.TemporaryDirectory() as folder:
        for seed in arguments.seeds:
            for name, savings in kinds.items():
                experiment = search(
                    arguments.data, out=Path(folder) / f"{name}-{seed}", data_dir=arguments.data_dir, space="flat",
                    operators=OPERATORS, blocks=arguments.blocks, first=arguments.first, children=arguments.children,
                    filters=arguments.filters, epochs=arguments.epochs, final_epochs=arguments.final_epochs,
                    limit=arguments.limit, validation=arguments.validation, execution="inline", threads=1, seed=seed,
                    **savings,
                )  # fmt: skip
                tests[name].append(experiment.test_accuracy or 0.0)
                images[name].append(sum(child.images or 0 for child in experiment.children()))
                print(f"seed {seed} {name:10} test {tests[name][-1]:.4f} images {images[name][-1]:,}", flush=True)
    for name in kinds:
        share = sum(images[name]) / sum(images["plain"])
        gap = 100 * (statistics.mean(tests[name]) - statistics.mean(tests["plain"]))
        mean = statistics.mean(tests[name])
        print(f"{name:10} test {mean:.4f} ({gap:+.2f} points against plain), {share:.2f} of plain's images")


if __name__ == "__main__":
    main()
