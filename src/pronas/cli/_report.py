"""``pronas report``."""

from pronas.errors import UsageError


def command() -> None:
    """Not there yet."""
    raise UsageError("pronas report is not there yet")
