"""How predictors and strategies do on children that were really trained.

    python benchmarks/real_children.py benchmarks/data/fashion_children.csv

The file has a header and a line a child: ``cell`` (the text form), ``level``, ``reward``. Printed are, for each
predictor, the rank correlation of the next level's rewards with what it predicts from the levels before; and what
progressive search, random and evolution find when they may only choose among these cells, at the same number of
children. Nothing is trained.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from pronas.predictors import Observed, make_predictor, rank_correlations
from pronas.space import Cell, StateSpace

PREDICTORS = ("gp", "forest", "mlp", "mlp-ensemble", "lstm", "lstm-ensemble", "auto")


def read(path: Path) -> tuple[StateSpace, list[Observed]]:
    """The smallest space that holds the cells, and the children by level; a cell's later repeats are left out."""
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    cells = {Cell.parse(line["cell"]).canonical(): float(line["reward"]) for line in reversed(lines)}
    operators = sorted({name for cell in cells for name in cell.operators})
    lookback = min(value for cell in cells for block in cell.blocks for value, _ in block.halves)
    space = StateSpace(max(map(len, cells)), operators, min(lookback, 0))
    levels = []
    for level in sorted({len(cell) for cell in cells}):
        part = [cell for cell in cells if len(cell) == level]
        levels.append(Observed(space.encode(part), np.array([cells[cell] for cell in part])))
    return space, levels


def extrapolation(space: StateSpace, levels: list[Observed], names: list[str], seeds: int) -> None:
    for name in names:
        for i in range(1, len(levels)):
            found = []
            for seed in range(seeds):
                predictor = make_predictor(name, space)
                predictor.fit(levels[:i], seed)
                found.append(rank_correlations(predictor.predict(levels[i].rows)[0], levels[i].rewards).spearman or 0.0)
            blocks = levels[i].rows.shape[1] // 4
            print(f"{name}: level {blocks - 1} to {blocks}: Spearman {show(found)} (n={len(levels[i])})", flush=True)


def show(values: list[float]) -> str:
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{np.mean(values):.3f}±{error:.3f}"


def progressive(space: StateSpace, levels: list[Observed], k: int, seed: int, name: str) -> float:
    """K of each level's children by prediction; ``name`` fits what was chosen so far. Level 1: K drawn at random."""
    order = np.random.default_rng(seed).permutation(len(levels[0]))[:k]
    chosen = [Observed(levels[0].rows[order], levels[0].rewards[order])]
    for level in levels[1:]:
        predictor = make_predictor(name, space)
        predictor.fit(chosen, seed)
        best = np.argsort(-predictor.predict(level.rows)[0], kind="stable")[:k]
        chosen.append(Observed(level.rows[best], level.rewards[best]))
    return max(float(part.rewards.max()) for part in chosen)


def random(levels: list[Observed], count: int, seed: int) -> float:
    rewards = np.concatenate([level.rewards for level in levels])
    return float(rewards[np.random.default_rng(seed).permutation(len(rewards))[:count]].max())


def evolution(space: StateSpace, levels: list[Observed], count: int, seed: int) -> float:
    """Regularized evolution; a mutation is the unseen cell of the table nearest to a parent, by features."""
    features = np.concatenate([space.features(level.rows) for level in levels])
    features = (features - features.mean(0)) / np.maximum(features.std(0), 1e-6)
    rewards = np.concatenate([level.rewards for level in levels])
    generator = np.random.default_rng(seed)
    seen = generator.permutation(len(rewards))[: min(10, count)].tolist()
    while len(seen) < min(count, len(rewards)):
        alive = np.array(seen[-10:])
        drawn = generator.choice(alive, min(3, len(alive)), replace=False)
        parent = drawn[np.argmax(rewards[drawn])]
        distance = ((features - features[parent]) ** 2).sum(1)
        distance[seen] = np.inf
        near = np.argsort(distance, kind="stable")[: min(5, len(rewards) - len(seen))]
        seen.append(int(generator.choice(near)))
    return float(rewards[seen].max())


def strategies(space: StateSpace, levels: list[Observed], k: int, seeds: int, name: str) -> None:
    count = min(k, len(levels[0])) + sum(min(k, len(level)) for level in levels[1:])
    top = max(float(level.rewards.max()) for level in levels)
    print(f"best of {count} children (the table's best is {top:.4f}), {seeds} seeds")
    for label, run in (
        (f"progressive ({name})", lambda seed: progressive(space, levels, k, seed, name)),
        ("random", lambda seed: random(levels, count, seed)),
        ("evolution 10/3", lambda seed: evolution(space, levels, count, seed)),
    ):
        print(f"  {label}: {show([run(seed) for seed in range(seeds)])}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("children", type=Path)
    parser.add_argument("--predictors", nargs="*", default=list(PREDICTORS), choices=PREDICTORS)
    parser.add_argument("--strategy-predictor", default="gp")
    parser.add_argument("--k", type=int, default=10, help="children chosen at each level")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    space, levels = read(arguments.children)
    print(f"{sum(map(len, levels))} children, levels of {', '.join(str(len(level)) for level in levels)}")
    extrapolation(space, levels, arguments.predictors, arguments.seeds)
    strategies(space, levels, arguments.k, arguments.seeds, arguments.strategy_predictor)


if __name__ == "__main__":
    main()
