"""The main job on Fashion-MNIST: search and full training, beside random search and the median random cell.

    python benchmarks/fashion_mnist.py float --data-dir ../shared/data --out runs
    python benchmarks/fashion_mnist.py binary --data-dir ../shared/data --out runs

Runs `pronas search` (progressive), then the same command with `--strategy random` (as many children, the same recipe),
then `pronas train` on the median random child; each goes on where it stopped when the script is run again. Prints test
accuracy, parameters, bits and minutes, and how the searched network compares with the two others.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pronas.runs import Experiment

CONFIGS = Path(__file__).parent / "configs"


def main() -> None:
    options = _options()
    searched = options.out / f"fashion-{options.kind}-progressive"
    drawn = options.out / f"fashion-{options.kind}-random"
    _search(searched, options, "progressive")
    _search(drawn, options, "random")
    middle = _train_median(drawn, options)
    rows = [("searched", searched), ("best of as many random cells", drawn), ("median random cell", middle)]
    results = [(name, _result(folder)) for name, folder in rows]
    for name, result in results:
        print(_line(name, result))
    best = results[0][1]["test_accuracy"]
    for name, result in results[1:]:
        errors = (1 - result["test_accuracy"]) / (1 - best)
        print(
            f"searched against {name}: {100 * (best - result['test_accuracy']):+.2f} points, {errors:.2f}x the errors"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["float", "binary"])
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="training images (quicker, smaller)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2, help="of the full trainings")
    return parser.parse_args()


def _search(folder: Path, options: argparse.Namespace, strategy: str) -> None:
    if (folder / "config.toml").exists():  # begun before, perhaps by hand with more settings
        _pronas("search", "--resume", folder)
        return
    config = CONFIGS / f"fashion_{options.kind}.toml"
    _pronas(
        *("search", "--config", config, "--strategy", strategy, "--data-dir", options.data_dir, "--out", folder),
        *("--seed", options.seed, "--workers", options.workers, "--threads", options.threads),
        *(("--limit", options.limit) if options.limit else ()),
    )


def _train_median(folder: Path, options: argparse.Namespace) -> Path:
    """Train the random child of median reward as the winners were."""
    experiment = Experiment(folder)
    ranked = experiment.ranked()
    child = ranked[len(ranked) // 2]
    target = folder.with_name(folder.name + "-median")
    epochs = experiment.config.final.epochs
    _pronas("train", folder, "--child", child.id, "--epochs", epochs, "--threads", options.threads, "--out", target)
    return target


def _pronas(*words: object) -> None:
    line = [sys.executable, "-m", "pronas", *map(str, words)]
    print("+ pronas", " ".join(map(str, words)), flush=True)
    start = time.monotonic()
    subprocess.run(line, check=True)
    print(f"  {(time.monotonic() - start) / 60:.1f} minutes", flush=True)


def _result(folder: Path) -> dict[str, Any]:
    """What a run folder, or one of `pronas train`, says of its network."""
    card = json.loads((folder / "weights" / "best.json").read_text())
    metrics = card["metrics"]
    found = {"test_accuracy": metrics["test_accuracy"], "cell": card["cell"], **metrics}
    if (folder / "result.json").exists():
        return found | json.loads((folder / "result.json").read_text())
    experiment = Experiment(folder)
    final = experiment.final or {}
    children = experiment.children()
    found |= final | {"children": len(children), "training": final.get("seconds", 0.0) / 60}
    found["search"] = sum(child.seconds or 0.0 for child in children) / 60  # reused children count in full
    return found


def _line(name: str, result: dict[str, Any]) -> str:
    bits = result.get("weight_bits") or 0
    text = f"{name}: test {100 * result['test_accuracy']:.2f} %, "
    text += f"{result.get('parameters')} parameters, {bits / 8e3:.1f} kB"
    if "search" in result:
        text += f", {result['children']} children in {result['search']:.1f} min, training {result['training']:.1f} min"
    return f"{text}: {result['cell']}"


if __name__ == "__main__":
    main()
