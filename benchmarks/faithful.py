"""Run a published search by its preset, keep its files, and see how well predictors extrapolate from level to level.

    python benchmarks/faithful.py flat-cifar --data ../shared/data/cifar10.zip
    python benchmarks/faithful.py binary-mnist --data fashion-mnist --data-dir ../shared/data/fashion-mnist --scale 0.1
    python benchmarks/faithful.py paper --data ../shared/data/cifar10.zip --scale 0.12 --filters 8 --repeats 1

The search is `pronas search --preset NAME`; the same command goes on after an interruption. ``train_history.csv``,
``scores_B.csv``, ``config.toml`` and the report are copied to ``benchmarks/faithful/NAME``. Then, for every level b but
the last, each predictor is fitted to the levels up to b and ranks the trained cells of level b + 1: Spearman's
rho on what it was fitted to, and on those (the paper's table 1), each the mean of some seeds with its standard error.
"""

from __future__ import annotations

import argparse
import math
import shutil
import statistics
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

import pronas
from pronas.predictors import Observed, make_predictor
from pronas.report import write_report
from pronas.runs import PRESETS, Experiment
from pronas.space import StateSpace

PREDICTORS = ("paper-mlp", "paper-lstm", "paper-mlp-ensemble", "paper-lstm-ensemble", "gp")
HERE = Path(__file__).resolve().parent / "faithful"


def levels(run: Experiment, space: StateSpace) -> list[Observed]:
    """What was trained, level by level."""
    found = []
    for level in range(1, space.B + 1):
        children = [child for child in run.children() if child.level == level and child.status == "done"]
        if children:
            rows = space.encode([child.cell for child in children])
            found.append(Observed(rows, np.array([child.reward or 0.0 for child in children])))
    return found


def rho(predictor, part: Observed) -> float:
    """Spearman's rho of predictions and rewards; 0 where either is constant."""
    value = float(spearmanr(predictor.predict(part.rows)[0], part.rewards).statistic) if len(part) > 2 else math.nan
    return 0.0 if math.isnan(value) and len(part) > 2 else value


def extrapolation(parts: list[Observed], space: StateSpace, seeds: int) -> Iterable[str]:
    for name in PREDICTORS:
        words = [f"{name:20}"]
        for b in range(1, len(parts)):
            inside, outside = [], []
            for seed in range(seeds):
                predictor = make_predictor(name, space)
                predictor.fit(parts[:b], seed=seed)
                inside.append(rho(predictor, parts[b - 1]))
                outside.append(rho(predictor, parts[b]))
            words.append(f"{b}: {mean(inside)}, {b + 1}: {mean(outside)}")
        yield "  ".join(words)


def mean(values: list[float]) -> str:
    if any(math.isnan(value) for value in values):  # too few cells to rank
        return "-"
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.3f}±{error:.3f}"


def keep(run: Experiment, folder: Path) -> None:
    """Copy what is small and readable, without this machine's folders."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(run.path / "train_history.csv", folder)
    shutil.copy(run.path / "config.toml", folder)
    write_report(run.path, folder / "report.html")
    for path in (folder / "config.toml", folder / "report.html"):
        text = path.read_text("utf-8")
        for place in (Path(run.config.data.name), Path(run.config.data.directory or ""), run.path):
            text = text.replace(f"{place.parent}/", "") if place.is_absolute() else text
        path.write_text(text, "utf-8")
    for path in run.path.glob("scores_*.csv"):  # whole levels can be large: the best thousand
        lines = path.read_text("utf-8").splitlines(keepends=True)
        best = sorted(lines, key=lambda line: -float(line.partition(",")[0]))[:1000]
        (folder / path.name).write_text("".join(best), "utf-8")


def parsed() -> tuple[argparse.Namespace, dict[str, object]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset", choices=PRESETS)
    parser.add_argument("--data")
    parser.add_argument("--data-dir")
    parser.add_argument("--scale", type=float)
    parser.add_argument("--operators", nargs="+")
    parser.add_argument("--children", type=int, help="K, in place of the preset's")
    parser.add_argument("--filters", type=int, help="F, in place of the preset's")
    parser.add_argument("--repeats", type=int, help="N, in place of the preset's")
    parser.add_argument("--final-epochs", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=5, help="of the predictors")
    parser.add_argument("--run", type=Path, help="the run folder; default faithful-PRESET")
    parser.add_argument("--name", help="of the kept folder; default the preset's")
    arguments = parser.parse_args()
    ours = ("preset", "seeds", "run", "name")
    return arguments, {name: value for name, value in vars(arguments).items() if name not in ours and value is not None}


def main() -> None:
    arguments, settings = parsed()
    folder = arguments.run or Path(f"faithful-{arguments.preset}")
    run = pronas.search(preset=arguments.preset, out=folder, on_event=_tell, **settings)
    keep(run, HERE / (arguments.name or arguments.preset))
    table = run.config.space
    space = StateSpace(table.blocks, list(table.operators), table.lookback, table.lookforward)
    parts = levels(run, space)
    for level, part in enumerate(parts, start=1):
        low, middle, high = np.quantile(part.rewards, [0, 0.5, 1])
        print(f"level {level}: {len(part)} children, rewards {low:.4f} to {high:.4f}, median {middle:.4f}")
    print("Spearman's rho: on the level it was fitted to, and on the next")
    for line in extrapolation(parts, space, arguments.seeds):
        print(line, flush=True)


def _tell(event: dict[str, object]) -> None:
    if event["event"] == "note" or (event["event"] == "child" and int(str(event["done"])) % 20 == 0):
        print(event.get("text") or f"{event['done']} children, the last {event['reward']:.4f}", flush=True)


if __name__ == "__main__":
    main()
