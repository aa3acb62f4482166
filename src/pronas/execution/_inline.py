"""Jobs run in this process, one after another."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, final

from pronas.execution._base import Executor, Job, Outcome, Progress, Run, describe_error, resolve


@final
class InlineExecutor(Executor):
    """Runs each job when ``events`` reaches it. Its progress arrives with its end, so it cannot be stopped."""

    def __init__(self, run: str, setup: str, shared: Mapping[str, Any]) -> None:
        self._run: Run = resolve(run)
        self._setup = resolve(setup)
        self._shared = shared
        self._context: Any = None
        self._ready = False
        self._queue: deque[Job] = deque()

    @property
    def workers(self) -> int:
        """Always 1."""
        return 1

    def submit(self, job: Job) -> None:
        """Queue a job."""
        self._queue.append(job)

    def events(self) -> Iterator[Progress | Outcome]:
        """Run the queued jobs in order."""
        while self._queue:
            yield from self._do(self._queue.popleft())

    def cancel(self) -> None:
        """Forget what is queued."""
        self._queue.clear()

    def close(self) -> None:
        """Forget what is queued and the context."""
        self.cancel()
        self._context, self._ready = None, False

    def _do(self, job: Job) -> list[Progress | Outcome]:
        said: list[Progress | Outcome] = []

        def report(value: Mapping[str, Any]) -> bool:
            said.append(Progress(job.id, value, "inline"))
            return False

        start = time.perf_counter()
        value, error = None, None
        try:
            if not self._ready:
                self._context, self._ready = self._setup(self._shared), True
            value = self._run(self._context, job.payload, report)
        except Exception as caught:  # whatever a job raises is its outcome, never the end of the others
            error = describe_error(caught)
        seconds = time.perf_counter() - start
        said.append(Outcome(job.id, "failed" if error else "ok", value, error, seconds, "inline", 1))
        return said
