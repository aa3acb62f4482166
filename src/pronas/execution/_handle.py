"""A worker process as its driver holds it: started, watched, ended for certain."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any, final

from pronas.errors import RunError
from pronas.execution._preload import main_named
from pronas.execution._process import serve

#: How often a process is started that is killed at once.
_STARTS = 10


@final
class Handle:
    """One process that serves jobs.

    The standard library learns of a worker's end from the fork server: once that is gone it takes every worker for
    ended and kills none of them any more. So the process itself is held too, where the system can (Linux).

    Args:
        context: of the fork server.
        arguments: of ``serve``.

    Raises:
        RunError: the process was killed as it started, again and again.
    """

    def __init__(self, context: ForkServerContext, arguments: tuple[Any, ...]) -> None:
        self._process = _started(context, arguments)
        self._descriptor = _opened(self.pid)

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def resident(self) -> int:
        """Bytes of memory the process holds, without what it shares; 0 when it has ended."""
        try:
            with open(f"/proc/{self.pid}/statm") as file:
                resident, shared = (int(word) for word in file.read().split()[1:3])
        except (OSError, ValueError):
            return 0
        return (resident - shared) * os.sysconf("SC_PAGE_SIZE")

    def ended(self, timeout: float | None = 0.0) -> bool:
        """Wait at most ``timeout`` seconds (None: for ever) and say whether the process has ended."""
        if self._descriptor is None:
            self._process.join(timeout)
            return self._process.exitcode is not None
        if self._descriptor >= 0 and wait([self._descriptor], timeout):
            os.close(self._descriptor)
            self._descriptor = -1
            self._process.join(1)  # its exit code is on its way
        return self._descriptor < 0

    def kill(self) -> None:
        """End the process now, and wait until it has ended."""
        if self._descriptor is None:
            self._process.kill()
        elif self._descriptor >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)
        self.ended(None)

    def cause(self) -> str:
        """Say how the process ended."""
        code = self._process.exitcode
        if code is None:
            return "without a trace"
        if code < 0:
            name = signal.Signals(-code).name
            return f"killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
        return f"with exit code {code}"


def _started(context: ForkServerContext, arguments: tuple[Any, ...]) -> ForkServerProcess:
    for number in range(_STARTS):
        process = context.Process(target=serve, args=arguments, daemon=True)
        # killed before it could say its number, or its server was: nothing is lost yet
        with main_named(), _undisturbed(), suppress(EOFError, ConnectionError, FileNotFoundError):
            process.start()
            return process
        time.sleep(0.02 * number)  # a server that is being killed still counts as running for a moment
    raise RunError("worker processes are killed as they start (out of memory?); use fewer workers")


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back for the moment: a process that is cut off while it is told what to do writes a
    traceback of its own to standard error."""
    if threading.current_thread() is not threading.main_thread():  # where no signal handler runs
        yield
        return
    seen: list[int] = []
    handled = [one for one in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(one) not in (None, signal.SIG_IGN)]
    before = {one: signal.signal(one, lambda number, frame: seen.append(number)) for one in handled}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        for number in seen[:1]:
            signal.raise_signal(number)


def _opened(pid: int) -> int | None:
    """Return a descriptor of the process: None where there is no such thing, -1 when the process has ended already."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return -1
    except OSError:  # an old kernel, or one that forbids it
        return None
