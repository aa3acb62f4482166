"""Images trained a second, beside a plain PyTorch prototype in the same run.

    python benchmarks/children.py                 # four children, two processes of one thread each
    python benchmarks/children.py --profile f1    # where the time of a step goes

    python benchmarks/children.py --compiled      # also the prototype under torch.compile
    python benchmarks/children.py --against OLD   # beside the pronas of another checkout, instead of the prototype

"Two cores" are two processes of one thread, as two workers of a search: their images a second are added. pronas and the
prototype, in both memory layouts, take turns, so that a noisy machine is as noisy for all; the best turn and the median
ratio to either layout are printed. The limit is what the multiply-accumulates allow: three passes (forward, to the
inputs, to the weights) of two operations each, at the rate of one core's matrix products (measured here unless given).
With --against, whose libraries were built in place, both train by turns; printed is the mean ratio of a turn, with its
standard error. With --compiled the prototype also runs under torch.compile, channels last; the time it takes to compile
is told apart and is in no rate.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from _plain_children import plain_epoch, plain_network
from _profile_children import step_profile
from pronas.networks import Skeleton, describe, skeleton
from pronas.space import Cell
from pronas.training import Tensors, Training, keep_freed_memory, recipe


@dataclass(frozen=True)
class Child:
    """A child to train.

    ``aim``: images a second wanted of two cores together; ``ratio``: how many times the prototype that was when the aim
    was set; ``images``: trained in a turn.
    """

    title: str
    skeleton: str
    filters: tuple[int, ...]
    shape: tuple[int, int, int]
    blocks: tuple[tuple[str, str], ...]
    aim: int
    ratio: float
    images: int

    @property
    def cell(self) -> Cell:
        return Cell.parse(" | ".join(f"0:{one} + 0:{two}" for one, two in self.blocks))

    @property
    def operators(self) -> list[str]:
        return [name for block in self.blocks for name in block]

    def make_skeleton(self) -> Skeleton:
        return skeleton(self.skeleton, filters=self.filters)


_FLOAT = (("3x3 dconv", "5x5 dconv"), ("7x7 dconv", "1x7-7x1 conv"), ("3x3 maxpool", "3x3 avgpool"))
_BINARY = (("3x3 bconv", "3x3 sep-bconv"), ("5x5 bconv", "5x5 sep-bconv"), ("3x3 maxpool", "linear"))
CHILDREN = {
    "f1": Child("one block, float", "flat", (32, 64), (3, 32, 32), _FLOAT[:1], 7500, 1.33, 5120),
    "f3": Child("three blocks, float", "flat", (32, 64), (3, 32, 32), _FLOAT, 1100, 1.47, 1024),
    "b1": Child("one block, binary", "binary", (16, 24, 32), (1, 28, 28), _BINARY[:1], 12000, 1.36, 7680),
    "b3": Child("three blocks, binary", "binary", (16, 24, 32), (1, 28, 28), _BINARY, 2500, 1.52, 2048),
}

LAYOUTS = {"default": torch.contiguous_format, "channels last": torch.channels_last}
COMPILED = "torch.compile"
AGAINST = "the other checkout"
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


def random_data(shape: tuple[int, int, int], count: int, device: str = "cpu") -> Tensors:
    """Random images and labels, as quick to train on as real ones."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator)
    return Tensors(images.to(device), torch.randint(0, 10, (count,), generator=generator).to(device))


def _training(child: Child) -> Training:
    made = child.make_skeleton()
    network = made.build(child.cell, child.shape, 10)
    return Training(
        network,
        random_data(child.shape, child.images),
        None,
        recipe("search", binary=made.binary, epochs=100_000),
        seed=0,
    )


def serve(connection: Connection, child: Child, kind: str, threads: int, clock: str) -> None:
    """One of the processes: trains an epoch whenever it is told to, and says how long that took."""
    torch.set_num_threads(threads)
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # a daemon may have no processes of its own
    if kind == "pronas":
        keep_freed_memory()
        run = _training(child).run_epoch
    else:
        data, binary = random_data(child.shape, child.images), child.skeleton == "binary"
        network = plain_network(child.operators, child.shape, list(child.filters), binary)
        layout = LAYOUTS.get(kind, torch.channels_last)
        compiled = torch.compile(network) if kind == COMPILED else network
        run = plain_epoch(compiled, data.images, data.labels, binary, layout)  # type: ignore[assignment]
    now = CLOCKS[clock]
    start = time.perf_counter()
    run()
    first = time.perf_counter()
    run()
    connection.send(2 * first - start - time.perf_counter())  # what the first turn took more than the second
    while connection.recv():
        start = now()
        run()
        connection.send(child.images / (now() - start))


class Elsewhere:
    """A process that trains with another checkout's pronas; spoken to as the others are."""

    def __init__(self, checkout: Path, child: Child, threads: int, clock: str) -> None:
        asked = {"skeleton": child.skeleton, "filters": child.filters, "shape": child.shape, "cell": str(child.cell)}
        asked |= {"images": child.images, "threads": threads, "clock": CLOCKS[clock].__name__}
        command = [sys.executable, str(Path(__file__).with_name("_elsewhere.py")), json.dumps(asked)]
        environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def send(self, go_on: bool) -> None:
        assert self._process.stdin is not None
        if go_on:
            print(file=self._process.stdin, flush=True)
        else:
            self._process.stdin.close()

    def recv(self) -> float:
        assert self._process.stdout is not None
        return float(self._process.stdout.readline())


