"""What a driver tells, and how it takes what it is answered: go on, stop, or come to an end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, final

from pronas.runs._events import FINISH, STOP, SearchStoppedError

Emit = Callable[[dict[str, Any]], object]


class EnoughError(Exception):
    """The search is to end with what was trained so far; the driver catches it and trains the winner."""


@final
class Voice:
    """Tells events, and turns the answers into what the driver does.

    ``STOP`` ends a child after its ``progress``, and the search after anything else. ``FINISH`` ends the children in
    training, and the search as soon as there is something to ship; while the winner is trained it means nothing.

    Args:
        emit: the caller's function.

    Attributes:
        early: whether the search was ended early.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._ready: Callable[[], bool] | None = None
        self.early = False

    @contextmanager
    def searching(self, ready: Callable[[], bool]) -> Iterator[None]:
        """Within it the search may end early, once it is ``ready``: something was trained."""
        self._ready = ready
        try:
            yield
        finally:
            self._ready = None

    def __call__(self, event: dict[str, Any]) -> object:
        """Tell an event.

        Raises:
            SearchStoppedError: the search is to stop here.
            EnoughError: it is to end with what it has, once.
        """
        answer, progress = self._emit(event), event["event"] == "progress"
        if answer == STOP and not progress:
            raise SearchStoppedError
        if answer == FINISH and self._ready is not None and not self.early:
            if self._ready():
                self.early = True
                raise EnoughError
            return STOP if progress else None
        return answer
