"""Are flash and RAM, foretold before training, those of the exported C, to the byte? Random cells of every skeleton.

    python benchmarks/footprints.py --cells 200

A cell of up to ``--blocks`` blocks is drawn from all operators of its kind, in a skeleton of odd widths and sizes. Its
`footprint` is taken from the plan alone; then the network is built, given statistics as training leaves them, exported
as C (int8; binary networks as bits) and compiled; the sizes of its constants and of its static memory are read from the
object file (gcc, nm).
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests/deploy"))
from integer_graphs import unruly

from pronas.deploy import footprint
from pronas.deploy.integer import calibrate, lower, quantize, write_integer_c
from pronas.deploy.packed import graph_of, write_c
from pronas.networks import Binary, Flat, PnasCifar, PnasImagenet, Residual
from pronas.space import StateSpace, operator_names

SKELETONS = {
    "flat": lambda rng: Flat(
        filters=tuple(int(x) for x in rng.choice([3, 4, 6, 8, 12, 17], 2)),
        strides=(int(rng.choice([1, 2])), 2),
        combine=str(rng.choice(["concat", "add"])),
        stem=int(rng.choice([0, 5, 8])),
    ),
    "residual": lambda rng: Residual(
        filters=tuple(int(x) for x in rng.choice([4, 6, 8, 13], 3)),
        repeats=(int(rng.choice([1, 2])),),
        stem=int(rng.choice([3, 8])),
        stem_stride=int(rng.choice([1, 2])),
        linear=bool(rng.random() < 0.5),
        head=int(rng.choice([0, 6])),
    ),
    "pnas-cifar": lambda rng: PnasCifar(N=1, F=int(rng.choice([3, 4, 6])), outputs=str(rng.choice(["unused", "all"]))),
    "pnas-imagenet": lambda rng: PnasImagenet(
        N=1, F=int(rng.choice([3, 4])), stem=int(rng.choice([4, 6])), outputs=str(rng.choice(["unused", "all"]))
    ),
    "binary": lambda rng: Binary(
        filters=tuple(int(x) for x in rng.choice([5, 8, 16, 24, 33], int(rng.choice([2, 3])))),
        dense=tuple(int(x) for x in rng.choice([8, 32, 40], int(rng.choice([0, 1, 2])))),
        combine=str(rng.choice(["concat", "add"])),
        xnor=bool(rng.random() < 0.3),
    ),
}


def drawn(name: str, seed: int, blocks: int):
    """(skeleton, cell, image shape, random numbers)."""
    rng = np.random.default_rng([seed, *name.encode()])
    skeleton = SKELETONS[name](rng)
    flat = not name.startswith("pnas")
    b = int(rng.integers(1, blocks + 1))
    operators = [name for name in operator_names(binary=skeleton.binary) if name != "linear"]  # another name: identity
    cells = StateSpace(b, operators, 0 if flat else -2)
    (cell,) = cells.decode(cells.sample(1, b, rng))
    return skeleton, cell, (int(rng.choice([1, 3])), int(rng.integers(8, 20)), int(rng.integers(8, 20))), rng


def exported(network, shape, folder: Path, rng: np.random.Generator) -> tuple[int, int]:
    """Bytes of constants and of static memory in the object file of the exported C."""
    if network.plan.factory.binary:
        write_c(graph_of(network), folder / "net.c")
    else:
        graph = lower(network)
        images = rng.integers(0, 256, (32, *shape), dtype=np.uint8)
        write_integer_c(quantize(graph, calibrate(graph, images)), folder / "net.c")
    subprocess.run(["gcc", "-std=c99", "-O0", "-fno-pic", "-c", "net.c", "-o", "net.o"], cwd=folder, check=True)
    listed = subprocess.run(["nm", "-S", "net.o"], cwd=folder, check=True, capture_output=True, text=True).stdout
    sizes = {"r": 0, "b": 0, "d": 0}
    for size, kind in re.findall(r"^\w+ (\w+) ([rRbBdD]) ", listed, re.M):
        sizes[kind.lower()] += int(size, 16)
    return sizes["r"], sizes["b"] + sizes["d"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--skeletons", nargs="+", choices=SKELETONS, default=list(SKELETONS))
    arguments = parser.parse_args()
    wrong = 0
    for name in arguments.skeletons:
        names, differ, largest = set(), 0, 0
        for seed in range(arguments.first, arguments.first + arguments.cells):
            skeleton, cell, shape, rng = drawn(name, seed, arguments.blocks)
            foretold = footprint(skeleton.plan(cell, shape, 7))
            network = unruly(skeleton.build(cell, shape, 7, seed=seed), rng)
            with tempfile.TemporaryDirectory() as folder:
                found = exported(network, shape, Path(folder), rng)
            names |= {operator for block in cell.blocks for operator in (block.operator1, block.operator2)}
            largest = max(largest, found[0])
            if found != (foretold.constants, foretold.ram):
                differ += 1
                print(f"{name}, seed {seed}, {cell}: foretold {foretold.constants, foretold.ram}, exported {found}")
        wrong += differ
        print(f"{name}: {arguments.cells} cells, {len(names)} operators, constants up to {largest:,} bytes; ", end="")
        print(f"{differ} differ from what was foretold", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
