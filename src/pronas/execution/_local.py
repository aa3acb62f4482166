"""Jobs run in worker processes of this machine, started from a fork server that has torch loaded."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from typing import Any, final

from pronas.errors import RunError, UsageError
from pronas.execution._base import ATTEMPTS, Executor, Job, Outcome, Progress, resolve
from pronas.execution._preload import importing_main, main_named
from pronas.execution._process import serve
from pronas.execution._shared import SharedArrays

#: How often limits are looked at, in seconds.
_TICK = 0.1
#: How often a process is started that is killed at once.
_STARTS = 10
# what every training imports sooner or later; a name that this torch does not know is passed over
_PRELOAD = ("torch", "torch._dynamo", "torch.profiler._cupti_monitor")


@dataclass
class _Worker:
    """A live process and the job it has in hand."""

    process: ForkServerProcess
    connection: Connection
    name: str
    slot: int
    job: Job | None = None
    started: float = 0.0


@final
class LocalExecutor(Executor):
    """One process a job (on a CPU), or one long-lived process a slot (``devices`` given: a GPU's start is dear).

    Args:
        run: worker function, ``"module:function"``.
        setup: makes the context once a process, ``"module:function"``; its ``shared`` also holds ``"device"``
            (str or None).
        shared: plain values and NumPy arrays; arrays are mapped by the workers, not copied.
        workers: how many at once; default: one a device, else one a core this process may use.
        timeout: seconds a job may take; then it has failed.
        memory_limit: bytes of resident memory a worker may hold; then its job has failed.
        devices: one slot each, e.g. ``["cuda:0", "cuda:0", "cuda:1"]``.

    A worker that dies is replaced and its job tried again, three times in all. Scripts that use this executor need the
    usual ``if __name__ == "__main__":`` guard of multiprocessing.
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
        self._slots = workers or len(self._devices) or _cores()
        self._run, self._setup = run, setup
        self._timeout, self._memory_limit = timeout, memory_limit
        self._shared = SharedArrays(shared)
        self._context = multiprocessing.get_context("forkserver")
        # a device must not be touched before the fork: with devices, workers live long and import the script themselves
        main = [] if devices else ["pronas.execution._preload"]
        self._context.set_forkserver_preload([*_PRELOAD, run.partition(":")[0], *main])
        self._queue: deque[Job] = deque()
        self._attempts: dict[int, int] = {}
        self._workers: list[_Worker] = []
        self._leaving: list[ForkServerProcess] = []
        self._ready: deque[Progress | Outcome] = deque()
        self._count = 0

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

    def cancel(self) -> None:
        """Drop what waits and kill what runs."""
        self._queue.clear()
        self._ready.clear()
        self._attempts.clear()
        for worker in list(self._workers):
            if worker.job:
                self._discard(worker, kill=True)

    def close(self) -> None:
        """Cancel and end every worker."""
        self.cancel()
        for worker in list(self._workers):
            self._discard(worker, kill=True)
        for process in self._leaving:
            process.join()
        self._leaving.clear()
        self._shared.close()

    def _fill(self) -> None:
        while self._queue:
            worker = next((worker for worker in self._workers if worker.job is None), None)
            if worker is None:
                if len(self._workers) >= self._slots:
                    return
                worker = self._start()
            self._give(worker, self._queue.popleft())

    def _start(self) -> _Worker:
        taken = {worker.slot for worker in self._workers}
        slot = next(number for number in range(self._slots) if number not in taken)
        device = self._devices[slot % len(self._devices)] if self._devices else None
        ours, theirs = multiprocessing.Pipe()
        arguments = (theirs, self._run, self._setup, {**self._shared.plain, "device": device})
        process = self._born(arguments)
        theirs.close()
        self._count += 1
        worker = _Worker(process, ours, f"local-{slot}" + (f" {device}" if device else ""), slot)
        self._workers.append(worker)
        return worker

    def _born(self, arguments: tuple[Any, ...]) -> ForkServerProcess:
        for _ in range(_STARTS):
            process = self._context.Process(target=serve, args=arguments, daemon=True)
            with main_named(), suppress(EOFError):  # killed before it could say its number: nothing is lost yet
                process.start()
                return process
        raise RunError("worker processes are killed as they start (out of memory?); use fewer workers")

    def _give(self, worker: _Worker, job: Job) -> None:
        worker.job, worker.started = job, time.monotonic()
        self._attempts[job.id] = self._attempts.get(job.id, 0) + 1
        with suppress(BrokenPipeError, ConnectionResetError):  # it died at once: noticed when listening
            worker.connection.send((job.id, dict(job.payload)))
            if not self._devices:
                worker.connection.send(None)

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
            self._ready.append(Progress(worker.job.id, message[2], worker.name))
            return None
        _, _, value, error, seconds = message
        self._finish(worker, value, error, seconds)
        if not self._devices:
            self._discard(worker, kill=False)
        return None

    def _finish(self, worker: _Worker, value: Any, error: str | None, seconds: float) -> None:
        assert worker.job
        attempts = self._attempts.pop(worker.job.id)
        status = "failed" if error else "ok"
        self._ready.append(Outcome(worker.job.id, status, value, error, seconds, worker.name, attempts))  # type: ignore[arg-type]
        worker.job = None

    def _died(self, worker: _Worker) -> None:
        worker.process.join(5)
        job, seconds = worker.job, time.monotonic() - worker.started
        assert job
        if self._attempts[job.id] < ATTEMPTS:
            self._queue.appendleft(job)
        else:
            reason = f"its worker died {ATTEMPTS} times, the last time {_cause(worker.process.exitcode)}"
            self._finish(worker, None, reason, seconds)
        self._discard(worker, kill=True)

    def _limit(self, worker: _Worker) -> None:
        seconds = time.monotonic() - worker.started
        reason = None
        if self._timeout is not None and seconds > self._timeout:
            reason = f"it passed the time limit of {self._timeout:g} s"
        elif self._memory_limit is not None and _resident(worker.process.pid) > self._memory_limit:
            reason = f"it passed the memory limit of {self._memory_limit / 2**20:.0f} MiB"
        if reason:
            self._finish(worker, None, reason, seconds)
            self._discard(worker, kill=True)

    def _discard(self, worker: _Worker, *, kill: bool) -> None:
        self._workers.remove(worker)
        worker.connection.close()
        if kill:
            worker.process.kill()
            worker.process.join()
        else:  # the next one need not wait until the kernel has taken this one apart
            self._leaving = [process for process in [*self._leaving, worker.process] if process.exitcode is None]


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


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cause(code: int | None) -> str:
    if code is None:
        return "without a trace"
    if code < 0:
        name = signal.Signals(-code).name
        return f"killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    return f"with exit code {code}"


def _resident(pid: int | None) -> int:
    try:
        with open(f"/proc/{pid}/statm") as file:
            resident, shared = (int(word) for word in file.read().split()[1:3])
    except (OSError, ValueError):
        return 0
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
