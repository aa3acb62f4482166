"""The installed version, for files that record what wrote them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """Return pronas's version, or ``"unknown"`` in a source tree that was never installed.

    >>> type(installed_version()).__name__
    'str'
    """
    try:
        return version("pronas")
    except PackageNotFoundError:
        return "unknown"
