"""The ``pronas`` program: finds the commands and turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from typing import NoReturn

import typer

from pronas.errors import PronasError

#: Every command is a module ``pronas.cli._NAME`` whose function ``command`` is a typer command.
#: These modules import only typer, pronas.errors and plain data at their top, so that ``--help`` is quick.
COMMANDS = ("search", "train", "show", "predict", "space", "score", "rank", "draw", "report", "watch", "export", "benchmark")


def build_app() -> typer.Typer:
    """Make the typer application with every command."""
    app = typer.Typer(
        name="pronas",
        help="Progressive neural architecture search that ends in a network you can ship.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name in COMMANDS:
        module = importlib.import_module(f"pronas.cli._{name}")
        app.command(name)(module.command)
    return app


def main() -> NoReturn:
    """Run the command line; never shows a traceback unless PRONAS_DEBUG is set."""
    try:
        build_app()()
    except KeyboardInterrupt:
        _fail("interrupted; run the same command again to go on", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except PronasError as error:
        _fail(str(error), error.exit_code)
    except Exception as error:  # the last net: whatever was not foreseen is still one line
        if os.environ.get("PRONAS_DEBUG"):
            raise
        _fail(f"unexpected {type(error).__name__}: {error} (PRONAS_DEBUG=1 shows where)", 1)
    sys.exit(0)


def _fail(message: str, code: int) -> NoReturn:
    if os.environ.get("PRONAS_DEBUG"):
        import traceback

        traceback.print_exc()
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(code)
