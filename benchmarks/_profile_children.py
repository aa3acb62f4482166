"""Where the processor time of a training step goes: PyTorch's operators and the compiled kernels, by their shapes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pronas.kernels import native

Times = defaultdict[str, list[float]]


class _Operators(TorchDispatchMode):
    """Times every operator, also those of the backward pass."""

    def __init__(self, times: Times) -> None:
        super().__init__()
        self.times = times

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        start = time.thread_time()
        result = function(*args, **(kwargs or {}))
        self.times[_name(str(function).removeprefix("aten."), args)].append(time.thread_time() - start)
        return result


def _name(function: str, arguments: Any) -> str:
    shapes = ["x".join(map(str, one.shape)) for one in arguments if isinstance(one, torch.Tensor)][:3]
    return f"{function:32} {' '.join(shapes)}"


def _kernel_name(kernel: str, arguments: list[Any]) -> str:
    """The kernel and its sizes: whole numbers too small to be addresses."""
    return f"{kernel:32} {' '.join(str(int(one)) for one in arguments if isinstance(one, int) and one < 1 << 24)}"


def step_profile(run: Callable[[], object], steps: int) -> tuple[float, list[tuple[float, float, str]]]:
    """Processor time of one of ``run``'s steps in ms, without the clock, and (ms a step, calls a step, what) by time.

    Each call counts as its lower quartile, because other programs disturb some of them. ``run`` has run before, so that
    its steps repeat a captured one; what is missing between the whole and the sum is Python.
    """
    start = time.thread_time()
    run()
    whole, times, original = (time.thread_time() - start) / steps * 1e3, defaultdict(list), native.invoke

    def timed(name: str, kernel: Callable[..., int], plain: list[Any]) -> None:
        begin = time.thread_time()
        original(name, kernel, plain)
        times[_kernel_name(name, plain)].append(time.thread_time() - begin)

    native.invoke = timed
    try:
        with _Operators(times):
            run()
    finally:
        native.invoke = original
    rows = [(sorted(t)[len(t) // 4] * len(t) / steps * 1e3, len(t) / steps, name) for name, t in times.items()]
    return whole, sorted(rows, reverse=True)
