"""``pronas benchmark``."""

from pronas.errors import UsageError


def command() -> None:
    """Not there yet."""
    raise UsageError("pronas benchmark is not there yet")
