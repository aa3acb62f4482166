"""One process of ``children.py --against``: trains a child with another checkout's pronas, whatever names it has there.

    PYTHONPATH=CHECKOUT/src python benchmarks/_elsewhere.py CHILD

CHILD is JSON. A number of seconds comes first, then, for every line read, the rate of one more turn.
"""

import importlib
import json
import sys
import time
from typing import Any

import torch


def first(*places: str) -> Any:
    """What the first ``module:name`` that there is holds."""
    for place in places:
        module, _, name = place.partition(":")
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
    raise SystemExit(f"this checkout has none of {', '.join(places)}")


def main() -> None:
    asked = json.loads(sys.argv[1])
    torch.set_num_threads(asked["threads"])
    first("pronas.training:keep_freed_memory", "pronas.training._malloc_tuning:keep_freed_memory")()
    training = first("pronas.training:Training", "pronas.training._loop:Training")
    tensors = first("pronas.training:Tensors", "pronas.training._tensors:Tensors")
    made = first("pronas.networks:skeleton")(asked["skeleton"], filters=tuple(asked["filters"]))
    network = made.build(first("pronas.space:Cell").parse(asked["cell"]), tuple(asked["shape"]), 10)
    generator = torch.Generator().manual_seed(0)
    shape = (asked["images"], *asked["shape"])
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    data = tensors(images, torch.randint(0, 10, (asked["images"],), generator=generator))
    how = first("pronas.training:recipe")("search", binary=made.binary, epochs=100_000)
    run, now = training(network, data, None, how, seed=0).run_epoch, getattr(time, asked["clock"])
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    print(seconds[0] - seconds[1], flush=True)
    for _ in sys.stdin:
        start = now()
        run()
        print(asked["images"] / (now() - start), flush=True)


if __name__ == "__main__":
    main()
