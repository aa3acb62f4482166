"""What a store holds, checked as it is read: a damaged row is one clear line, not an error far from its cause."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, final

from pronas.errors import RunError, UsageError, shown
from pronas.space import Cell

STATES = ("searching", "training", "done", "failed")
_CURE = "restore a copy of the file, or start in another folder"
_LARGEST = 2**63  # of any number: what SQLite can hold
_WHOLE, _NUMBER = "a whole number", "a number"


@final
@dataclasses.dataclass(frozen=True)
class Maybe:
    """A shape, or nothing."""

    shape: Any


@final
@dataclasses.dataclass(frozen=True)
class Every:
    """A table of any keys, all of whose values have a shape."""

    shape: Any


_COUNT, _REAL = Maybe(_WHOLE), Maybe(_NUMBER)
#: Of what a finished run says of its winner; it may say more.
_FINAL = {
    "cell": str, "test_accuracy": _REAL, "validation_accuracy": _REAL, "parameters": _WHOLE, "weight_bits": _WHOLE,
    "trial_accuracy": _REAL, "learnt_accuracy": _REAL, "kept": Maybe(str),
    "seconds": _NUMBER, "curves": Every([_REAL]), "classes": [str], ...: dict,
}  # fmt: skip
_RESULT = {
    "status": str, "reward": _REAL, "error": Maybe(str), "seconds": _REAL, "epochs": _WHOLE, "images": _WHOLE,
    "metrics": dict, "worker": Maybe(str), "attempts": _COUNT, "parameters": _COUNT, "macs": _COUNT,
    "binary_macs": _COUNT, "weight_bits": _COUNT, "activation_bytes": _COUNT, "machine": Maybe(str),
}  # fmt: skip
_BASELINE = {
    "name": str, "recipe": str, "allowed": _NUMBER, "seconds": _NUMBER, "test_accuracy": _NUMBER, "epochs": _WHOLE,
    "parameters": _WHOLE, "macs": _WHOLE, "weight_bits": _WHOLE,
}  # fmt: skip
_DATASET = {"fingerprint": str, "train": _WHOLE, "validation": _WHOLE, "test": _WHOLE, ...: dict}
#: The entries of ``meta``, by the part of their names before a colon. What is not listed here may be anything.
META: dict[str, Any] = {
    "created": _REAL, "version": Maybe(str), "state": STATES, "config": dict, "dataset": Maybe(_DATASET),
    "revision": _WHOLE, "final": Maybe(_FINAL), "spent": _REAL, "final_epochs": [_WHOLE], "rungs": [_RESULT],
    "plan": Maybe(Every(_REAL)), "shape": Maybe(str),
    "verdict": {"cell": str, "recipe": dict, "accuracy": _NUMBER},
    "trials": [{
        "cell": str, "what": str, "recipe": dict, "accuracy": _NUMBER, "signal": _NUMBER, "seconds": _NUMBER,
        "shape": Maybe(str),
    }],
    "ends": _REAL, "baselines": [_BASELINE],
    "comparison": Maybe({"baselines": [_BASELINE], "points": _NUMBER, "error": _NUMBER, "text": str}),
}  # fmt: skip
#: The columns of ``children``.
CHILD: dict[str, Any] = {
    "id": _WHOLE, "level": _WHOLE, "round": _WHOLE, "cell": str, "canonical": str,
    "status": ("proposed", "running", "done", "failed"),
    "reward": _REAL, "predicted": _REAL, "spread": _REAL, "parameters": _COUNT, "macs": _COUNT, "binary_macs": _COUNT,
    "weight_bits": _COUNT, "activation_bytes": _COUNT, "latency_us": _REAL, "seconds": _REAL, "epochs": _COUNT,
    "images": _COUNT, "worker": Maybe(str), "attempts": _COUNT, "error": Maybe(str), "metrics": dict, "started": _REAL,
    "finished": _REAL, "revision": _WHOLE, "machine": Maybe(str),
}  # fmt: skip


_RANKS = Maybe({"spearman": _REAL, "kendall": _REAL, "n": _COUNT})
_FIT = {"in_sample": _RANKS, "cross_validated": _RANKS, "extrapolation": _RANKS, ...: dict}


@contextmanager
def legible(connection: sqlite3.Connection, what: str) -> Iterator[None]:
    """Turn whatever is wrong with ``what`` of a store into a RunError that names the file."""
    try:
        yield
    except (sqlite3.Error, ValueError) as error:
        try:
            file = connection.execute("PRAGMA database_list").fetchone()[2]
        except sqlite3.Error:
            file = "the store"
        reason = " ".join(str(error).split())[:300]  # SQLite shows whole tables
        raise RunError(f"{file}: {what} cannot be read ({reason}); {_CURE}") from error


def meta_value(key: str, text: str) -> Any:
    """Read the JSON of an entry of ``meta``.

    Raises:
        ValueError: it is none, or not what the key holds.
    """
    found = _decoded(text)
    shape = META.get(key.partition(":")[0])
    problem = None if shape is None else misfit(found, shape)
    if problem:
        raise ValueError(problem)
    return found


def fit(row: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """Read level and report of a row of ``fits``.

    Raises:
        ValueError: a value makes no sense.
    """
    found = {**row, "report": _decoded(row["report"])}
    problem = misfit(found, {"level": _WHOLE, "report": _FIT})
    if problem:
        raise ValueError(problem)
    return found["level"], found["report"]


def child_values(row: Mapping[str, Any]) -> dict[str, Any]:
    """Read a row of ``children``: the cell parsed, the metrics decoded.

    Raises:
        ValueError: a value makes no sense.
    """
    values = {**row, "metrics": _decoded(row["metrics"] or "{}")}
    problem = misfit(values, CHILD)
    if problem:
        raise ValueError(problem)
    try:
        cell = Cell.parse(values["cell"])
    except UsageError as error:
        raise ValueError(f"its cell: {error}") from error
    reward = values["reward"]
    if values["status"] == "done" and (reward is None or not 0 <= reward <= 1):
        raise ValueError(f"it is done and its reward is {reward!r}, not a number from 0 to 1")
    return {**values, "cell": cell}


def misfit(value: Any, shape: Any, where: str = "") -> str | None:
    """Say what of ``value`` is not as ``shape`` says; None: it fits.

    Args:
        value: plain data.
        shape: a type; a word of this file for numbers; a tuple of the values there are; ``[shape]``, a list of such; a
            dict of shapes by key, of which only those of `Maybe` may be missing and, without ``...``, none added;
            `Every`; `Maybe`.
        where: the keys that led here, joined by full stops.
    """
    match shape:
        case Maybe():
            return None if value is None else misfit(value, shape.shape, where)
        case Every():
            inner = _fitting(value, dict, where) or _first(value, dict.fromkeys(value, shape.shape), where)
        case dict():
            inner = _fitting(value, dict, where) or _keys(value, shape, where) or _first(value, shape, where)
        case list():
            inner = _fitting(value, list, where) or misfit(dict(enumerate(value)), Every(shape[0]), where)
        case tuple():
            inner = None if isinstance(value, str) and value in shape else _wrong(value, " or ".join(shape), where)
        case _:
            inner = _fitting(value, shape, where)
    return inner


def _fitting(value: Any, kind: Any, where: str) -> str | None:
    if kind in (_WHOLE, _NUMBER):
        numbers = int if kind == _WHOLE else (int, float)
        fits = isinstance(value, numbers) and not isinstance(value, bool) and abs(value) < _LARGEST
        return None if fits else _wrong(value, kind, where)
    words = {str: "text", dict: "a table", list: "a list"}
    return None if isinstance(value, kind) else _wrong(value, words[kind], where)


def _keys(value: dict[Any, Any], shape: dict[Any, Any], where: str) -> str | None:
    missing = [key for key, one in shape.items() if key is not ... and key not in value and not isinstance(one, Maybe)]
    if missing:
        return f"{_named(where)}has no {missing[0]!r}"
    added = [key for key in value if key not in shape and ... not in shape]
    return f"{_named(where)}has {added[0]!r}, which is unknown" if added else None


def _first(value: dict[Any, Any], shapes: dict[Any, Any], where: str) -> str | None:
    for key, shape in shapes.items():
        if key is ... or key not in value:
            continue
        problem = misfit(value[key], shape, f"{where}.{key}" if where else str(key))
        if problem:
            return problem
    return None


def _wrong(value: Any, expected: str, where: str) -> str:
    return f"{_named(where)}is {shown(value)}, not {expected}"


def _named(where: str) -> str:
    return f"{where} " if where else "it "


def _decoded(text: Any) -> Any:
    if not isinstance(text, str):
        raise ValueError(f"it is {text!r}, not JSON"[:200])
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
