"""The command line: one file a command; see ``pronas --help``."""

from pronas.cli._app import build_app, main

__all__ = ["build_app", "main"]
