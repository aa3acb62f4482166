"""Presets: published searches, each a complete TOML file, whole or at a share of their size."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pronas.errors import DataError, SettingError, UsageError, nearest
from pronas.runs._config import Config, plain
from pronas.runs._reading import merged

_FOLDER = Path(__file__).parent / "presets"
#: Names that ``preset`` knows.
PRESETS = ("paper", "paper-imagenet", "flat-cifar", "binary-mnist")
#: What may differ from a preset without its being another search.
_OWN = ("execution.", "seed", "search.preset", "search.scale", "search.warm_start", "search.reuse", "data.directory")
#: Fields of recipes that stand beside them, too.
_TWICE = (".recipe.epochs", ".recipe.batch", ".recipe.name")


def preset(name: str) -> dict[str, Any]:
    """Return a published search's settings, nested as in ``config.toml``.

        >>> preset("paper")["search"]["children"]
        256

    Args:
        name: one of ``PRESETS``.

    Returns:
        Every setting that was published, at its full scale.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in PRESETS:
        raise UsageError(f"no preset is called {name!r}{nearest(name, PRESETS)} (there are {', '.join(PRESETS)})")
    return tomllib.loads((_FOLDER / f"{name}.toml").read_text("utf-8"))


def over_preset(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was asked for with everything it leaves open as the preset says, if it names one.

    Raises:
        SettingError: an unknown preset, or a scale without one.
    """
    search = Config.from_dict(values, "settings").search
    if search.preset is None:
        if search.scale is not None:
            raise SettingError("search.scale goes with a preset: name one of " + ", ".join(PRESETS), "scale")
        return dict(values)
    base = preset(search.preset)
    own = {name: value for name, value in values.get("space", {}).items() if value is not None}
    if "kind" in own and own["kind"] != base["space"]["kind"]:  # another space has operators of its own
        base["space"] = {"blocks": base["space"]["blocks"]}
    return merged(_scaled(base, merged(base, values), search.scale or 1.0), values)


def _scaled(base: dict[str, Any], whole: Mapping[str, Any], scale: float) -> dict[str, Any]:
    """Take ``scale`` of the children, the epochs and the images."""
    if scale == 1:
        return base
    search, children, final = dict(base["search"]), dict(base["children"]), dict(base["final"])
    search["first"] = max(2, round(scale * (search["first"] or _level1(whole))))
    search["children"] = max(1, round(scale * search["children"]))
    for table in (children, final):
        if table["epochs"]:
            table["epochs"] = max(1, round(scale * table["epochs"]))
    data, images = dict(base["data"]), _images(whole["data"])
    if images is not None:
        data["limit"] = min(images, max(200, round(scale * images)))
    return {**base, "search": search, "children": children, "final": final, "data": data}


def _level1(values: Mapping[str, Any]) -> int:
    from pronas.runs._choose import choose, state_space

    return len(state_space(choose(Config.from_dict({"space": values["space"]}))).level1())


def _images(data: Mapping[str, Any]) -> int | None:
    """How many images there are; ``None`` where loading them tells what is wrong, or they are not to be counted."""
    from pronas.data import probe_images

    with contextlib.suppress(DataError, OSError, ValueError):
        found = probe_images(str(data["name"]), data.get("directory"))
        return None if found is None else found.images
    return None


def departures(config: Config) -> str | None:
    """Say in a line what a resolved configuration changes of its preset; ``None``: it has none."""
    from pronas.runs._choose import choose

    if config.search.preset is None:
        return None
    published = choose(Config.from_dict(preset(config.search.preset)))
    there, here = published.flat(), config.flat()
    own = _OWN if config.final.epochs else (*_OWN, "final.batch", "final.recipe", "final.skeleton")
    changed = [
        f"{key} {_shown(value)} ({_shown(there.get(key))})"
        for key, value in sorted(here.items())
        if not key.startswith(own) and not key.endswith(_TWICE) and plain(value) != plain(there.get(key))
    ]
    name = f"preset {config.search.preset}"
    return f"{name}: {', '.join(changed)}" if changed else f"{name}: as published, nothing departs from it"


def _shown(value: Any) -> str:
    return "all" if value in (None, 0) else str(value)