def _measure(
    child: Child,
    rounds: int,
    processes: int,
    threads: int,
    clock: str,
    kinds: tuple[str, ...],
    checkout: Path | None = None,
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Images a second of each kind in each round, and the seconds it took to begin."""
    context = multiprocessing.get_context("spawn")
    teams: dict[str, list[Connection | Elsewhere]] = {}
    for kind in kinds:
        for _ in range(processes):
            if kind == AGAINST and checkout is not None:
                teams.setdefault(kind, []).append(Elsewhere(checkout, child, threads, clock))
                continue
            ours, theirs = context.Pipe()
            context.Process(target=serve, args=(theirs, child, kind, threads, clock), daemon=True).start()
            teams.setdefault(kind, []).append(ours)
    begun = {kind: max(connection.recv() for connection in team) for kind, team in teams.items()}
    rates: dict[str, list[float]] = {kind: [] for kind in teams}
    for _ in range(rounds):
        for kind, team in teams.items():
            for connection in team:
                connection.send(True)
            rates[kind].append(sum(connection.recv() for connection in team))
    for connection in [one for team in teams.values() for one in team]:
        connection.send(False)
    return rates, begun


def _flops() -> float:
    """Operations a second of one core's matrix products, the best of a few tries."""
    torch.set_num_threads(1)
    one, best = torch.randn(1024, 1024), 0.0
    for _ in range(12):
        start = time.process_time()
        one @ one
        best = max(best, 2 * 1024**3 / (time.process_time() - start))
    return best


def _line(key: str, rates: dict[str, list[float]], flops: float, cores: int) -> str:
    child = CHILDREN[key]
    counted = describe(child.cell, child.make_skeleton(), child.shape)
    limit = cores * flops / (6 * (counted.macs + counted.binary_macs))
    best = {kind: max(found) for kind, found in rates.items()}
    better = max(LAYOUTS, key=lambda layout: best[layout])
    ratios = ", ".join(
        f"{layout} {best[layout]:.0f}, ratio {best['pronas'] / best[layout]:.2f} "
        f"(median {_median_ratio(rates['pronas'], rates[layout]):.2f})"
        for layout in LAYOUTS
    )
    return (
        f"{key} {child.title:22} best {best['pronas']:.0f} (aim {child.aim}, {child.ratio} times the prototype), "
        f"median {statistics.median(rates['pronas']):.0f}; prototype: {ratios}; better layout: {better}; "
        f"{100 * best['pronas'] / limit:.0f} % of the limit {limit:.0f} (prototype {100 * best[better] / limit:.0f} %)"
    )


def _compiled_line(rates: dict[str, list[float]], begun: dict[str, float]) -> str:
    ours, theirs = rates["pronas"], rates[COMPILED]
    return (
        f"   {COMPILED} {max(theirs):.0f}, ratio {max(ours) / max(theirs):.2f} "
        f"(median {_median_ratio(ours, theirs):.2f}), "
        f"compiled in {begun[COMPILED]:.1f} s, pronas begins in {begun['pronas']:.1f} s"
    )


def _against_line(key: str, rates: dict[str, list[float]]) -> str:
    ours, theirs = rates["pronas"], rates[AGAINST]
    ratios = [one / two for one, two in zip(ours, theirs, strict=True)]
    error = statistics.stdev(ratios) / math.sqrt(len(ratios)) if len(ratios) > 1 else math.nan
    return (
        f"{key} {CHILDREN[key].title:22} {statistics.mean(ratios):.3f} ± {error:.3f} times {AGAINST}, "
        f"{len(ratios)} turns; best {max(ours):.0f} against {max(theirs):.0f}, "
        f"median {statistics.median(ours):.0f} against {statistics.median(theirs):.0f}"
    )


def _median_ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(one / two for one, two in zip(ours, theirs, strict=True))


def _profile(key: str) -> None:
    torch.set_num_threads(1)
    keep_freed_memory()
    child = dataclasses.replace(CHILDREN[key], images=1024)
    training = _training(child)
    training.run_epoch()
    whole, rows = step_profile(training.run_epoch, child.images // 128)
    total = sum(row[0] for row in rows)
    print(f"{key}: {whole:.1f} ms of processor time a step of 128 images, {total:.1f} of it in operators")
    for time_, calls, name in rows[:25]:
        print(f"{time_:7.2f} ms {100 * time_ / whole:5.1f} % {calls:5.1f}x {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("children", nargs="*", default=list(CHILDREN), metavar="CHILD", help=", ".join(CHILDREN))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="a process")
    parser.add_argument(
        "--clock", choices=list(CLOCKS), default="wall", help="processor: on a machine that is not idle"
    )
    parser.add_argument("--images", type=int, help="in a turn; default: the child's")
    parser.add_argument("--gflops", type=float, help="of one core; default: measured")
    parser.add_argument("--compiled", action="store_true", help="also the prototype under torch.compile")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="of pronas, its libraries built in place")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    if options.profile:
        for key in options.children:
            _profile(key)
        return
    if options.against:
        for key in options.children:
            child = dataclasses.replace(CHILDREN[key], images=options.images or CHILDREN[key].images)
            how = options.rounds, options.processes, options.threads, options.clock, ("pronas", AGAINST)
            print(_against_line(key, _measure(child, *how, options.against)[0]), flush=True)
        return
    flops = options.gflops * 1e9 if options.gflops else _flops()
    cores = options.processes * options.threads
    print(f"one core multiplies at {flops / 1e9:.0f} GFLOP/s; images a second ({options.clock} clock), {cores} core(s)")
    for key in options.children:
        child = CHILDREN[key]
        child = dataclasses.replace(child, images=options.images or child.images)
        kinds = ("pronas", *LAYOUTS, *([COMPILED] if options.compiled else []))
        how = options.rounds, options.processes, options.threads, options.clock, kinds
        rates, begun = _measure(child, *how)
        print(_line(key, rates, flops, cores), flush=True)
        if options.compiled:
            print(_compiled_line(rates, begun), flush=True)


if __name__ == "__main__":
    main()
