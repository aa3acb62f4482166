"""Jobs run in worker processes of this machine, started from a fork server that has torch loaded."""

from __future__ import annotations

import multiprocessing
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, final

from pronas.errors import UsageError
from pronas.execution._base import Executor, Job, Outcome, Progress, resolve
from pronas.execution._handle import Handle
from pronas.execution._preload import importing_main
from pronas.execution._process import STOP
from pronas.execution._shared import SharedArrays
from pronas.machine import cores

#: How often limits are looked at, in seconds.
_TICK = 0.1
#: How many jobs a process does before another takes its place. Its start, its first steps and its end cost as much
#: processor time as a tenth of a second of training; a sixteenth of that is little, and what leaks does not grow.
_JOBS = 16
# what every training imports sooner or later; a name that this torch does not know is passed over
_PRELOAD = ("torch", "torch._dynamo", "torch.profiler._cupti_monitor")


@dataclass
class _Worker:
    """A live process and the job it has in hand."""

    process: Handle
    connection: Connection
    name: str
    slot: int
    job: Job | None = None
    started: float = 0.0
    given: int = 0


@final
class LocalExecutor(Executor):
    """A process a slot, replaced after 16 jobs on a CPU; with ``devices`` given it lives on: a GPU's start is dear.

    Args:
        run: worker function, ``"module:function"``.
        setup: makes the context once a process, ``"module:function"``; its ``shared`` also holds ``"device"``
            (str or None).
        shared: plain values and NumPy arrays; arrays are mapped by the workers, not copied.
        workers: how many at once; default: one a device, else one a core this process may use.
        timeout: seconds a job may take; then it has failed.
        memory_limit: bytes of resident memory a worker may hold; then its job has failed.
        devices: one slot each, e.g. ``["cuda:0", "cuda:0", "cuda:1"]``.

    A worker that dies is replaced and its job tried again in a fresh one, three times in all. A job that failed, or
    whose result holds an ``error``, ends its worker, so that nothing follows in a process that may be spoilt. A job is
    failed for its memory only if it passed the limit in a fresh process: what earlier jobs left does not count.
    Scripts that use this executor need the usual ``if __name__ == "__main__":`` guard of multiprocessing.
    """

    def __init__(
        self,
        run: str,
        setup: str,
        shared: Mapping[str, Any],
        *,
        workers: int | None = None,
        timeout: float | None = None,
        memory_limit: int | None = None,
        devices: Sequence[str] | None = None,
    ) -> None:
        _check(workers, timeout, memory_limit)
        resolve(run), resolve(setup)
        self._devices = list(devices or [])
        self._slots = workers or len(self._devices) or cores()
        self._run, self._setup = run, setup
        self._timeout, self._memory_limit = timeout, memory_limit
        self._shared = SharedArrays(shared)
        self._context = multiprocessing.get_context("forkserver")
        # a device must not be touched before the fork: with devices, workers live long and import the script themselves
        main = [] if devices else ["pronas.execution._preload"]
        self._context.set_forkserver_preload([*_PRELOAD, run.partition(":")[0], *main])
        self._queue: deque[Job] = deque()
        self._attempts: dict[int, int] = {}
        self._careful: set[int] = set()  # jobs that went wrong in a process and are to have a fresh one
        self._workers: list[_Worker] = []
        self._leaving: list[Handle] = []
        self._ready: deque[Progress | Outcome] = deque()

    @property
    def workers(self) -> int:
        """How many jobs run at the same time."""
        return self._slots

    def submit(self, job: Job) -> None:
        """Queue a job and start it if a worker is free."""
        self._queue.append(job)
        self._fill()

    def events(self) -> Iterator[Progress | Outcome]:
        """Yield progress and outcomes as they come."""
        while True:
            while self._ready:
                yield self._ready.popleft()
            if not self._queue and not any(worker.job for worker in self._workers):
                return
            self._fill()
            self._listen()

    def stop(self, job: int) -> None:
        """Ask a running job to return what it got to."""
        for worker in self._workers:
            if worker.job and worker.job.id == job:
                with suppress(BrokenPipeError, ConnectionResetError):  # it died: noticed when listening
                    worker.connection.send((job, STOP))

    def cancel(self) -> None:
        """Drop what waits and kill what runs."""
        self._queue.clear()
        self._ready.clear()
        self._attempts.clear()
        self._careful.clear()
        for worker in list(self._workers):
            if worker.job:
                self._discard(worker, kill=True)

    def close(self) -> None:
        """Cancel and end every worker."""
        self.cancel()
        for worker in list(self._workers):
            self._discard(worker, kill=True)
        for process in self._leaving:
            process.ended(None)
        self._leaving.clear()
        self._shared.close()

    def _fill(self) -> None:
        while self._queue:
            worker = self._free(fresh=self._queue[0].id in self._careful)
            if worker is None:
                return
            self._give(worker, self._queue.popleft())

    def _free(self, *, fresh: bool) -> _Worker | None:
        for worker in [worker for worker in self._workers if worker.job is None]:
            # an idle one that has something to say has died
            if not fresh and not worker.connection.poll():
                return worker
            self._discard(worker, kill=True)
        return self._start() if len(self._workers) < self._slots else None

    def _start(self) -> _Worker:
        taken = {worker.slot for worker in self._workers}
        slot = next(number for number in range(self._slots) if number not in taken)
        device = self._devices[slot % len(self._devices)] if self._devices else None
        ours, theirs = multiprocessing.Pipe()
        arguments = (theirs, self._run, self._setup, {**self._shared.plain, "device": device})
        process = Handle(self._context, arguments)
        theirs.close()
        worker = _Worker(process, ours, f"local-{slot}" + (f" {device}" if device else ""), slot)
        self._workers.append(worker)
        return worker

    def _give(self, worker: _Worker, job: Job) -> None:
        worker.job, worker.started = job, time.monotonic()
        worker.given += 1
        self._attempts[job.id] = self._attempts.get(job.id, 0) + 1
        with suppress(BrokenPipeError, ConnectionResetError):  # it died at once: noticed when listening
            worker.connection.send((job.id, dict(job.payload)))

    def _listen(self) -> None:
        busy = [worker for worker in self._workers if worker.job]
        limited = self._timeout is not None or self._memory_limit is not None
        heard = set(wait([worker.connection for worker in busy], timeout=_TICK if limited else None))
        for worker in busy:
            if worker.connection in heard:
                self._hear(worker)
            elif limited:
                self._limit(worker)

    def _hear(self, worker: _Worker) -> None:
        assert worker.job
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            return self._died(worker)
        if message[0] == "progress":
            if message[1] == worker.job.id:  # not something an earlier job left running
                self._ready.append(Progress(worker.job.id, message[2], worker.name))
            return None
        _, _, value, error, seconds = message
        self._finish(worker, value, error, seconds)
        spoilt = error is not None or value.get("error") is not None
        if spoilt or (worker.given >= _JOBS and not self._devices):
            self._discard(worker, kill=False)
        return None

    def _finish(self, worker: _Worker, value: Any, error: str | None, seconds: float) -> None:
        assert worker.job
        attempts = self._attempts.pop(worker.job.id)
        self._careful.discard(worker.job.id)
        status = "failed" if error else "ok"
        self._ready.append(Outcome(worker.job.id, status, value, error, seconds, worker.name, attempts))  # type: ignore[arg-type]
        worker.job = None

    def _died(self, worker: _Worker) -> None:
        worker.process.ended(5)
        assert worker.job
        if self._attempts[worker.job.id] < self.attempts:
            self._again(worker.job)
        else:
            reason = f"its worker died {self.attempts} times, the last time {worker.process.cause()}"
            self._finish(worker, None, reason, time.monotonic() - worker.started)
        self._discard(worker, kill=True)

    def _again(self, job: Job) -> None:
        self._careful.add(job.id)
        self._queue.appendleft(job)

    def _limit(self, worker: _Worker) -> None:
        assert worker.job
        seconds = time.monotonic() - worker.started
        reason = None
        if self._timeout is not None and seconds > self._timeout:
            reason = f"it passed the time limit of {self._timeout:g} s"
        elif self._memory_limit is not None and worker.process.resident > self._memory_limit:
            reason = f"it passed the memory limit of {self._memory_limit / 2**20:.0f} MiB"
            if worker.given > 1:  # perhaps with what others left: it is tried alone, as if for the first time
                self._attempts[worker.job.id] -= 1
                self._again(worker.job)
                return self._discard(worker, kill=True)
        if reason:
            self._finish(worker, None, reason, seconds)
            self._discard(worker, kill=True)
        return None

    def _discard(self, worker: _Worker, *, kill: bool) -> None:
        self._workers.remove(worker)
        worker.connection.close()  # which ends a worker that waits for a job
        if kill:
            worker.process.kill()
        else:  # the next one need not wait until the kernel has taken this one apart
            self._leaving = [process for process in [*self._leaving, worker.process] if not process.ended()]


def _check(workers: int | None, timeout: float | None, memory_limit: int | None) -> None:
    for name, value in (("workers", workers), ("timeout", timeout), ("memory_limit", memory_limit)):
        if value is not None and value <= 0:
            raise UsageError(f"{name} must be above 0, not {value}")
    worker = multiprocessing.parent_process() is not None and multiprocessing.current_process().daemon
    if worker or importing_main():
        raise UsageError(
            "a worker process tried to start workers: put the script's code under `if __name__ == '__main__':`, "
            "or use execution='inline'"
        )
