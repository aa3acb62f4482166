"""What early stopping and weight inheritance do to the ranking of children and to the result of a search.

    python benchmarks/less_training.py rank --data-dir DATA      cheap rewards against full ones, on the same children
    python benchmarks/less_training.py search --data-dir DATA    whole searches, plain and saving, several seeds

Images trained are counted in the children's results, all rungs included. Everything runs in one process. Searches in
``--out`` are gone on with when the same command is started again.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy.stats import kendalltau, spearmanr

if TYPE_CHECKING:
    from pronas.runs import Experiment

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
    parser.add_argument("--image-size", type=int, help="scale the images to this many pixels a side")
    parser.add_argument("--predictor", default="gp", help="of the searches")
    parser.add_argument("--kinds", nargs="+", choices=list(_kinds(1, 1)), default=list(_kinds(1, 1)))
    parser.add_argument("--out", type=Path, help="keep the runs here (default: a folder that is removed)")
    arguments = parser.parse_args()
    {"rank": rank, "search": searches}[arguments.what](arguments)


def rank(arguments: argparse.Namespace) -> None:
    """Grow parents by a block; train the children fully, briefly, and from their parents' weights."""
    from pronas.data import load_dataset
    from pronas.networks import skeleton
    from pronas.space import Cell, StateSpace
    from pronas.training import ChildResult, NetworkManager

    dataset = load_dataset(
        arguments.data, data_dir=arguments.data_dir, validation=int(arguments.validation), limit=arguments.limit,
        image_size=arguments.image_size,
    )  # fmt: skip
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
    kinds = {name: _kinds(arguments.early_stop, arguments.inherit)[name] for name in arguments.kinds}
    found: dict[str, list[Experiment]] = {name: [] for name in kinds}
    with ExitStack() as stack:
        out = arguments.out or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for seed in arguments.seeds:
            for name, savings in kinds.items():
                experiment = _search(arguments, out / f"{name.replace(' ', '-')}-{seed}", seed, savings)
                found[name].append(experiment)
                test, images = experiment.test_accuracy or 0.0, _images([experiment])
                print(f"seed {seed} {name:10} test {test:.4f} images {images:,} {experiment.best.cell}", flush=True)
        for name, experiments in found.items():
            _against(name, experiments, found.get("plain", []))


def _kinds(early_stop: int, inherit: int) -> dict[str, dict[str, int]]:
    return {
        "plain": {},
        "early stop": {"early_stop": early_stop},
        "inherit": {"inherit": inherit},
        "both": {"early_stop": early_stop, "inherit": inherit},
    }


def _search(arguments: argparse.Namespace, out: Path, seed: int, savings: dict[str, int]) -> Experiment:
    from pronas.runs import search

    return search(
        arguments.data, out=out, data_dir=arguments.data_dir, space="flat", operators=OPERATORS,
        blocks=arguments.blocks, first=arguments.first, children=arguments.children, filters=arguments.filters,
        epochs=arguments.epochs, final_epochs=arguments.final_epochs, limit=arguments.limit,
        validation=arguments.validation, image_size=arguments.image_size, predictor=arguments.predictor,
        execution="inline", threads=1, seed=seed, **savings,
    )  # fmt: skip


def _images(experiments: Iterable[Experiment]) -> int:
    return sum(child.images or 0 for experiment in experiments for child in experiment.children())


def _against(name: str, experiments: list[Experiment], plain: list[Experiment]) -> None:
    """Print what a kind of search reached, beside plain ones of the same seeds."""
    tests = [experiment.test_accuracy or 0.0 for experiment in experiments]
    line = f"{name:10} test {statistics.mean(tests):.4f}"
    if plain and name != "plain":
        gaps = [100 * (test - (other.test_accuracy or 0.0)) for test, other in zip(tests, plain, strict=True)]
        line += f" ({statistics.mean(gaps):+.2f} points against plain: {' '.join(f'{gap:+.2f}' for gap in gaps)})"
        line += f", {_images(experiments) / _images(plain):.3f} of plain's images"
    print(line)
    if plain and name != "plain":
        _agree(experiments, plain)


def _agree(experiments: list[Experiment], plain: list[Experiment]) -> None:
    """Print how the rewards of children that occur in both searches of a seed agree."""
    pairs: dict[int, list[list[tuple[float, float]]]] = {}
    for ours, theirs in zip(experiments, plain, strict=True):
        full = {str(child.cell.canonical()): child.reward for child in theirs.children()}
        for level in {child.level for child in ours.children()}:
            mine = [child for child in ours.children() if child.level == level]
            both = [(child.reward or 0.0, full.get(str(child.cell.canonical()))) for child in mine]
            pairs.setdefault(level, []).append([(cheap, known) for cheap, known in both if known is not None])
    for level, seeds in sorted(pairs.items()):
        rhos = [f"{spearmanr(found).statistic:.2f} (n={len(found)})" for found in seeds if len(found) > 2]
        print(f"{'':10} level {level}: Spearman of cheap and full rewards, a seed each: {', '.join(rhos) or 'too few'}")


if __name__ == "__main__":
    main()
