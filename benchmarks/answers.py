"""Is a network found by ``pronas search`` better than one written by hand? Same images, same cores, same total time.

    python benchmarks/answers.py --sets digits signs cifar:5000 fashion:5000 photos.zip --budget 2m --seeds 3

Each rival (hand-made network x recipe, plain PyTorch, all training images) trains for the whole budget, one after the
other and by turns with the search; the best of a network's recipes counts, chosen by test accuracy, in its favour. Each
result is a line of ``--out`` (JSON lines), and what is there already is not measured again, so a run can be stopped.
``random`` and ``evolution`` among ``--networks`` are searches by these strategies, with the same budget. On one core:
``taskset -c 0`` before the command, for both sides. Binary networks, all as large as the limit allows:

    python benchmarks/answers.py --binary --max-bits 184000 --sets fashion --budget 30m
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import statistics
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SHARED = HERE.parent.parent / "shared" / "data"
NETWORKS = ["resnet8", "resnet8-narrow", "resnet8-wide", "ds-cnn", "mobilenetv2"]
BINARY = ["binarynet", "binarynet-pooled", "bireal", "bireal-projected"]
LIMITS = ("max_params", "max_macs", "max_bits")
STRATEGIES = ("random", "evolution")


def source(name):
    """Where a set is, and how it is read; a file or folder of one's own as it is."""
    options = {
        "signs": ("sign-digits.zip", {"image_size": 32}),
        "blood": ("bccd-cells48.zip", {"group_by": r"(.*)_[^_]*$"}),
        "cifar": ("cifar10.zip", {}),
        "fashion": ("fashion-mnist", {}),
    }
    if Path(name).exists() or name == "digits":
        return name, {}
    file, how = options[name]
    return str(SHARED / file), how


def dataset(name, seed):
    """A set by name, perhaps with a number of training images."""
    import pronas

    kind, _, limit = (name, "", "") if Path(name).exists() else name.partition(":")
    place, how = source(kind)
    whole = pronas.load_dataset(place, seed=seed, **how)
    return _sampled(whole, int(limit), seed) if limit else whole


def _sampled(whole, count, seed):
    """So many training images, and every test image."""
    import numpy as np

    from pronas.data import dataset_from_arrays

    pick = np.random.default_rng(seed).permutation(len(whole.train))[:count]
    train = (whole.train.images[pick], whole.train.labels[pick])
    return dataset_from_arrays(
        train, (whole.test.images, whole.test.labels), name=f"{whole.name}-{count}", classes=whole.classes, seed=seed
    )


def search(task, pipe):
    """One search by the default command, with the budget and the limits."""
    import pronas

    sampled = ":" in task["set"] and not Path(task["set"]).exists()
    data, how = (dataset(task["set"], task["seed"]), {}) if sampled else source(task["set"])
    settings = how | {key: task[key] for key in LIMITS if task.get(key)}
    if task.get("binary"):
        settings["space"] = "binary"
    if task["network"] in STRATEGIES:
        settings["strategy"] = task["network"]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = pronas.search(data, out=Path(folder) / "run", budget=task["budget"], seed=task["seed"], **settings)
        final = run.final
    seconds = time.perf_counter() - start
    keys = ("test_accuracy", "parameters", "weight_bits", "macs", "binary_macs", "cell")
    pipe.send({"seconds": seconds, **{key: final[key] for key in keys}})


def rival(task, pipe):
    """One hand-made network with one recipe."""
    import numpy as np
    import torch

    sys.path.insert(0, str(HERE))
    import _binary_rivals as binary
    import _rivals
    from pronas.runs.planning import seconds_of

    torch.manual_seed(task["seed"])
    data = dataset(task["set"], task["seed"])
    images = torch.from_numpy(np.concatenate([data.train.images, data.validation.images]))
    labels = torch.from_numpy(np.concatenate([data.train.labels, data.validation.labels]))
    rivals = binary if task.get("binary") else _rivals
    build, recipe = rivals.NETWORKS[task["network"]], rivals.RECIPES[task["recipe"]]
    build = binary.widest(build, task["max_bits"]) if rivals is binary else build
    network = build(data.input_shape[0], len(data.classes))
    start = time.perf_counter()
    passes = _rivals.train(network, recipe, images, labels, seconds_of(task["budget"]), seed=task["seed"])
    seconds = time.perf_counter() - start
    test = _rivals.accuracy(
        network, images, torch.from_numpy(np.array(data.test.images)), torch.from_numpy(np.array(data.test.labels))
    )
    count = sum(p.numel() for p in network.parameters())
    found = {"test_accuracy": test, "parameters": count, "seconds": seconds, "passes": passes}
    pipe.send({**found, "weight_bits": binary.bits(network)})


