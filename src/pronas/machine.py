"""The machine that this process runs on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Have PyTorch's operators compute with ``count`` threads each inside, then with as many as before.

    With one, results are the same to the bit whatever the number of cores, and nothing fights with the
    workers that train children.
    """
    import torch  # here, as who reads data needs none

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
