"""What every executor promises: jobs in, progress and outcomes out, whatever happens to the workers."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

from pronas.errors import UsageError

Report = Callable[[Mapping[str, Any]], bool]
Run = Callable[[Any, Mapping[str, Any], Report], Mapping[str, Any]]

#: A job whose worker died is tried this many times in all.
ATTEMPTS = 3


@dataclass(frozen=True)
class Job:
    """One piece of work: plain data, handed to the worker function as ``payload``.

    ``memory_limit`` and ``timeout`` of the executor hold for each job.

    Attributes:
        id: what reports and outcomes call it.
        payload: plain values and NumPy arrays.
    """

    id: int
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """What a running job said of itself through ``report``.

    Attributes:
        id: of the job.
        value: plain values, as the worker function gave them.
        worker: where it runs.
    """

    id: int
    value: Mapping[str, Any]
    worker: str


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        id: of the job.
        status: ``ok`` or ``failed``.
        value: what the worker function returned, plain values; None where it did not return.
        error: one line where it failed, or None.
        seconds: of the last attempt on its worker.
        worker: where it ran.
        attempts: how often it was tried: more than once only where its worker died.
    """

    id: int
    status: Literal["ok", "failed"]
    value: Mapping[str, Any] | None
    error: str | None
    seconds: float
    worker: str
    attempts: int


class Executor(ABC):
    """Runs jobs and streams what becomes of them.

    The worker function ``run(context, payload, report) -> dict`` and ``setup(shared) -> context`` (called once a
    process) are named as ``"module:function"``, so that any process can find them. ``report`` gives whether the job was
    asked to stop: then it should return what it got to. An exception in ``run`` is a failed
    outcome and is not tried again; a result may hold an ``error`` of its own (text or None). A worker that dies is
    replaced and its job tried again, at most ``attempts`` times in all.

        >>> import pathlib, sys, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> sys.path.insert(0, folder)
        >>> run = "run = lambda context, payload, report: {'sum': context['a'] + payload['b']}"
        >>> _ = pathlib.Path(folder, "my_work.py").write_text(f"setup = dict; {run}")
        >>> from pronas.execution import make_executor
        >>> with make_executor("inline", "my_work:run", "my_work:setup", {"a": 1}) as executor:
        ...     executor.submit(Job(id=7, payload={"b": 2}))
        ...     for outcome in executor.events():
        ...         outcome.id, outcome.status, outcome.value
        (7, 'ok', {'sum': 3})
    """

    attempts: ClassVar[int] = ATTEMPTS
    """How often a job is tried whose workers die."""

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Queue a job. May be called while ``events`` is being read."""

    @abstractmethod
    def events(self) -> Iterator[Progress | Outcome]:
        """Yield progress and outcomes as they come, until no submitted job is left without an outcome."""

    def stop(self, job: int) -> None:  # noqa: B027 - where nothing runs beside the driver there is nothing to ask
        """Ask a running job to return what it got to, when it next reports; it may also end as it would have."""

    @abstractmethod
    def cancel(self) -> None:
        """Drop every job that has no outcome yet; running ones are stopped."""

    @abstractmethod
    def close(self) -> None:
        """Cancel, and leave no process behind. May be called twice."""

    @property
    @abstractmethod
    def workers(self) -> int:
        """How many jobs run at the same time."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def resolve(name: str) -> Callable[..., Any]:
    """Import ``"module:function"``.

    Raises:
        UsageError: the name has no colon, or nothing callable is there.
    """
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"no worker function {name!r} ({error}); write it as 'package.module:function'") from error
    if not callable(found):
        raise UsageError(f"{name!r} is not a function")
    return found  # type: ignore[no-any-return]


def describe_error(error: BaseException) -> str:
    """Give an exception as one line: its type and message."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
