"""The flags of ``pronas search``, also the keywords of ``pronas.search``, and where each stands in ``config.toml``."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from pronas.errors import UsageError, nearest
from pronas.runs._config import Config
from pronas.space import StateSpace, space, space_names


class Settings(TypedDict, total=False):
    """What a search may be told, each under its flag's name; what is not given is chosen (see ``docs/cli.md``)."""

    data_dir: str | None
    validation: float | None
    limit: int | None
    image_size: int | None
    space: str | os.PathLike[str] | StateSpace | None
    blocks: int | None
    operators: Sequence[str] | str | None
    lookback: int | None
    lookforward: int | None
    modules: Sequence[str] | str | None
    strategy: str | None
    children: int | str | None
    first: int | str | None
    rounds: int | None
    predictor: str | None
    acquisition: str | None
    objectives: Sequence[str] | str | None
    skips: bool | None
    reuse: str | None
    early_stop: int | None
    inherit: int | None
    epochs: int | None
    batch: int | None
    recipe: str | Mapping[str, Any] | None
    skeleton: str | Mapping[str, Any] | None
    filters: Sequence[int] | int | str | None
    repeats: int | None
    final_epochs: int | None
    final_batch: int | None
    final_recipe: str | Mapping[str, Any] | None
    final_filters: Sequence[int] | int | str | None
    final_repeats: int | None
    max_params: int | None
    max_macs: int | None
    max_bits: int | None
    max_latency_us: float | None
    execution: str | None
    workers: int | None
    threads: int | None
    timeout: float | None
    memory: int | None
    address: str | None
    devices: Sequence[str] | str | None
    gpus: float | None
    seed: int | None


#: flag -> key in config.toml
KEYS: dict[str, str] = {
    "data": "data.name",
    "data_dir": "data.directory",
    "validation": "data.validation",
    "limit": "data.limit",
    "image_size": "data.image_size",
    "space": "space.kind",
    "blocks": "space.blocks",
    "operators": "space.operators",
    "lookback": "space.lookback",
    "lookforward": "space.lookforward",
    "modules": "space.modules",
    "strategy": "search.strategy",
    "children": "search.children",
    "first": "search.first",
    "rounds": "search.rounds",
    "predictor": "search.predictor",
    "acquisition": "search.acquisition",
    "objectives": "search.objectives",
    "skips": "search.skips",
    "reuse": "search.reuse",
    "early_stop": "search.early_stop",
    "inherit": "search.inherit",
    "epochs": "children.epochs",
    "batch": "children.batch",
    "recipe": "children.recipe.name",
    "skeleton": "children.skeleton.name",
    "filters": "children.skeleton.filters",
    "repeats": "children.skeleton.repeats",
    "final_epochs": "final.epochs",
    "final_batch": "final.batch",
    "final_recipe": "final.recipe.name",
    "final_filters": "final.skeleton.filters",
    "final_repeats": "final.skeleton.repeats",
    "max_params": "limits.parameters",
    "max_macs": "limits.macs",
    "max_bits": "limits.bits",
    "max_latency_us": "limits.latency_us",
    "execution": "execution.kind",
    "workers": "execution.workers",
    "threads": "execution.threads",
    "timeout": "execution.timeout",
    "memory": "execution.memory",
    "address": "execution.address",
    "devices": "execution.devices",
    "gpus": "execution.gpus",
    "seed": "seed",
}


def configuration(settings: Mapping[str, Any], file: str | os.PathLike[str] | None = None) -> Config:
    """Make the configuration that a TOML file and, over it, settings ask for. Nothing is chosen yet: see ``resolve``.

    Raises:
        UsageError: an unknown setting or key, or a value that makes no sense.
    """
    return Config.from_dict(asked(settings, file), "settings")


def asked(settings: Mapping[str, Any], file: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Return the nested values that a TOML file and, over it, settings hold, and nothing else.

    Raises:
        UsageError: as ``configuration``, for the file's content.
    """
    values = read_toml(Path(file)) if file is not None else {}
    Config.from_dict(values, str(file))  # so that the message names the file
    for name, value in sorted(settings.items(), key=lambda entry: entry[0] != "space"):  # others refine the space
        if name not in KEYS:
            raise UsageError(f"unknown setting {name!r}{nearest(name, KEYS)}")
        if value is not None:
            _apply(values, name, value)
    return values


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        UsageError: it is missing or malformed; the message says where.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error


def _apply(values: dict[str, Any], name: str, value: Any) -> None:
    if name == "space" and value != "custom" and value not in space_names():
        values["space"] = {**values.get("space", {}), **space_values(space(value))}
        return
    *tables, key = KEYS[name].split(".")
    if isinstance(value, Mapping):  # a whole recipe or skeleton
        tables, key = tables[:-1], tables[-1]
    for table in tables:
        values[table] = dict(values.get(table, {}))
        values = values[table]
    values[key] = _plain(name, value)


def _plain(name: str, value: Any) -> Any:
    if name in ("children", "first") and value == "all":
        return 0
    if name in ("operators", "modules", "objectives", "devices"):
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else list(value)
    if name in ("filters", "final_filters"):
        return _whole_numbers(name, value)
    if isinstance(value, Path):
        return str(value)
    return dict(value) if isinstance(value, Mapping) else value


def _whole_numbers(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value if isinstance(value, int) else list(value)
    try:
        numbers = [int(part) for part in value.split(",")]
    except ValueError as error:
        raise UsageError(
            f"--{name.replace('_', '-')} takes whole numbers separated by commas, not {value!r}"
        ) from error
    return numbers[0] if len(numbers) == 1 else numbers


def space_values(space: StateSpace) -> dict[str, Any]:
    """Return a space as the table ``[space]``."""
    values: dict[str, Any] = {
        "kind": "custom",
        "blocks": space.B,
        "operators": list(space.operators),
        "lookback": space.input_lookback_depth,
    }
    limit = space.input_lookforward_depth
    return values if limit is None else {**values, "lookforward": limit}


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``above`` put over ``below``, table by table."""
    values = dict(below)
    for key, value in above.items():
        old = values.get(key)
        values[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return values
