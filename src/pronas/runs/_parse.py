"""First: what a search was asked for, from keywords, flags and a TOML file; each setting read and checked by itself."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pronas.errors import UsageError, nearest
from pronas.runs._config import SETTINGS, Config
from pronas.runs._experiment import stored_config
from pronas.runs._preset import over_preset
from pronas.runs._reading import merged

if TYPE_CHECKING:
    from pronas.data import Dataset
    from pronas.space import StateSpace

Path_ = str | os.PathLike[str]
#: The budget where nothing is said of how much is to be done.
BUDGET = "2m"


@dataclass(frozen=True)
class SearchRequest:
    """What a search was asked for. Nothing is chosen, loaded or opened yet.

    Attributes:
        config: what was said; what was not is ``None``. Of a run to resume, over what it began with.
        dataset: the images, where they were given themselves.
        out: the folder, where one was named.
        stored: of a run to resume, what it began with.
        says_data: whether the images were named or given now.
    """

    config: Config
    dataset: Dataset | None = None
    out: Path | None = None
    stored: Config | None = None
    says_data: bool = False


def parse(
    dataset: Dataset | Path_ | None,
    settings: Mapping[str, Any],
    *,
    file: Path_ | None = None,
    out: Path_ | None = None,
    resume: Path_ | None = None,
) -> SearchRequest:
    """Read what ``pronas.search`` was given.

        >>> parse("digits", {"blocks": 2, "limit": 200}).config.space.blocks
        2

    Raises:
        UsageError: an unknown setting or key, or a value that makes no sense.
        RunError: there is no run to resume.
    """
    given = {name: value for name, value in as_settings(settings).items() if value is not None}
    images = None
    if isinstance(dataset, str | os.PathLike):
        given["data"] = os.fspath(dataset)
    elif dataset is not None:
        images, given["data"] = dataset, dataset.name
    values = asked(given, file, located=images is None)
    says_data = images is not None or "data" in given
    if resume is None:  # a run that is resumed has its preset's settings already
        values = _budgeted(over_preset(values))
        return SearchRequest(Config.from_dict(values, "settings"), images, _folder(out), None, says_data)
    if out is not None and Path(out).absolute() != Path(resume).absolute():
        raise UsageError(f"a run is resumed where it is, in {os.fspath(resume)}, not in {os.fspath(out)}")
    stored = stored_config(Path(resume))
    wanted = Config.from_dict(merged(stored.to_dict(), values), "settings")
    return SearchRequest(wanted, images, Path(resume), stored, says_data)


#: Settings that say how much is done: where one is given, and no budget, nothing is left to a clock.
_SIZES = {
    "space": ("blocks",),
    "search": ("children", "first", "early_stop", "inherit", "skips", "reuse"),
    "children": ("epochs", "batch", "recipe"),
    "final": ("epochs", "batch", "recipe", "skeleton"),
}


def _budgeted(values: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, with the usual budget where nothing says how much is to be done.

    With a budget, where nobody named a space, it is that in which hand-made networks are points.
    """
    search, space = dict(values.get("search", {})), dict(values.get("space", {}))
    sizes = any(key in values.get(table, {}) for table, keys in _SIZES.items() for key in keys)
    sized = sizes or bool({"filters", "repeats"} & set(values.get("children", {}).get("skeleton", {})))
    if "budget" not in search and not sized and search.get("strategy", "progressive") == "progressive":
        search["budget"] = BUDGET
    skeleton = set(values.get("children", {}).get("skeleton", {}))  # filters alone name no space
    named = {"kind", "operators", "lookback"} & set(space) or {"name", "F", "N"} & skeleton
    if search.get("budget") is not None:
        search.setdefault("by_hand", _by_hand(values))
        if not named:
            space["kind"] = "residual"
    return {**values, "search": search, "space": space}


def _by_hand(values: Mapping[str, Any]) -> list[str]:
    """What of the sizes that a budget plans was given."""
    children, final = values.get("children", {}), values.get("final", {})
    widths = {"filters", "F"} & (set(children.get("skeleton", {})) | set(final.get("skeleton", {})))
    found = {"filters": bool(widths), "epochs": "epochs" in children, "final_epochs": "epochs" in final}
    return [name for name, given in found.items() if given]


