"""Executors by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pronas.errors import UsageError, nearest
from pronas.execution._base import Executor

_OPTIONS: dict[str, tuple[str, ...]] = {
    "inline": ("devices",),
    "local": ("devices",),
    "ray": ("address", "cpus", "gpus"),
}
#: Names that `make_executor` knows.
EXECUTORS = tuple(_OPTIONS)


def check_executor(name: str, *, timeout: float | None = None, memory_limit: int | None = None, **options: Any) -> None:
    """Check that there is such an executor and that it can honour the options; nothing is started.

        >>> check_executor("locl")
        Traceback (most recent call last):
            ...
        pronas.errors.UsageError: ...did you mean 'local'?...

    Args:
        name: ``"inline"``, ``"local"`` or ``"ray"``.
        timeout: seconds a job may take; None: any time.
        memory_limit: bytes a worker may hold; None: no limit.
        **options: what `make_executor` would be given.

    Raises:
        UsageError: unknown name, or an option that this executor cannot honour.
    """
    if name not in _OPTIONS:
        raise UsageError(f"unknown execution {name!r}{nearest(name, EXECUTORS)} (there are {', '.join(EXECUTORS)})")
    for option in options:
        if option not in _OPTIONS[name]:
            places = " or ".join(repr(other) for other in EXECUTORS if option in _OPTIONS[other])
            raise UsageError(f"execution {name!r} knows no {option!r}" + (f": it is for {places}" if places else ""))
    if name == "inline" and (timeout or memory_limit):
        raise UsageError("execution 'inline' cannot limit a child's time or memory: use execution 'local'")


def make_executor(
    name: str,
    run: str,
    setup: str,
    shared: Mapping[str, Any],
    *,
    workers: int | None = None,
    timeout: float | None = None,
    memory_limit: int | None = None,
    **options: Any,
) -> Executor:
    """Make the executor ``name``; see its class for what ``options`` it takes.

    Args:
        name: ``"inline"``, ``"local"`` or ``"ray"``.
        run: the worker function ``run(context, payload, report) -> dict``, as ``"module:function"``.
        setup: ``setup(shared) -> context``, as ``"module:function"``.
        shared: plain values and NumPy arrays that every worker sees.
        workers: how many jobs at once; None means what the machine offers.
        timeout: seconds a job may take.
        memory_limit: bytes a worker may hold.

    Returns:
        The executor; use it in a ``with`` block, which ends its workers.

    Raises:
        UsageError: unknown name, or an option that this executor cannot honour.
        MissingExtraError: Ray is asked for and not installed.
    """
    check_executor(name, timeout=timeout, memory_limit=memory_limit, **options)
    if name == "inline":
        from pronas.execution._inline import InlineExecutor

        devices = options.get("devices") or (None,)
        return InlineExecutor(run, setup, {**shared, "device": devices[0]})
    if name == "local":
        from pronas.execution._local import LocalExecutor

        return LocalExecutor(run, setup, shared, workers=workers, timeout=timeout, memory_limit=memory_limit, **options)
    from pronas.execution._ray import RayExecutor

    return RayExecutor(run, setup, shared, workers=workers, timeout=timeout, memory_limit=memory_limit, **options)
