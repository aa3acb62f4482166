"""Jobs run as Ray tasks, on a cluster or on one started here. Scheduling, retries, lost nodes are Ray's business."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, final

import numpy as np

from pronas.errors import RunError, UsageError, require
from pronas.execution._base import Executor, Job, Outcome, Progress, describe_error, resolve
from pronas.execution._ray_worker import Mailbox, do_job
from pronas.mapped import MappedArray

_log = logging.getLogger(__name__)
#: How long the driver waits for results before it looks at progress and limits, in seconds.
_TICK = 0.2
#: How often the cluster is asked how large it is, in seconds: it may grow.
_COUNT_EVERY = 2.0
#: How often a cluster is started here: Ray gives each start half a minute, which a busy machine can exceed.
_STARTS = 4
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
# children are the work, not something to do beside it: Ray would have them step back for everything else
_EAGER = {"RAY_worker_niceness": "0"}
# a busy machine takes its time to start a node's and a worker's processes; by default Ray gives up after 30 and 60 s
_PATIENT = {"RAY_agent_register_timeout_ms": "300000", "RAY_worker_register_timeout_seconds": "300"}
# a node cut off from the network is noticed after half a minute instead of seven
_KEEPALIVE = {"RAY_grpc_client_keepalive_time_ms": "10000", "RAY_grpc_client_keepalive_timeout_ms": "10000"}


@final
class RayExecutor(Executor):
    """Every job is a Ray task; the shared arrays lie once in the object store.

    Args:
        run: worker function, ``"module:function"``; the module must be installed on every node.
        setup: makes the context once a worker process; its ``shared`` also holds ``"device"`` (``"cuda:0"`` or None).
        shared: plain values and NumPy arrays.
        workers: jobs at once when the cluster is started here; on an existing one, as many as it has room for.
        timeout: seconds a job may take, counted from its start on a worker.
        memory_limit: bytes of resident memory a worker may hold.
        address: an existing cluster (``"auto"``, ``"HOST:6379"``, ``"ray://HOST:10001"``); None starts one here.
        cpus: cores a job reserves.
        gpus: GPUs a job reserves; fractions put several jobs on one.
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
        address: str | None = None,
        cpus: float = 1.0,
        gpus: float = 0.0,
    ) -> None:
        if workers is not None and workers <= 0:
            raise UsageError(f"workers must be above 0, not {workers}")
        resolve(run), resolve(setup)
        prepare_ray(own=address is None)
        self._ray: Any = require("ray", "ray")
        if address is not None:
            _probe(address)
        self._own = not self._ray.is_initialized()
        if self._own:
            self._connect(address, workers)
        self._names = (run, setup)
        self._key = secrets.token_hex(8)
        self._timeout, self._memory_limit = timeout, memory_limit
        self._shared = self._ray.put({key: _whole(value) for key, value in shared.items()})
        self._mailbox = (
            self._ray.remote(Mailbox).options(**_beside_driver(self._ray), num_cpus=0, max_restarts=-1).remote()
        )
        self._task = self._ray.remote(do_job).options(num_cpus=cpus, num_gpus=gpus, max_retries=self.attempts - 1)
        self._cpus = cpus
        self._queue: deque[Job] = deque()
        self._flying: dict[Any, int] = {}
        self._started: dict[int, tuple[float, str, int]] = {}
        self._stopped: dict[int, str] = {}
        self._fetched = 0.0
        self._window, self._counted = 64, -_COUNT_EVERY

    @property
    def workers(self) -> int:
        """How many jobs the cluster has room for now."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1) / self._cpus)) if self._cpus else 1

    def submit(self, job: Job) -> None:
        """Queue a job."""
        self._queue.append(job)

    def events(self) -> Iterator[Progress | Outcome]:
        """Yield progress and outcomes as they come."""
        while self._queue or self._flying:
            self._fill()
            done, _ = self._ray.wait(list(self._flying), num_returns=1, timeout=_TICK)
            if done:  # take along whatever else is ready: one call for many short jobs
                done, _ = self._ray.wait(list(self._flying), num_returns=len(self._flying), timeout=0)
            if done or time.monotonic() - self._fetched > _TICK:
                yield from self._said()
            for reference in done:
                yield self._outcome(reference)
            self._limit()

    def stop(self, job: int) -> None:
        """Ask a running job to return what it got to."""
        self._mailbox.stop.remote(job)

    def cancel(self) -> None:
        """Drop what waits and stop what runs."""
        self._queue.clear()
        for reference in self._flying:
            self._ray.cancel(reference, force=True)
        self._flying.clear()
        self._started.clear()
        self._stopped.clear()

    def close(self) -> None:
        """Cancel, and leave the cluster (end it if it was started here)."""
        if not self._ray.is_initialized():
            return
        self.cancel()
        if self._own:
            self._ray.shutdown()
        else:
            self._ray.kill(self._mailbox)

    def _connect(self, address: str | None, workers: int | None) -> None:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
        if address is None:
            options |= {"address": "local", "num_cpus": workers, "include_dashboard": False}
        else:
            options |= {"address": address}
        for tries_left in reversed(range(_STARTS if address is None else 1)):
            try:
                self._ray.init(**options)
                break
            except Exception as error:  # Ray raises whatever its layers raise
                self._ray.shutdown()
                if tries_left and "timed out during startup" in str(error):
                    continue
                where = f"the Ray cluster at {address!r}" if address else "a local Ray cluster"
                raise RunError(f"no connection to {where} ({describe_error(error)}); check `ray status`") from error
        _hush()

    def _fill(self) -> None:
        # a window, not everything: thousands of queued tasks would only sit in the driver's memory
        if self._queue and time.monotonic() - self._counted > _COUNT_EVERY:
            self._window, self._counted = max(64, 2 * self.workers), time.monotonic()
        room = self._window - len(self._flying)
        while self._queue and room > 0:
            job, room = self._queue.popleft(), room - 1
            arguments = (self._key, self._names, self._shared, (job.id, dict(job.payload)), self._mailbox)
            self._flying[self._task.remote(*arguments, self._memory_limit, sys.path)] = job.id

    def _said(self) -> Iterator[Progress]:
        self._fetched = time.monotonic()
        flying = set(self._flying.values())
        for kind, id, value in self._fetch():
            if id not in flying:
                continue
            if kind == "start":
                tried = self._started[id][2] if id in self._started else 0
                self._started[id] = (time.monotonic(), value, tried + 1)
            elif kind == "memory" and self._memory_limit is not None:
                self._stop(id, f"it passed the memory limit of {self._memory_limit / 2**20:.0f} MiB")
            elif kind == "progress":
                yield Progress(id, value, self._started.get(id, (0.0, "ray", 1))[1])

    def _fetch(self) -> list[tuple[str, int, Any]]:
        try:
            messages: list[tuple[str, int, Any]] = self._ray.get(self._mailbox.drain.remote(), timeout=30)
        except self._ray.exceptions.RayError:  # its node was lost; Ray starts it anew, some progress is gone
            return []
        return messages

    def _outcome(self, reference: Any) -> Outcome:
        id = self._flying.pop(reference)
        began, worker, attempts = self._started.pop(id, (time.monotonic(), "ray", 1))
        try:
            result = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            stopped = self._stopped.pop(id, None)
            attempts = attempts if stopped else self.attempts  # Ray gave up only after the last retry
            return Outcome(
                id, "failed", None, stopped or self._reason(error), time.monotonic() - began, worker, attempts
            )
        self._stopped.pop(id, None)
        status = "failed" if result["error"] else "ok"
        return Outcome(id, status, result["value"], result["error"], result["seconds"], result["worker"], attempts)  # type: ignore[arg-type]

    def _reason(self, error: Exception) -> str:
        first = (str(error).strip().splitlines() or [""])[0]
        return f"its worker was lost {self.attempts} times: {type(error).__name__}: {first}"

    def _limit(self) -> None:
        if self._timeout is None:
            return
        now = time.monotonic()
        for id, (began, _, _) in self._started.items():
            if now - began > self._timeout:
                self._stop(id, f"it passed the time limit of {self._timeout:g} s")

    def _stop(self, id: int, reason: str) -> None:
        if id in self._stopped:
            return
        self._stopped[id] = reason
        for reference, job in self._flying.items():
            if job == id:
                self._ray.cancel(reference, force=True)


def _whole(value: Any) -> Any:
    """Arrays as plain ones: only these go to the object store without being pickled."""
    return np.asarray(value) if isinstance(value, MappedArray) else value


def prepare_ray(*, own: bool = True) -> None:
    """Set the environment variables that Ray reads when it is imported; what the user has set stays.

    Args:
        own: a cluster will be started here, which needs a token to authenticate with.
    """
    for name, value in (_QUIET | _KEEPALIVE | _EAGER | _PATIENT).items():
        os.environ.setdefault(name, value)
    if own and "ray" not in sys.modules:
        _authenticate()


def _hush() -> None:
    # news of lost workers and nodes, pages long, which Ray prints on stdout whatever log_to_driver says: into the log
    import ray._private.worker as inside

    if hasattr(inside, "print_to_stdstream"):
        inside.print_to_stdstream = lambda data, **_: _log.debug("%s", "\n".join(data["lines"]))


def _beside_driver(ray: Any) -> dict[str, Any]:
    # where messages go should not be lost with some other node
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    node = ray.get_runtime_context().get_node_id()
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=True)}


def _probe(address: str) -> None:
    # Ray itself gives up on a wrong address only after minutes
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        reason = f"no connection to the Ray cluster at {address!r} ({describe_error(error)})"
        raise RunError(f"{reason}; check the address and `ray status` there") from error


def _authenticate() -> None:
    # local clusters authenticate with a token; a private one, unless the user has set one up
    if "RAY_AUTH_MODE" in os.environ:
        return
    path = Path(tempfile.mkdtemp(prefix="pronas-ray-")) / "token"
    path.touch(mode=0o600)
    path.write_text(secrets.token_hex(32))
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)
