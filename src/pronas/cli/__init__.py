"""The command line: one file a command; see ``pronas --help``."""

from pronas.cli._app import COMMANDS, build_app, main

__all__ = ["COMMANDS", "build_app", "main"]
