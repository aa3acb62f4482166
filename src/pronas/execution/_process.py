"""What runs inside a local worker process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from pronas.execution._base import describe_error, resolve
from pronas.execution._shared import open_shared

#: In place of a job's payload: it should stop.
STOP = "stop"


def serve(connection: Connection, run: str, setup: str, plain: Mapping[str, Any]) -> None:
    """Do jobs from ``connection`` until it closes.

    Messages to the driver: ``("progress", id, value)``, ``("done", id, value, None, seconds)`` and
    ``("done", id, None, error, seconds)``. All of them are plain data on a private pipe.
    """
    _end_with_driver()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the driver decides what ends
    context, problem = None, None
    function = resolve(run)
    try:
        context = resolve(setup)(open_shared(plain))
    except Exception as error:
        problem = f"the worker could not be set up: {describe_error(error)}"
    try:
        while True:
            id, payload = connection.recv()
            if payload != STOP:  # else it came too late: its job is done
                connection.send(_do(function, context, problem, connection, id, payload))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # no more jobs for this process, or the driver is gone, and with it whoever wanted the answer
    finally:
        _leave()


def _do(run: Any, context: Any, problem: str | None, connection: Connection, id: int, payload: Any) -> tuple[Any, ...]:
    start = time.perf_counter()
    if problem:
        return ("done", id, None, problem, 0.0)
    try:
        value = run(context, payload, lambda value: _tell(connection, id, value))
        return ("done", id, dict(value), None, time.perf_counter() - start)
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:
        return ("done", id, None, describe_error(error), time.perf_counter() - start)


def _tell(connection: Connection, id: int, value: Mapping[str, Any]) -> bool:
    """Send progress; give whether the driver has asked by now that the job stop."""
    connection.send(("progress", id, dict(value)))
    stopped = False
    while connection.poll():  # while a job runs, nothing else arrives
        stopped |= connection.recv() == (id, STOP)
    return stopped


def _end_with_driver() -> None:
    # a worker must not train on for nobody, however its driver ended; the fork server lives as long as its children do,
    # so the driver itself is watched
    driver = multiprocessing.parent_process()

    def watch() -> None:
        if driver is not None:
            driver.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _leave() -> None:
    # tearing down torch costs more than the whole start; nothing here needs it
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
