"""``pronas show``."""

from pronas.errors import UsageError


def command() -> None:
    """Not there yet."""
    raise UsageError("pronas show is not there yet")