def configuration(settings: Mapping[str, Any], file: Path_ | None = None) -> Config:
    """Make the configuration that a TOML file and, over it, settings ask for.

    Raises:
        UsageError: an unknown setting or key, or a value that makes no sense.
    """
    return Config.from_dict(asked(settings, file), "settings")


def asked(settings: Mapping[str, Any], file: Path_ | None = None, *, located: bool = True) -> dict[str, Any]:
    """Return the nested values that a TOML file and, over it, settings hold, and nothing else.

    Args:
        settings: by their names.
        file: the TOML file.
        located: whether the images' name may be a path, which is then made absolute.

    Raises:
        UsageError: an unknown setting or key, or text that cannot be read; values of the file that make no sense.
    """
    values = read_toml(Path(file)) if file is not None else {}
    Config.from_dict(values, str(file))  # so that the message names the file
    for name, value in sorted(settings.items(), key=lambda given: given[0] != "space"):  # others refine the space
        if name not in SETTINGS:
            raise UsageError(f"unknown setting {name!r}{nearest(name, SETTINGS)}")
        if value is not None:
            _put(values, name, value)
    return _located(values) if located else values


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
    except ValueError as error:  # a path with a null byte, a number of 10,000 digits
        raise UsageError(f"{str(path)!r} cannot be read ({error})") from error


def as_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Turn objects among the settings into plain data: a ``StateSpace``, skeletons, recipes."""
    plain = {name: value.to_dict() if hasattr(value, "to_dict") else value for name, value in settings.items()}
    space = settings.get("space")
    if space is not None and not isinstance(space, str | os.PathLike) and _is_space(space):
        table = space_table(space)
        own = {"space": table.pop("kind"), **table}
        plain = own | {name: value for name, value in plain.items() if name != "space" and value is not None}
    return plain


def _is_space(value: Any) -> bool:
    from pronas.space import Space

    return isinstance(value, Space)


def space_table(space: StateSpace) -> dict[str, Any]:
    """Return a space as the table ``[space]``.

    Raises:
        UsageError: one that is not made of cells, which no file can describe.
    """
    try:
        values: dict[str, Any] = {
            "kind": "custom",
            "blocks": space.B,
            "operators": list(space.operators),
            "lookback": space.input_lookback_depth,
        }
        limit = space.input_lookforward_depth
    except AttributeError as error:
        raise UsageError(
            f"space: a {type(space).__name__} is not made of cells: give a StateSpace or a name"
        ) from error
    return values if limit is None else {**values, "lookforward": limit}


def _put(values: dict[str, Any], name: str, value: Any) -> None:
    """Put a setting into its place in the nested ``values``."""
    if name == "space" and (file := _space_file(value)) is not None:
        values["space"] = {**values.get("space", {}), **file}
        return
    *tables, key = SETTINGS[name].key.split(".")
    if isinstance(value, Mapping) and len(tables) == 2:  # a whole recipe or skeleton
        tables, key = tables[:-1], tables[-1]
    for table in tables:
        values[table] = dict(values.get(table, {}))
        values = values[table]
    values[key] = SETTINGS[name].plain(value)


def _space_file(value: Any) -> dict[str, Any] | None:
    from pronas.space import space, space_names

    if value == "custom" or value in space_names() or not isinstance(value, str | os.PathLike):
        return None
    try:
        return space_table(space(os.fspath(value)))
    except OSError as error:
        raise UsageError(f"space: {error.strerror or error}") from error


def _located(values: dict[str, Any]) -> dict[str, Any]:
    """Make the images' path absolute: its spelling is no other setting, and resuming works from any folder."""
    from pronas.data import is_named

    name = values.get("data", {}).get("name")
    if not isinstance(name, str) or is_named(name) or not os.path.exists(name):
        return values
    return {**values, "data": {**values["data"], "name": os.path.abspath(name)}}


def _folder(out: Path_ | None) -> Path | None:
    if out is not None and "\0" in os.fspath(out):
        raise UsageError(f"no folder can be called {os.fspath(out)!r}")
    return None if out is None else Path(out)
