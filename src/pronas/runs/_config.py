"""The configuration of a search: frozen dataclasses, one per table of ``config.toml``."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin

from pronas.errors import UsageError, nearest

SPACES = ("pnas", "flat", "binary", "custom")
STRATEGIES = ("progressive", "random", "evolution")


@dataclass(frozen=True)
class DataConfig:
    """``[data]``: which images. ``validation`` is a share below 1 or a number of images, ``limit`` a bound on them."""

    name: str = "digits"
    directory: str | None = None
    validation: float | None = None
    limit: int | None = None
    image_size: int | None = None


@dataclass(frozen=True)
class SpaceConfig:
    """``[space]``: which cells. ``lookback`` and ``lookforward`` are ``StateSpace``'s depths.

    ``modules`` are imported first, here and by every worker: those that register a user's operators.
    """

    kind: str = "pnas"
    blocks: int | None = None
    operators: tuple[str, ...] | None = None
    lookback: int | None = None
    lookforward: int | None = None
    modules: tuple[str, ...] = ()


@dataclass(frozen=True)
class SearchConfig:
    """``[search]``: how cells are chosen.

    ``children`` are trained at each level after the first; ``first`` at level 1 (0: every unique cell); ``rounds`` fits
    of the predictor at each level; ``skips`` adds a last level that tries skip connections on the best cell.
    ``early_stop`` trains children by successive halving: all briefly, then, when all levels are done, on each next
    rung the best one in so many of them so many times longer. ``inherit`` starts children from their parents' weights
    and trains them for so many epochs.
    """

    strategy: str = "progressive"
    children: int | None = None
    first: int | None = None
    rounds: int = 1
    predictor: str | None = None
    acquisition: str = "mean"
    objectives: tuple[str, ...] = ("accuracy",)
    skips: bool = False
    reuse: str | None = None
    early_stop: int | None = None
    inherit: int | None = None


@dataclass(frozen=True)
class TrainConfig:
    """``[children]`` and ``[final]``: how a network is built and trained.

    ``recipe`` holds a recipe's name under ``name`` and the fields that differ from it; ``skeleton`` likewise. What
    ``[final]`` does not say is taken from ``[children]``'s skeleton.
    """

    epochs: int | None = None
    batch: int | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    skeleton: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LimitConfig:
    """``[limits]``: cells that cost more are never proposed.

    Counts are per image, of the winner's network, or of a child's where no winner is to be trained.
    """

    parameters: int | None = None
    macs: int | None = None
    bits: int | None = None
    latency_us: float | None = None


@dataclass(frozen=True)
class ExecutionConfig:
    """``[execution]``: where children are trained. Changes no result, so a run may be resumed with another.

    ``timeout`` is in seconds a child, ``memory`` in MiB a worker. ``threads`` are those of the winner's training (a
    child has one); as their number changes the last bits, a resumed run keeps the first one's. ``devices`` are the
    local workers', one slot each; ``gpus`` is the share of GPUs that a child reserves on Ray.
    """

    kind: str = "local"
    workers: int | None = None
    threads: int | None = None
    timeout: float | None = None
    memory: int | None = None
    address: str | None = None
    devices: tuple[str, ...] | None = None
    gpus: float | None = None


@dataclass(frozen=True)
class Config:
    """Everything that decides a search's outcome (and ``execution``, which does not)."""

    seed: int = 0
    data: DataConfig = DataConfig()
    space: SpaceConfig = SpaceConfig()
    search: SearchConfig = SearchConfig()
    children: TrainConfig = field(default_factory=TrainConfig)
    final: TrainConfig = field(default_factory=TrainConfig)
    limits: LimitConfig = LimitConfig()
    execution: ExecutionConfig = ExecutionConfig()

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain data; tuples become lists."""
        return typing.cast(dict[str, Any], plain(dataclasses.asdict(self)))

    def flat(self) -> dict[str, Any]:
        """Return ``{"table.key": value}`` without the entries that are ``None``."""
        return dict(_flatten("", self.to_dict()))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "configuration") -> Config:
        """Read nested plain data.

        Raises:
            UsageError: an unknown key (the nearest known one is named), a wrong type, a value out of range.
        """
        return check(typing.cast(Config, _read(cls, values, "", where)), where)


def plain(value: Any) -> Any:
    """Return ``value`` with tuples as lists and mappings as dicts, all the way down."""
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return value


def known_keys(table: type = Config, prefix: str = "") -> list[str]:
    """Return every dotted key there is."""
    keys: list[str] = []
    for name, hint in typing.get_type_hints(table).items():
        nested = isinstance(hint, type) and dataclasses.is_dataclass(hint)
        keys += known_keys(hint, f"{prefix}{name}.") if nested else [f"{prefix}{name}"]
    return keys


def _flatten(prefix: str, table: Mapping[str, Any]) -> typing.Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flatten(f"{prefix}{key}.", value)
        elif value is not None:
            yield f"{prefix}{key}", value


def _read(table: type, values: Any, prefix: str, where: str) -> Any:
    if not isinstance(values, Mapping):
        raise UsageError(f"{where}: {prefix.rstrip('.')} must be a table, not {values!r}")
    hints = typing.get_type_hints(table)
    entries = {}
    for key, value in values.items():
        if key not in hints:
            hint = nearest(f"{prefix}{key}", known_keys())
            raise UsageError(f"{where}: unknown key {prefix + str(key)!r}{hint}")
        if dataclasses.is_dataclass(hints[key]):
            entries[key] = _read(typing.cast(type, hints[key]), value, f"{prefix}{key}.", where)
        elif value is not None:
            entries[key] = _convert(value, hints[key], f"{where}: {prefix}{key}")
    return table(**entries)


def _convert(value: Any, hint: Any, where: str) -> Any:
    choices = [kind for kind in get_args(hint) if kind is not type(None)] if _is_union(hint) else [hint]
    for kind in choices:
        origin = get_origin(kind) or kind
        if origin is tuple and isinstance(value, (list, tuple)):
            return tuple(_convert(entry, get_args(kind)[0], where) for entry in value)
        if origin is Mapping and isinstance(value, Mapping):
            return dict(value)
        if origin is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if type(value) is origin:
            return value
    names = " or ".join(_NAMES.get(get_origin(kind) or kind, str(kind)) for kind in choices)
    raise UsageError(f"{where} must be {names}, not {value!r}")


_NAMES: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    tuple: "a list",
    Mapping: "a table",
}


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (typing.Union, types.UnionType)


_AT_LEAST: dict[str, float] = {
    "data.limit": 10,
    "data.image_size": 8,
    "space.blocks": 1,
    "search.children": 1,
    "search.first": 0,
    "search.rounds": 1,
    "search.early_stop": 2,
    "search.inherit": 1,
    "children.epochs": 1,
    "children.batch": 1,
    "final.epochs": 0,
    "final.batch": 1,
    "limits.parameters": 1,
    "limits.macs": 1,
    "limits.bits": 1,
    "limits.latency_us": 0,
    "execution.workers": 1,
    "execution.threads": 1,
    "execution.timeout": 0,
    "execution.memory": 64,
    "execution.gpus": 0,
}
_CHOICES: dict[str, tuple[str, ...]] = {
    "space.kind": SPACES,
    "search.strategy": STRATEGIES,
    "execution.kind": ("inline", "local", "ray"),
}


def check(config: Config, where: str) -> Config:
    """Return ``config`` if its values make sense.

    Raises:
        UsageError: one does not; the message names the key.
    """
    values = config.flat()
    for key, least in _AT_LEAST.items():
        if key in values and not values[key] >= least:
            raise UsageError(f"{where}: {key} must be at least {least:g}, not {values[key]!r}")
    for key, choices in _CHOICES.items():
        if values.get(key, choices[0]) not in choices:
            value = values[key]
            hint = f"{nearest(str(value), choices)} (there are {', '.join(choices)})"
            raise UsageError(f"{where}: {key}: unknown {value!r}{hint}")
    return config
