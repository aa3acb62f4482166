"""``pronas train``."""

from pronas.errors import UsageError


def command() -> None:
    """Not there yet."""
    raise UsageError("pronas train is not there yet")
