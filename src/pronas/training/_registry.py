"""What recipes name: losses, optimizers and schedules, by their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, final

from pronas.errors import UsageError, nearest

Entry = TypeVar("Entry", bound=Callable[..., Any])


@final
class Registry(Generic[Entry]):
    """Functions of one kind by their names.

    Args:
        kind: what they are, in messages.
        check: raises a `UsageError` where a user's function does not do what one of its kind must do.
    """

    def __init__(self, kind: str, check: Callable[[str, Entry], None]) -> None:
        self.kind, self._check = kind, check
        self._entries: dict[str, Entry] = {}

    def register(self, name: str) -> Callable[[Entry], Entry]:
        """Make the decorated function known as ``name``; registering a name again replaces it."""

        def add(function: Entry) -> Entry:
            if not _is_ours(function):
                self._check(name, function)
            self._entries[name] = function
            return function

        return add

    def __getitem__(self, name: Any) -> Entry:
        """The function of that name.

        Raises:
            UsageError: nobody registered it.
        """
        if not isinstance(name, str) or name not in self._entries:
            known = ", ".join(self._entries)
            raise UsageError(
                f"recipe: unknown {self.kind} {name!r}{nearest(str(name), self._entries)} (there are {known})"
            )
        return self._entries[name]

    def names(self) -> tuple[str, ...]:
        """The names, in the order in which they were registered."""
        return tuple(self._entries)

    def is_built_in(self, name: str) -> bool:
        """Whether that function comes with pronas, so that we know what it does and does not do."""
        return _is_ours(self[name])


def _is_ours(function: Callable[..., Any]) -> bool:
    return str(getattr(function, "__module__", "")).startswith("pronas.")
