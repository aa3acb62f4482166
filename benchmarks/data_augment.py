"""How long a batch's augmentation takes, on one core, beside a training step of a small network.

    python benchmarks/data_augment.py [--batch 128] [--repeats 30]

The step is forward, backward and update of five 3x3 convolutions of 16 channels, about the smallest child there is.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from pronas.data import Augmentation


def milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def step(channels: int) -> Callable[[torch.Tensor], None]:
    layers: list[nn.Module] = []
    for index in range(5):
        layers += [nn.Conv2d(channels if index == 0 else 16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), 0.01)

    def run(images: torch.Tensor) -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(
            network(images.float() / 255), torch.zeros(len(images), dtype=torch.long)
        ).backward()
        optimizer.step()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    kinds = {
        "crop, flip": Augmentation(crop=4, flip=True),
        "crop (reflect), flip": Augmentation(crop=4, flip=True, reflect=True),
        "crop, flip, cutout": Augmentation(crop=4, flip=True, cutout=16),
        "brightness, contrast": Augmentation(brightness=0.1, contrast=0.2),
        "rotate": Augmentation(rotate=10),
    }
    for shape in ((3, 32, 32), (1, 28, 28)):
        images = torch.randint(256, (options.batch, *shape), dtype=torch.uint8, generator=generator)
        images = images.contiguous(memory_format=torch.channels_last)
        train, steps = step(shape[0]), []
        times: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(options.repeats):  # interleaved, so that both meet the same noise
            steps.append(milliseconds(lambda run=train, batch=images: run(batch)))
            for kind, augmentation in kinds.items():
                times[kind].append(milliseconds(lambda a=augmentation, batch=images: a.apply(batch, generator)))
        whole = statistics.median(steps)
        print(f"{shape}, batch {options.batch}: a training step takes {whole:.1f} ms")
        for kind, values in times.items():
            middle = statistics.median(values)
            print(f"  {kind:22} {middle:6.2f} ms  {100 * middle / whole:5.2f} % of the step")


if __name__ == "__main__":
    main()
