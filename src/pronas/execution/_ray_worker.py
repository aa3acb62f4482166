"""What runs inside a Ray worker, and the mailbox it writes to."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from pronas.execution._base import describe_error, resolve

#: Contexts of this worker process, by the name of the executor that asked for them (setup runs once a process).
_contexts: dict[str, Any] = {}


class Mailbox:
    """Keeps what running jobs say until the driver fetches it. An actor: created with ``ray.remote(Mailbox)``."""

    def __init__(self) -> None:
        self._messages: list[tuple[str, int, Any]] = []
        self._stopped: set[int] = set()

    def put(self, kind: str, id: int, value: Any) -> bool:
        """Keep one message: ``kind`` is "start" (value: host and process), "progress" or "memory".

        Gives whether the job was asked to stop.
        """
        self._messages.append((kind, id, value))
        return id in self._stopped

    def stop(self, id: int) -> None:
        """Have a job asked to stop when it next says something."""
        self._stopped.add(id)

    def drain(self) -> list[tuple[str, int, Any]]:
        """Give all messages since the last call."""
        messages, self._messages = self._messages, []
        return messages


def do_job(
    key: str,
    names: tuple[str, str],
    shared: Mapping[str, Any],
    job: tuple[int, Mapping[str, Any]],
    mailbox: Any,
    memory_limit: int | None,
    path: Sequence[str],
) -> dict[str, Any]:
    """Run one job and return ``{"value": dict | None, "error": str | None, "seconds": float, "worker": str}``.

    Errors come back as text, since an exception may not survive the way back.
    """
    sys.path.extend(folder for folder in path if folder not in sys.path)
    id, payload = job
    worker = f"{os.uname().nodename}-{os.getpid()}"
    sent = [mailbox.put.remote("start", id, worker)]
    ended = threading.Event()
    if memory_limit is not None:
        threading.Thread(target=_watch_memory, args=(id, mailbox, memory_limit, ended), daemon=True).start()
    start = time.perf_counter()
    value, error = None, None
    try:
        context = _context(key, names[1], shared)
        value = dict(resolve(names[0])(context, payload, lambda said: _tell(mailbox, sent, id, said)))
    except Exception as caught:
        error = describe_error(caught)
    finally:
        ended.set()
    _arrive(sent)
    return {"value": value, "error": error, "seconds": time.perf_counter() - start, "worker": worker}


def _tell(mailbox: Any, sent: list[Any], id: int, value: Mapping[str, Any]) -> bool:
    import ray

    before, sent[0] = sent[0], mailbox.put.remote("progress", id, dict(value))
    arrived, _ = ray.wait([before], timeout=0)  # what was said to the message before: nobody waits for this one
    with suppress(ray.exceptions.RayError):
        return bool(arrived) and bool(ray.get(before))
    return False


def _arrive(sent: list[Any]) -> None:
    # messages of one sender arrive in order, so all are there once the last is: progress comes before its outcome
    import ray

    with suppress(ray.exceptions.RayError):  # the mailbox was lost with its node: only progress is gone
        ray.get(sent[0], timeout=10)


def _context(key: str, setup: str, shared: Mapping[str, Any]) -> Any:
    if key not in _contexts:
        _contexts.clear()  # one executor's data at a time
        _contexts[key] = resolve(setup)({**shared, "device": _device()})
    return _contexts[key]


def _device() -> str | None:
    # Ray shows a worker only its own GPUs, so the first visible one is the right one
    return "cuda:0" if os.environ.get("CUDA_VISIBLE_DEVICES") else None


def _watch_memory(id: int, mailbox: Any, limit: int, ended: threading.Event) -> None:
    page = os.sysconf("SC_PAGE_SIZE")
    while not ended.wait(0.1):
        with open("/proc/self/statm") as file:
            resident, shared = (int(word) for word in file.read().split()[1:3])
        if (resident - shared) * page > limit:
            mailbox.put.remote("memory", id, None)
            return
