"""The ``pronas`` program: finds the commands and turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import io
import os
import re
import sys
from typing import Annotated, Any, NoReturn

import typer

from pronas.cli._flags import naming_flags
from pronas.errors import DISK_PAGE, FAULT_PAGE, MEMORY_PAGE, PronasError

#: Every command is a module ``pronas.cli._NAME`` whose function ``command`` is a typer command.
#: These modules import only typer, pronas.errors and plain data at their top, so that ``--help`` is quick.
COMMANDS = (
    "search",
    "plan",
    "train",
    "baseline",
    "show",
    "predict",
    "space",
    "score",
    "rank",
    "draw",
    "report",
    "watch",
    "export",
    "card",
    "benchmark",
    "init",
    "doctor",
)

_INTERRUPTED, _TERMINATED = 130, 143
#: click's base of errors in what was typed. Recent typers bring a click of their own, so it is found through typer.
_CLICK_ERROR: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def build_app() -> typer.Typer:
    """Make the typer application with every command.

    Returns:
        The application; `main` runs it.
    """
    app = typer.Typer(
        name="pronas",
        help="Progressive neural architecture search that ends in a network you can ship.",
        no_args_is_help=True,
        invoke_without_command=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for name in COMMANDS:
        module = importlib.import_module(f"pronas.cli._{name}")
        app.command(name)(naming_flags(module.command))
    return app


def _options(
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    if version:
        from pronas.version import installed_version

        typer.echo(f"pronas {installed_version()}")
        raise typer.Exit


def _shield(arguments: list[str]) -> list[str]:
    """Put a space before a cell such as ``-2:5x5 dconv + …``, which would otherwise be taken for an option."""
    return [f" {text}" if re.match(r"-\d+\s*[:,]", text) else text for text in arguments]


def main() -> NoReturn:
    """Run the command line with the process's arguments, and exit; never shows a traceback unless PRONAS_DEBUG is set.

    Raises:
        SystemExit: 0; 1: a run, data or a file; 2: what was typed; 130: interrupted; 143: terminated.
    """
    _open_standard_streams()
    try:
        # not standalone: typer would draw a box around its errors
        code = build_app()(_shield(sys.argv[1:]), prog_name="pronas", standalone_mode=False)
        sys.stdout.flush()  # a full disk behind it is told here, not when Python ends
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except SystemExit as error:
        if error.code == _TERMINATED:
            _fail("terminated; run the same command again to go on", _TERMINATED)
        raise
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except _CLICK_ERROR as error:
        message = error.format_message().replace("Got unexpected extra argument", "There is no place for the argument")
        _fail(message, error.exit_code) if message else sys.exit(error.exit_code)
    except PronasError as error:
        _fail(str(error), error.exit_code, error.page)
    except OSError as error:  # a full disk, a folder that may not be written, …: the system's own words are clear
        from pronas.files import explained

        _fail(explained(error), 1, DISK_PAGE)
    except MemoryError:
        _fail("there is not enough memory for this", 1, MEMORY_PAGE)
    except Exception as error:  # the last net: whatever was not foreseen is still one line
        if os.environ.get("PRONAS_DEBUG"):
            raise
        if _out_of_memory(error):
            _fail(f"there is not enough memory for this ({error})", 1, MEMORY_PAGE)
        _fail(f"unexpected {type(error).__name__}: {error} (PRONAS_DEBUG=1 shows where)", 1, FAULT_PAGE)
    if code == _INTERRUPTED:
        _fail("interrupted; run the same command again to go on", _INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _open_standard_streams() -> None:
    """Let closed ones be the null device: else the next file that is opened takes their number, and what is printed.

    What the terminal's encoding has no letters for is escaped: names of files and classes may be anything.
    """
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            null = os.open(os.devnull, os.O_RDWR)  # it gets the lowest free number, the closed one's
            setattr(sys, name, os.fdopen(null, "r" if name == "stdin" else "w"))
        elif name != "stdin" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _out_of_memory(error: Exception) -> bool:
    """Whether it is PyTorch's own error of that kind, which is no MemoryError."""
    words = ("allocate memory", "out of memory", "not enough memory", "Storage size calculation overflowed")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def _fail(message: str, code: int, page: str = "") -> NoReturn:
    """Leave with the message on one line, and the part of the documentation that explains it."""
    if os.environ.get("PRONAS_DEBUG"):
        import traceback

        traceback.print_exc()
    print(f"error: {' '.join(message.split())}{f' (see {page})' if page else ''}", file=sys.stderr)
    sys.exit(code)
