"""How much of a budget is spent: kept in the store, so that a resumed run has the time that was left."""

from __future__ import annotations

import time
from typing import final

from pronas.runs.store import Store

_EVERY = 2.0  # seconds between two records: what a kill makes a run forget


@final
class Clock:
    """Counts the seconds that a run has worked, in this process and in those before it.

    Args:
        store: of the run.
        budget: seconds there are.
        started: ``time.monotonic()`` at the beginning of this process's work, loading included.
    """

    def __init__(self, store: Store, budget: float, started: float) -> None:
        self.budget = min(budget, float(store.meta("ends") or budget))
        self._store, self._started = store, started
        self._before = float(store.meta("spent") or 0.0)
        self._recorded = 0.0

    @property
    def spent(self) -> float:
        """Seconds worked so far."""
        return self._before + time.monotonic() - self._started

    @property
    def left(self) -> float:
        """Seconds that are left; negative when late."""
        return self.budget - self.spent

    def end_at(self, seconds: float) -> None:
        """Have less time than there was: so many seconds in all, for a resumed run, too."""
        self.budget = min(self.budget, seconds)
        self._store.set_meta(ends=self.budget)

    def record(self, *, now: bool = False) -> None:
        """Keep in the store how much is spent, every few seconds."""
        spent = self.spent
        if now or spent - self._recorded >= _EVERY:
            self._store.set_meta(spent=spent)
            self._recorded = spent