def measure(task):
    """Run a task in a process of its own, so that nothing of one helps another."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=rival if task["recipe"] else search, args=(task, send))
    process.start()
    send.close()
    try:
        result = receive.recv()
    except EOFError:
        result = {"error": "the process ended without a result"}
    process.join()
    return result


def tasks(arguments):
    """Everything to measure: seeds outermost, the search in the middle of its rivals."""
    limits = {key: getattr(arguments, key) for key in LIMITS[:2]}
    if arguments.binary:
        limits |= {"binary": True, "max_bits": arguments.max_bits}
    rivals = [
        (network, recipe)
        for network in arguments.networks
        for recipe in ([""] if network in STRATEGIES else arguments.recipes)
    ]
    order = [*rivals[: len(rivals) // 2], ("pronas", ""), *rivals[len(rivals) // 2 :]]
    for seed in range(arguments.seeds):
        for name in arguments.sets:
            for network, recipe in order:
                what = {"set": name, "seed": seed, "network": network, "recipe": recipe}
                yield {**what, "budget": arguments.budget, **limits}


def report(results, arguments):
    """Print accuracies, and differences between the search and each rival's best recipe with standard errors."""
    for name in arguments.sets:
        ours = {r["seed"]: r for r in results if r["set"] == name and r["network"] == "pronas" and "error" not in r}
        if not ours:
            continue
        sizes, seconds = ([round(r[key]) for r in ours.values()] for key in ("parameters", "seconds"))
        print(f"\n{name}, {arguments.budget}: pronas {_mean([r['test_accuracy'] for r in ours.values()])}", end="")
        print(f"; parameters {sizes}; seconds {seconds}")
        for network in arguments.networks:
            best = {}
            for r in results:
                if r["set"] == name and r["network"] == network and "error" not in r:
                    best[r["seed"]] = max(best.get(r["seed"], 0.0), r["test_accuracy"])
            seeds = sorted(set(best) & set(ours))
            if seeds:
                gains = [100 * (ours[s]["test_accuracy"] - best[s]) for s in seeds]
                wins = sum(g > 0 for g in gains)
                print(
                    f"  {network:14} {_mean([best[s] for s in seeds])}  gain {_points(gains)}, "
                    f"wins {wins} of {len(gains)}"
                )


def _mean(values):
    return f"{100 * statistics.fmean(values):.2f} %"


def _points(values):
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return f"{statistics.fmean(values):+.2f} +- {error:.2f} points"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["digits", "signs", "fashion:5000", "cifar:5000"])
    parser.add_argument("--networks", nargs="+", help=f"default {' '.join(NETWORKS)}, binary {' '.join(BINARY)}")
    parser.add_argument("--recipes", nargs="+", help="of the rivals; default all of them")
    parser.add_argument("--budget", default="2m")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--max-params", type=int)
    parser.add_argument("--max-macs", type=int)
    parser.add_argument("--binary", action="store_true", help="binary networks of at most --max-bits")
    parser.add_argument("--max-bits", type=int)
    parser.add_argument("--out", type=Path, default=Path("answers.jsonl"))
    arguments = parser.parse_args()
    if arguments.binary and not arguments.max_bits:
        parser.error("--binary needs --max-bits: rivals are made as wide as it allows")
    arguments.networks = arguments.networks or (BINARY if arguments.binary else NETWORKS)
    binary_recipes, recipes = ["slow", "plain", "flips", "fast"], ["plain", "flips", "adam"]
    arguments.recipes = arguments.recipes or (binary_recipes if arguments.binary else recipes)
    known = [json.loads(line) for line in arguments.out.read_text().splitlines()] if arguments.out.exists() else []
    for task in tasks(arguments):
        if any(all(r.get(key) == value for key, value in task.items()) for r in known):
            continue
        known.append({**task, **measure(task)})
        with arguments.out.open("a") as file:
            file.write(json.dumps(known[-1]) + "\n")
        print(json.dumps(known[-1]), flush=True)
    wanted = [
        r for r in known if r["budget"] == arguments.budget and all(r.get(k) == getattr(arguments, k) for k in LIMITS)
    ]
    report(wanted, arguments)


if __name__ == "__main__":
    main()
