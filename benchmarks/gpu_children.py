"""Children on one GPU: images trained a second by one, and by several side by side, beside plain eager PyTorch.

    python benchmarks/gpu_children.py                            # the first GPU, sixteen processes
    python benchmarks/gpu_children.py --device cpu --processes 2 --images 512 --rounds 1   # whether it runs at all

The peer is `_plain_children.py`, one child after another, in its better memory layout. The forms take turns; best and
median are printed. Then, from a child of the paper's search (PNAS network, F = 24, N = 2, a cell of five blocks), how
long that search would take: 1,160 children, 20 epochs of 45,000 images each (Liu et al. 2018, section 5.1).
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection

import torch

from _plain_children import plain_epoch, plain_network
from children import CHILDREN, LAYOUTS, Child, random_data
from pronas.networks import skeleton
from pronas.space import Cell
from pronas.training import Tensors, Training, recipe

_PAPER_CELL = (
    "-1:identity + -1:5x5 dconv | -2:3x3 maxpool + -2:7x7 dconv | -1:3x3 dconv + -2:5x5 dconv | "
    "-1:3x3 maxpool + 1:3x3 dconv | -1:3x3 dconv + -2:3x3 maxpool"
)


@dataclass(frozen=True)
class Form:
    """How children are trained: by ``kind`` ("pronas" or a layout of the prototype), ``processes`` at a time."""

    title: str
    kind: str
    processes: int
    mixed: bool = False


def _training(network: torch.nn.Module, images: Tensors, mixed: bool, binary: bool) -> Training:
    how = recipe("search", binary=binary, epochs=100_000).replace(mixed_precision=mixed)
    return Training(network, images, None, how, seed=0)  # type: ignore[arg-type]


def serve(connection: Connection, child: Child | None, form: Form, count: int, device: str) -> None:
    """One process: trains an epoch whenever told to (``child`` None: the paper's), and says when it is done."""
    torch.set_num_threads(1)
    data = random_data((3, 32, 32) if child is None else child.shape, count, device)
    if child is None or form.kind == "pronas":
        made = skeleton("pnas-cifar", N=2, F=24) if child is None else child.make_skeleton()
        cell = Cell.parse(_PAPER_CELL) if child is None else child.cell
        network = made.build(cell, tuple(data.images.shape[1:]), 10).to(device)
        run = _training(network, data, form.mixed, made.binary).run_epoch
    else:
        binary = child.skeleton == "binary"
        plain = plain_network(child.operators, child.shape, list(child.filters), binary).to(device)
        run = plain_epoch(plain, data.images, data.labels, binary, LAYOUTS[form.kind])  # type: ignore[assignment]
    run()  # the first epoch chooses kernels
    connection.send("ready")
    while connection.recv():
        run()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        connection.send("done")


def measure(child: Child | None, forms: list[Form], count: int, device: str, rounds: int) -> list[list[float]]:
    """Images a second of each form, a list over rounds."""
    context, teams = multiprocessing.get_context("spawn"), []
    for form in forms:
        pipes = [context.Pipe() for _ in range(form.processes)]
        for _, theirs in pipes:
            context.Process(target=serve, args=(theirs, child, form, count, device), daemon=True).start()
        teams.append([ours for ours, _ in pipes])
        for ours in teams[-1]:
            ours.recv()
    rates: list[list[float]] = [[] for _ in forms]
    for _ in range(rounds):
        for found, team in zip(rates, teams, strict=True):
            start = time.perf_counter()
            for ours in team:
                ours.send(True)
            for ours in team:
                ours.recv()
            found.append(len(team) * count / (time.perf_counter() - start))
    for ours in [one for team in teams for one in team]:
        ours.send(False)
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("children", nargs="*", default=list(CHILDREN), metavar="CHILD", help=", ".join(CHILDREN))
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--processes", type=int, default=16, help="children side by side")
    parser.add_argument("--images", type=int, default=45_000, help="in a turn")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("gpu_children.py: there is no GPU here; --device cpu --images 512 only shows that it runs")
    many = options.processes
    ours = [
        Form("one", "pronas", 1), Form("one, mixed", "pronas", 1, True),
        Form(f"{many}", "pronas", many), Form(f"{many}, mixed", "pronas", many, True),
    ]  # fmt: skip
    forms = [*(Form(layout, layout, 1) for layout in LAYOUTS), *ours]
    for key in options.children:
        child = replace(CHILDREN[key], images=options.images)
        rates = measure(child, forms, options.images, options.device, options.rounds)
        plain = max(max(found) for found in rates[: len(LAYOUTS)])
        for form, found in zip(forms, rates, strict=True):
            best, middle = max(found), statistics.median(found)
            print(f"{key} {form.title:16} best {best:9.0f} median {middle:9.0f} ratio {best / plain:5.2f}", flush=True)
    for form, found in zip(ours, measure(None, ours, options.images, options.device, options.rounds), strict=True):
        hours = 1160 * 20 * 45_000 / max(found) / 3600
        print(
            f"the paper's child, {form.title:12} best {max(found):9.0f}: its search takes {hours:.1f} hours", flush=True
        )


if __name__ == "__main__":
    main()
