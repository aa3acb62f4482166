"""How few children find how good a cell on NAS-Bench-201: this project's controller beside random and evolution.

    python benchmarks/nasbench201.py --table nasbench201.npz --seeds 50

The table holds ``ops`` (15625, 6), ``cifar10_val_200``, ``cifar10_test_200`` and so on, in per cent. A search sees the
validation accuracy of the cells it asks for (different ones are counted); reported is the test accuracy of the best by
validation. Every method goes through `ControllerManager`: the same proposals that ``pronas search`` would make.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from _nasbench_space import NASBench201Space
from pronas.controller import ControllerManager
from pronas.predictors import Observed, make_predictor

AT = (25, 30, 50, 100, 150, 200, 300)
METHODS = {
    "controller": {"predictor": "gp", "acquisition": "ei"},
    "random": {"strategy": "random"},
    "evolution 20/5": {"strategy": "evolution", "options": {"population": 20, "sample": 5, "batch": 1}},
    "evolution 50/10": {"strategy": "evolution", "options": {"population": 50, "sample": 10, "batch": 1}},
}


def controller(
    space: NASBench201Space, method: str, budget: int, seed: int, together: int = 2, batch: str = "greedy"
) -> ControllerManager:
    """The manager: ten random cells, then ``together`` a round; random and evolution choose for themselves."""
    options = METHODS[method] | {"seed": seed, "validate": False}
    if "strategy" in options:
        return ControllerManager(space, K=None, budget=budget, **options)
    rounds = 1 + (budget - 10) // together
    return ControllerManager(space, K=None, first=budget, rounds=rounds, batch=batch, **options)


def search(
    space: NASBench201Space,
    table: dict,
    data: str,
    method: str,
    budget: int,
    seed: int,
    at: tuple[int, ...],
    **together: Any,
) -> list[float]:
    """Test accuracy of the best by validation after each number of cells in ``at`` up to the budget."""
    manager = controller(space, method, budget, seed, **together)
    validation, order = table[f"{data}_val_200"], []
    while cells := manager.get_actions():
        index = space.index(space.encode(cells))
        order += index.tolist()
        manager.tell(cells, (validation[index] / 100).tolist())
        manager.update()
    assert len(set(order)) == len(order) == budget
    return [float(table[f"{data}_test_200"][order[int(np.argmax(validation[order[:n]]))]]) for n in at if n <= budget]


def show(name: str, data: str, results: list[list[float]], at: tuple[int, ...]) -> None:
    values = np.array(results)
    error = values.std(0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else values[0] * 0
    columns = (f"{n}: {m:.2f}±{e:.2f}" for n, m, e in zip(at, values.mean(0), error, strict=False))
    print(f"{data:9s} {name:16s} ({len(values)} seeds)  " + "  ".join(columns), flush=True)


def rank(space: NASBench201Space, table: dict, sets: list[str], predictors: list[str], seeds: int) -> None:
    """Spearman of all unseen cells from n random ones."""
    for data in sets:
        rewards = table[f"{data}_val_200"] / 100
        for name in predictors:
            for n in (100, 200, 400):
                found = []
                started = time.process_time()
                for seed in range(seeds):
                    order = np.random.default_rng(seed).permutation(len(rewards))
                    predictor = make_predictor(name, space)
                    predictor.fit([Observed(space.table[order[:n]], rewards[order[:n]])], seed)
                    mean, _ = predictor.predict(space.table[order[n:]])
                    found.append(stats.spearmanr(mean, rewards[order[n:]])[0])
                seconds = (time.process_time() - started) / seeds
                error = np.std(found, ddof=1) / np.sqrt(seeds)
                print(f"rank {data} {name} n={n}: {np.mean(found):.3f}±{error:.3f}  {seconds:.1f} CPU s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=50, help="searches of each method; 0: none")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--data", nargs="*", default=["cifar10", "cifar100"])
    parser.add_argument("--budget", type=int, default=100, help="of the controller; random and evolution go to 300")
    parser.add_argument("--rank", nargs="*", default=[], help="predictors whose ranking is measured")
    parser.add_argument("--rank-seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, help="JSON lines, one a search")
    parser.add_argument("--acquisition", default="ei")
    parser.add_argument("--at", type=int, nargs="+", default=AT, help="numbers of cells that are reported")
    parser.add_argument("--together", type=int, default=2, help="cells of a round")
    parser.add_argument("--batch", default="greedy", help="how cells of a round are told apart")
    arguments = parser.parse_args()
    METHODS["controller"]["acquisition"] = arguments.acquisition
    together = {"together": arguments.together, "batch": arguments.batch}
    at = tuple(arguments.at)
    with np.load(arguments.table) as file:
        table = {name: file[name].astype(np.float64) for name in file if name.endswith("200")}
        space = NASBench201Space(file["ops"])
    if arguments.rank:
        rank(space, table, arguments.data, arguments.rank, arguments.rank_seeds)
    for data in arguments.data:
        for method in arguments.methods:
            budget = arguments.budget if method == "controller" else 300
            results = []
            for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
                results.append(search(space, table, data, method, budget, seed, at, **together))
                if arguments.out:
                    with arguments.out.open("a") as file:
                        file.write(
                            json.dumps({"data": data, "method": method, "seed": seed, "test": results[-1]}) + "\n"
                        )
            if results:
                show(method, data, results, at)


if __name__ == "__main__":
    main()
