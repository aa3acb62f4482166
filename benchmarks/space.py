"""How fast cells are canonicalised, described and extended: ``python benchmarks/space.py [--cells N] [--parents K]``.

Everything on one core in CPU seconds; beside the streamed extension, the plain way: write every candidate down, take
its canonical form, keep the first of each.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

from pronas.space import StateSpace


def rate(count: int, work: Callable[[], object]) -> str:
    start = time.process_time()
    work()
    return f"{count / (time.process_time() - start):>14,.0f} /s"


def plain(space: StateSpace, parents: np.ndarray) -> int:
    blocks = space.extensions(parents.shape[1] // 4 + 1)
    rows = np.concatenate([np.repeat(parents, len(blocks), axis=0), np.tile(blocks, (len(parents), 1))], axis=1)
    return len(np.unique(space.keys(rows)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--parents", type=int, default=20_000)
    arguments = parser.parse_args()
    space, generator = StateSpace(5), np.random.default_rng(0)
    rows = space.sample(arguments.cells, 5, generator)
    print("canonical forms   ", rate(len(rows), lambda: space.canonical(rows)))
    print("features          ", rate(len(rows), lambda: space.features(rows)))
    print("decoded cells     ", rate(len(rows), lambda: space.decode(rows)))
    parents = space.sample(arguments.parents, 4, generator)
    pairs = len(space.extension(parents))
    print("extended, rows    ", rate(pairs, lambda: sum(len(x) for x in space.extend(parents))))

    def masks() -> None:
        extension = space.extension(parents)
        for start in range(0, len(parents), 256):
            extension.first(start, start + 256)

    print("extended, masks   ", rate(pairs, masks))
    few = parents[:50]
    print("extended, plain   ", rate(len(space.extension(few)), lambda: plain(space, few)))


if __name__ == "__main__":
    main()
