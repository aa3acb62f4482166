"""A run folder opened for writing: found or made, locked, and checked against what is asked for."""

from __future__ import annotations

import errno
import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pronas.errors import RunError, UsageError
from pronas.files import write_atomic
from pronas.runs._config import Config
from pronas.runs._lock import RunLock
from pronas.runs._schema import connect
from pronas.runs._store import STORE, Store, read_meta
from pronas.runs._toml import dumps
from pronas.version import installed_version

DEFAULT = "pronas-run"
CONFIG = "config.toml"


@dataclass(frozen=True)
class Run:
    """An open run: its folder, its resolved configuration, its store, and whether it existed before."""

    folder: Path
    config: Config
    store: Store
    lock: RunLock
    resumed: bool

    def close(self) -> None:
        """Close the store and let go of the folder."""
        self.store.close()
        self.lock.close()


def choose_folder(out: Path | None, config: Config) -> Path:
    """Return a search's folder: ``out``, or the first of ``pronas-run``, ``pronas-run-2``, … that is free or its own.

    Raises:
        UsageError: ``out`` holds something else, or a search with another configuration (the keys are named).
    """
    if out is None:
        names = itertools.chain([DEFAULT], (f"{DEFAULT}-{number}" for number in itertools.count(2)))
        return next(Path(name) for name in names if _refusal(Path(name), config) is None)
    refusal = _refusal(out, config)
    if refusal is not None:
        raise UsageError(refusal)
    return out


def open_run(folder: Path, config: Config, dataset: Mapping[str, Any] | None) -> Run:
    """Lock a folder and open the run in it, or begin one.

    Args:
        folder: from ``choose_folder``, or that of a run to resume.
        config: resolved; of a run that exists, only ``execution`` is taken from it.
        dataset: plain facts with the fingerprint, which must be the same again; None: not compared.

    Raises:
        RunError: in use, unwritable, of another version, or its images have changed.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock = RunLock(folder)
    try:
        store = Store(folder)
        resumed = store.meta("config") is not None
        if resumed:
            config = _merged(Config.from_dict(store.meta("config"), str(folder)), config)
            _check_dataset(folder, store.meta("dataset"), dataset)
        else:
            store.set_meta(
                created=time.time(),
                version=installed_version(),
                state="searching",
                config=config.to_dict(),
                dataset=dataset,
            )
        with disk_errors(folder):
            write_atomic(folder / CONFIG, dumps(config.to_dict()))
    except BaseException:
        lock.close()
        raise
    return Run(folder, config, store, lock, resumed)


def stored_config(folder: Path) -> Config:
    """Return the resolved configuration of a run.

    Raises:
        RunError: there is none, or it is of another version.
    """
    connection = connect(folder / STORE, read_only=True)
    try:
        found = read_meta(connection, "config")
    finally:
        connection.close()
    if found is None:
        raise RunError(f"{folder}: the run was stopped before it began; start it again")
    return Config.from_dict(found, str(folder))


def differing(old: Config, new: Config) -> list[str]:
    """Return the keys that differ and matter: where children are trained does not."""
    before, after = old.flat(), new.flat()
    keys = sorted({*before, *after})
    return [key for key in keys if before.get(key) != after.get(key) and not key.startswith("execution.")]


def say_differing(folder: Path, old: Config, new: Config, keys: list[str]) -> str:
    """Return one line on how two configurations differ."""
    before, after = old.flat(), new.flat()
    parts = [f"{key} ({before.get(key, 'unset')!r} there, {after.get(key, 'unset')!r} here)" for key in keys[:6]]
    more = f" and {len(keys) - 6} more" if len(keys) > 6 else ""
    return (
        f"{folder} holds a search that differs in {', '.join(parts)}{more}; "
        f"choose another --out, or go on with it as it is: pronas search --resume {folder}"
    )


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn a full disk, or a folder that cannot be written, into a RunError."""
    try:
        yield
    except OSError as error:
        if isinstance(error, (RunError, BrokenPipeError)):
            raise
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        cure = "make room and run the same command again" if full else "mend that and run it again"
        where = error.filename or folder
        raise RunError(f"{where}: {error.strerror or error}; nothing recorded before is lost: {cure}") from error


def _refusal(folder: Path, config: Config) -> str | None:
    """Say why ``folder`` cannot be used for a search with ``config``; None: it can."""
    if not folder.exists():
        return None
    if not folder.is_dir():
        return f"{folder} is a file; choose another --out"
    if not (folder / STORE).exists():
        strangers = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
        return (
            f"{folder} exists and is no run folder (it holds {strangers[0]}); choose another --out"
            if strangers
            else None
        )
    try:
        old = stored_config(folder)
    except RunError as error:
        return None if "before it began" in str(error) else str(error)
    keys = differing(old, config)
    return say_differing(folder, old, config, keys) if keys else None


def _merged(old: Config, new: Config) -> Config:
    return replace(old, execution=replace(new.execution, threads=old.execution.threads))


def _check_dataset(folder: Path, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> None:
    if old and new and old["fingerprint"] != new["fingerprint"]:
        raise RunError(
            f"{folder}: the images of {new['name']} are not those that the search began with "
            f"({old['train']} + {old['validation']} + {old['test']} then, {new['train']} + {new['validation']} + "
            f"{new['test']} now, or their content changed); restore them, or start in another --out"
        )
