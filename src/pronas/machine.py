"""The machine that this process runs on."""

from __future__ import annotations

import functools
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pronas.errors import UsageError


def cores() -> int:
    """Return the number of processor cores that this process may use.

    >>> cores() >= 1
    True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def processor() -> str:
    """Return the processor's model, as its maker calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine() or "unknown processor"


def gpus() -> dict[str, int]:
    """Return how many devices there are of each kind that is not the processor; asking starts none of them.

    >>> sorted(gpus())
    ['cuda', 'mps']
    """
    import torch

    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return {"cuda": cuda, "mps": int(torch.backends.mps.is_available())}


def device_named(name: str) -> str:
    """Return the device that PyTorch computes on; ``auto``: a GPU if there is one, else the processor.

        >>> device_named("cpu")
        'cpu'
        >>> device_named("cuda:99")
        Traceback (most recent call last):
            ...
        pronas.errors.UsageError: device 'cuda:99' is not on this machine; there are 0 CUDA devices

    Raises:
        UsageError: there is no such device here.
    """
    import torch

    counts = {"cpu": 1, **gpus()}
    if name == "auto":
        return next((kind for kind in ("cuda", "mps") if counts[kind]), "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"there is no device {name!r}; it is cpu, cuda:N, mps or auto") from error
    if (device.index or 0) >= counts.get(device.type, 0):
        have = f"there are {counts['cuda']} CUDA devices" if device.type == "cuda" else "it is cpu, cuda:N, mps or auto"
        raise UsageError(f"device {name!r} is not on this machine; {have}")
    return str(device)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Have PyTorch's operators compute with ``count`` threads each inside, then with as many as before.

    With one, results are the same to the bit whatever the number of cores, and nothing fights with the
    workers that train children.

        >>> import torch
        >>> with torch_threads(1):
        ...     torch.get_num_threads()
        1
    """
    import torch  # here, as who reads data needs none

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def compiled_library(package: str, name: str) -> Path | None:
    """Where the compiled library ``name`` of an imported package lies: among its sources, or where an editable
    installation put it; None where it was not compiled.

        >>> import pronas.kernels
        >>> compiled_library("pronas.kernels", "no such library") is None
        True
    """
    found = sys.modules[package]
    folders = [Path(found.__file__ or "").parent, *(Path(folder) for folder in found.__path__)]
    return next((path for path in (folder / name for folder in folders) if path.is_file()), None)
