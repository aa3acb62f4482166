"""How fast does a network of plain convolutions train, beside the same network in plain PyTorch?

    taskset -c 0 python benchmarks/training_speed.py --rounds 6

Images of 32x32x3 trained a second, one thread, batches of 64, by turns. Ours is a whole training (`train_network`:
images shuffled, loss, optimizer; captured steps, compiled kernels); PyTorch is a bare step of one batch, in the better
of its layouts. ``bfloat16``: `mixed_precision` here, autocast there. Printed: medians, and the ratio with its standard
error over the rounds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import _rivals
from pronas.data import dataset_from_arrays
from pronas.networks import Residual
from pronas.training import recipe, train_network

CELL, BATCH = "0:3x3-3x3 conv + 0:identity", 64
WIDTHS = {"ResNet-8, 16/32/64": 1.0, "twice as wide": 2.0}


def plain_network(width: float, strided: bool) -> nn.Module:
    """ResNet-8, or one whose first stage is strided, too."""
    network = _rivals.resnet(3, 10, width=width)
    if strided:
        block, filters = network[3], round(16 * width)
        block.body[0].stride = (2, 2)
        block.shortcut = nn.Sequential(nn.Conv2d(filters, filters, 1, 2, bias=False), nn.BatchNorm2d(filters))
    return network


def plain(width: float, strided: bool, halves: bool, seconds: float) -> float:
    return max(_plain(width, strided, halves, seconds / 2, last) for last in (False, True))


def _plain(width: float, strided: bool, halves: bool, seconds: float, last: bool) -> float:
    torch.manual_seed(0)
    layout = torch.channels_last if last else torch.contiguous_format
    network = plain_network(width, strided).to(memory_format=layout)
    images, labels = torch.randn(BATCH, 3, 32, 32).contiguous(memory_format=layout), torch.arange(BATCH) % 10
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=halves):
            loss = F.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()

    for _ in range(3):
        step()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        step()
        count += 1
    return count * BATCH / (time.perf_counter() - start)


def ours(width: float, strided: bool, halves: bool, seconds: float) -> float:
    rng = np.random.default_rng(0)
    count = BATCH * 40 + 10
    images, labels = rng.integers(0, 256, (count, 3, 32, 32), np.uint8), np.arange(count) % 10
    data = dataset_from_arrays((images, labels), (images[:10], labels[:10]), validation=10)
    filters = tuple(round(f * width) for f in (16, 32, 64))
    skeleton = Residual(filters=filters, strides=(2 if strided else 1, 2, 2), stem=filters[0])
    how = recipe("search", epochs=max(2, round(seconds)), batch=BATCH)
    how = how.replace(mixed_precision=halves, augmentation=None, average=0.0)
    found: list[float] = []
    train_network(CELL, data, skeleton, how, threads=1, on_epoch=lambda epoch: found.append(epoch.seconds))
    return len(data.train) / statistics.median(found[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each side in a round")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for halves in (False, True):
        for name, width in WIDTHS.items():
            for strided in (False, True):
                both = [
                    (ours(width, strided, halves, arguments.seconds), plain(width, strided, halves, arguments.seconds))
                    for _ in range(arguments.rounds)
                ]
                ratios = [one / two for one, two in both]
                error = statistics.stdev(ratios) / len(ratios) ** 0.5 if len(ratios) > 1 else float("nan")
                mine, theirs = (statistics.median(side) for side in zip(*both, strict=True))
                print(
                    f"{'bfloat16' if halves else 'float32'}, {name}{', first stage strided' if strided else ''}: "
                    f"{mine:,.0f} images/s, PyTorch {theirs:,.0f}; ratio {statistics.mean(ratios):.2f} ± {error:.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
