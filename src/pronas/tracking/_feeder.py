"""Feeds a tracker from a thread of its own: a search neither waits for a tracker nor fails with it."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

from pronas.tracking._adapters import Tracker, finite

_LOG = logging.getLogger("pronas")
_PATIENCE = 60.0  # seconds that the end of a search waits for what is not yet sent


@final
class Feeder:
    """Tells a tracker of a search and its children, as nested runs. What fails is said once; the search goes on.

        >>> from pronas.tracking import Tracker
        >>> class Printed(Tracker):
        ...     def begin(self, name, facts, parent=None):
        ...         print("begin", name, facts)
        ...         return name
        ...     def log(self, run, values, step):
        ...         print(run, step, values)
        ...     def end(self, run, *, failed=False):
        ...         print("end", run)
        >>> feeder = Feeder(Printed, "my-run", {"seed": 1})
        >>> feeder.child("child 1", {"level": 1}, {"accuracy": [0.4, 0.5]}, {"reward": 0.5}, failed=False)
        >>> feeder.log({"best": 0.5}, 1)
        >>> feeder.close()
        begin my-run {'seed': 1}
        begin child 1 {'level': 1}
        child 1 1 {'accuracy': 0.4}
        child 1 2 {'accuracy': 0.5, 'reward': 0.5}
        end child 1
        my-run 1 {'best': 0.5}
        end my-run

    Args:
        make: makes the tracker; called in the thread, when there is something to tell.
        name: of the search.
        facts: its settings.
    """

    def __init__(self, make: Callable[[], Tracker], name: str, facts: Mapping[str, Any]) -> None:
        self._make, self._name, self._facts = make, name, dict(facts)
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._tracker: Tracker | None = None
        self._run: Any = None

    def child(
        self,
        name: str,
        facts: Mapping[str, Any],
        curves: Mapping[str, Sequence[float]],
        result: Mapping[str, Any],
        *,
        failed: bool,
    ) -> None:
        """Tell of a child that is done: its curves by epoch, then its result."""

        def tell() -> None:
            tracker = self._begun()
            run = tracker.begin(name, facts, self._run)
            steps = _steps(curves) or [{}]
            steps[-1] |= finite(result)
            for step, values in enumerate(steps, start=1):
                if values:
                    tracker.log(run, values, step)
            tracker.end(run, failed=failed)

        self._put(tell)

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Log numbers of the search itself."""
        self._put(lambda: self._begun().log(self._run, finite(values), step))

    def curves(self, curves: Mapping[str, Sequence[float]], start: int = 0) -> None:
        """Log curves of the search itself, an epoch a step behind ``start``."""
        for step, values in enumerate(_steps(curves), start=start + 1):
            self.log(values, step)

    def close(self) -> None:
        """Tell what is still to be told, for at most a minute, and end the run."""
        if self._thread is None:
            return
        self._queue.put(None)
        self._thread.join(_PATIENCE)
        if self._thread.is_alive():
            _LOG.warning("the tracker did not take everything within %.0f seconds; it is left alone", _PATIENCE)

    def _put(self, act: Callable[[], None]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="pronas-tracking", daemon=True)
            self._thread.start()
        self._queue.put(act)

    def _begun(self) -> Tracker:
        if self._tracker is None:
            self._tracker = self._make()
            self._run = self._tracker.begin(self._name, self._facts)
        return self._tracker

    def _work(self) -> None:
        failed = False
        while (act := self._queue.get()) is not None:
            if failed:
                continue
            try:
                act()
            except Exception as error:  # of any tracker, its server, the network between
                failed = True
                _LOG.warning("tracking ends here, the search goes on: %s", " ".join(str(error).split())[:300])
        if not failed and self._tracker is not None:
            try:
                self._tracker.end(self._run)
            except Exception as error:
                _LOG.warning("the tracker did not end its run: %s", " ".join(str(error).split())[:300])


def _steps(curves: Mapping[str, Sequence[float]]) -> list[dict[str, float]]:
    """Curves by name, turned into numbers by name for each epoch."""
    lists = {name: values for name, values in curves.items() if isinstance(values, list | tuple)}
    longest = max((len(values) for values in lists.values()), default=0)
    return [
        finite({name: values[step] for name, values in lists.items() if step < len(values)}) for step in range(longest)
    ]
