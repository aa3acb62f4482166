"""Results of identical children, taken from another run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pronas.errors import UsageError
from pronas.runs._choose import completed
from pronas.runs._config import Config
from pronas.runs._experiment import stored_config
from pronas.runs._halving import STOPPED
from pronas.runs._schema import connect
from pronas.runs.store import STORE, Child, read_children, read_meta


def result_cache(folder: str | None, config: Config, fingerprint: str) -> Callable[[Child], Child | None]:
    """Return a function that finds a child's identical twin in the run ``folder``.

    Twins have the same canonical cell, skeleton, recipe and images; the seed may differ. Failed children are not taken,
    nor those that were stopped early or began with a parent's weights.

    Raises:
        UsageError: the run trained its children otherwise, or on other images.
        RunError: there is no such run.
    """
    if folder is None:
        return lambda child: None
    path = Path(folder)
    theirs = completed(stored_config(path))
    _check(path, theirs, config)
    connection = connect(path / STORE, read_only=True)
    try:
        if (read_meta(connection, "dataset") or {}).get("fingerprint") != fingerprint:
            raise UsageError(f"reuse: {path} was trained on other images (or another split of them: another seed)")
        known = {child.canonical: child for child in read_children(connection) if _whole(child, theirs)}
    finally:
        connection.close()

    def find(child: Child) -> Child | None:
        twin = known.get(child.canonical)
        return None if twin is None else replace(twin, worker=f"reused from {path.name}")

    return find


def _whole(child: Child, config: Config) -> bool:
    inherited = config.search.inherit is not None and child.level > 1
    ended = (child.epochs or 0) >= (config.children.epochs or 0)  # no callback stopped it
    return child.status == "done" and STOPPED not in child.metrics and not inherited and ended


def _check(path: Path, theirs: Config, ours: Config) -> None:
    for part in ("skeleton", "recipe", "epochs", "batch"):
        there, here = getattr(theirs.children, part), getattr(ours.children, part)
        if there != here:
            raise UsageError(f"reuse: {path} trained its children with another {part}: {there!r} there, {here!r} here")
