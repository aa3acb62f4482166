"""Does `pronas search --budget` end when it says, on any set, whatever else the machine does; and is more time better?

    python benchmarks/budgets.py --budgets 1m 2m 10m 60m --workers 1 2          # the 24 runs
    taskset -c 0 python benchmarks/budgets.py --budgets 1m 2m --workers 1 --seeds 3
    python benchmarks/budgets.py --report                                       # what was measured so far

Whole commands are timed, Python's start included. From the third minute on a second program takes half of one core.
Digits, 5,000 images of CIFAR-10 and all of Fashion-MNIST (where ../shared/data holds them). Each run is a line of
``--out`` (JSON lines); what stands there is not measured again, so a run can be stopped and goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pronas
from pronas.runs.planning import seconds_of

HERE = Path(__file__).resolve().parent
SHARED = HERE.parent.parent / "shared" / "data"
SETS = {
    "digits": ["--data", "digits"],
    "cifar:5000": ["--data", str(SHARED / "cifar10.zip"), "--limit", "5000"],
    "fashion": ["--data", "fashion-mnist", "--data-dir", str(SHARED / "fashion-mnist")],
}
ALONE = 120.0  # seconds, then the second program begins
HALF = """
import time
while True:
    end = time.perf_counter() + 0.01
    while time.perf_counter() < end:
        pass
    time.sleep(0.01)
"""


@contextmanager
def second_program() -> Iterator[None]:
    """Takes half of one core from the third minute on."""
    over, started = threading.Event(), []

    def begin() -> None:
        if not over.wait(ALONE):
            started.append(subprocess.Popen([sys.executable, "-c", HALF]))

    thread = threading.Thread(target=begin)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for process in started:
            process.kill()
            process.wait()


def measure(task: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, second_program():
        out = Path(folder) / "run"
        options = {"budget": task["budget"], "workers": task["workers"], "seed": task["seed"], "out": out}
        command = [sys.executable, "-m", "pronas", "search", *SETS[task["set"]]]
        command += [str(part) for name, value in options.items() for part in (f"--{name}", value)]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        seconds = time.perf_counter() - start
        if done.returncode:
            return {"seconds": seconds, "error": (done.stderr.strip().splitlines() or ["no message"])[-1]}
        final = pronas.Experiment(out).final or {}
    kept = {key: final.get(key) for key in ("test_accuracy", "parameters", "cell")}
    return {"seconds": round(seconds, 1), "share": round(seconds / seconds_of(task["budget"]), 4), **kept}


def tasks(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for seed in range(arguments.seeds):
        for budget in arguments.budgets:
            for workers in arguments.workers:
                for name in arguments.sets:
                    yield {"set": name, "budget": budget, "workers": workers, "seed": seed}


def report(known: list[dict[str, Any]]) -> None:
    """Shares of the budgets, and accuracies by budget."""
    shares = [r["share"] for r in known if "share" in r]
    if not shares:
        return
    within = sum(0.8 <= share <= 1.1 for share in shares)
    print(f"{len(shares)} runs: end over budget {min(shares):.3f} to {max(shares):.3f}, {within} within [0.8, 1.1]")
    for r in known:
        if "error" in r:
            print(f"failed: {r}")
    for name in sorted({r["set"] for r in known}):
        for workers in sorted({r["workers"] for r in known if r["set"] == name}):
            words = []
            for budget in sorted({r["budget"] for r in known}, key=seconds_of):
                found = [
                    100 * r["test_accuracy"]
                    for r in known
                    if (r["set"], r["workers"], r["budget"]) == (name, workers, budget) and r.get("test_accuracy")
                ]
                if found:
                    error = f"±{statistics.stdev(found) / len(found) ** 0.5:.2f}" if len(found) > 1 else ""
                    words.append(f"{budget} {statistics.fmean(found):.2f}{error}")
            print(f"{name}, {workers} workers: {', '.join(words)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budgets", nargs="+", default=["1m", "2m", "10m", "60m"])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=HERE / "data" / "budgets.jsonl")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    known = [json.loads(line) for line in arguments.out.read_text().splitlines()] if arguments.out.exists() else []
    for task in () if arguments.report else tasks(arguments):
        if any(all(r[key] == value for key, value in task.items()) for r in known):
            continue
        where = {
            "cores": len(os.sched_getaffinity(0)),
            "machine": platform.machine(),
            "date": time.strftime("%Y-%m-%d"),
        }
        known.append({**task, **measure(task), **where})
        with arguments.out.open("a") as file:
            file.write(json.dumps(known[-1]) + "\n")
        print(json.dumps(known[-1]), flush=True)
    report(known)


if __name__ == "__main__":
    main()
