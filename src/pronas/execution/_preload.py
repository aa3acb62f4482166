"""Imported once by the fork server, so that no worker need import the driver's script again.

A script may import much before it starts a search, and may define operators that workers need; left to itself,
multiprocessing lets every worker run the script's top level anew, which can cost more than training a small child.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import process, spawn

_VARIABLE = "PRONAS_MAIN"
_KEYS = ("init_main_from_path", "init_main_from_name", "sys_path", "sys_argv", "orig_dir")


@contextmanager
def main_named() -> Iterator[None]:
    """Tell a fork server that is started in this context which script is the main module."""
    known = spawn.get_preparation_data("main")
    os.environ[_VARIABLE] = json.dumps({key: known[key] for key in _KEYS if key in known})
    try:
        yield
    finally:
        os.environ.pop(_VARIABLE, None)


def importing_main() -> bool:
    """Whether this process is importing a script for its functions, and must start nothing."""
    return bool(getattr(process.current_process(), "_inheriting", False))


def _import_main() -> None:
    said = json.loads(os.environ.pop(_VARIABLE, "{}"))
    if not said:
        return
    current = process.current_process()
    current._inheriting = True  # type: ignore[attr-defined]
    try:
        spawn.prepare(said)
    except BaseException:  # the workers import it themselves then, and their failure is told to the user
        pass
    finally:
        del current._inheriting  # type: ignore[attr-defined]


_import_main()
