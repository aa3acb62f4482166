"""``pronas score``."""

from pronas.errors import UsageError


def command() -> None:
    """Not there yet."""
    raise UsageError("pronas score is not there yet")
