"""The command line: one file a command; each parses, calls, prints."""

from pronas.cli._app import main

__all__ = ["main"]
