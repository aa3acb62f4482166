"""Choosing what a configuration leaves open, and making from it the space, the skeletons and the recipes.

What follows from the images, the space or a budget is chosen here, so that a run's ``config.toml`` says it.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from pronas.data import Dataset
from pronas.deploy import load_targets, target
from pronas.errors import SettingError, UsageError
from pronas.machine import cores
from pronas.networks import Skeleton
from pronas.networks import skeleton as named_skeleton
from pronas.runs._config import (
    ChildrenConfig,
    Config,
    FinalConfig,
    LimitConfig,
    SearchConfig,
    SpaceConfig,
    TrainConfig,
    plain,
)
from pronas.space import StateSpace, named_space, operator_is_binary
from pronas.training import RECIPES, Recipe
from pronas.training import recipe as named_recipe

#: Small enough for a processor; the paper's own sizes are F = 24, N = 2 for children and F = 48, N = 3 for the winner.
_SKELETONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "pnas-cifar": ({"N": 1, "F": 8}, {"F": 16}),
    "pnas-imagenet": ({"N": 1, "F": 16, "stem": 32}, {}),
}
_BLOCKS, _CHILDREN, _FIRST = 3, 6, 12
_T = TypeVar("_T", bound=TrainConfig)
#: The Gaussian process ranks best what tens to hundreds of children say of unseen cells (docs/experiments.md).
PREDICTOR = "gp"
#: Acquisition and diversity of a search by numbers, the first version's, so that its runs are found again, and of one
#: within a budget: no worse, with a third fewer near copies (docs/experiments.md).
_CHOICE, _TIMED_CHOICE = ("mean", "greedy"), ("ei", "believer")


def choose(config: Config, dataset: Dataset | None = None) -> Config:
    """Return ``config`` with everything chosen that it leaves open: what ``config.toml`` of a run holds.

    Args:
        config: what was asked for.
        dataset: its images; the batch and the threads follow their number and size.

    Raises:
        UsageError: an unknown operator, skeleton or recipe, or values that do not go together.
    """
    for module in config.space.modules:
        _import(module)
    space = _space(config.space)
    binary = any(operator_is_binary(name) for name in space.operators or ())
    images = None if dataset is None else len(dataset.train)
    timed = config.search.budget is not None
    name = _skeleton_name(space, binary=binary)
    judged = {"metric": config.search.metric, "class_weights": config.search.class_weights}
    children = _children(_batch(_judged(config.children, judged), images, timed=timed), name, timed=timed)
    chosen = replace(
        config,
        space=space,
        search=_search(config.search, space, timed=timed),
        children=children,
        final=_final(_batch(_judged(config.final, judged), images, timed=timed), children, timed=timed),
        limits=_limits(config.limits),
        execution=replace(config.execution, threads=config.execution.threads or _threads(dataset)),
    )
    return Config.from_dict(chosen.to_dict(), "settings")  # a recipe's own epochs and batch are checked, too


def state_space(config: Config) -> StateSpace:
    """Return the space that a resolved configuration names."""
    space = config.space
    assert space.blocks is not None
    assert space.lookback is not None
    return StateSpace(space.blocks, space.operators, space.lookback, space.lookforward)


def skeleton_of(train: TrainConfig) -> Skeleton:
    """Return the skeleton of resolved ``[children]`` or ``[final]``."""
    options = dict(train.skeleton)
    return named_skeleton(str(options.pop("name")), **options)


def recipe_of(train: TrainConfig) -> Recipe:
    """Return the recipe of resolved ``[children]`` or ``[final]``, with its epochs and batch."""
    recipe = Recipe.from_dict(train.recipe)
    changes = {"epochs": train.epochs or None, "batch": train.batch}
    return recipe.replace(**{key: value for key, value in changes.items() if value is not None})


def completed(config: Config) -> Config:
    """Return a stored configuration with the fields that recipes and skeletons gained since, at their defaults.

    A default means what was done before there was the field, so a run is the same search with it.
    """
    return replace(config, children=_completed(config.children), final=_completed(config.final))


def _completed(train: _T) -> _T:
    try:
        recipe, skeleton = Recipe.from_dict(train.recipe).to_dict(), skeleton_of(train).to_dict()
    except (UsageError, KeyError):  # not resolved, or with a part that only the run's own modules know
        return train
    return replace(train, recipe=plain(recipe), skeleton=plain(skeleton))


def _threads(dataset: Dataset | None) -> int:
    """One thread for small images: their steps are too short to share."""
    small = dataset is not None and math.prod(dataset.input_shape[1:]) < 16 * 16
    return 1 if small else cores()


def _space(space: SpaceConfig) -> SpaceConfig:
    preset = named_space("pnas" if space.kind == "custom" else space.kind)
    return replace(
        space,
        blocks=_BLOCKS if space.blocks is None else space.blocks,
        operators=space.operators or preset.operators,
        lookback=preset.input_lookback_depth if space.lookback is None else space.lookback,
    )


def _search(search: SearchConfig, space: SpaceConfig, *, timed: bool) -> SearchConfig:
    search = replace(
        search,
        predictor=search.predictor or PREDICTOR,
        acquisition=search.acquisition or (_TIMED_CHOICE if timed else _CHOICE)[0],
        diversity=search.diversity or (_TIMED_CHOICE if timed else _CHOICE)[1],
    )
    if timed:  # numbers of children are planned
        return search
    return replace(
        search,
        children=min(_CHILDREN, _largest(space)) if search.children is None else search.children,
        first=_FIRST if search.first is None else search.first,
    )


def _limits(limits: LimitConfig) -> LimitConfig:
    """With the flash and the RAM of the target, where nothing was said of them."""
    try:
        if limits.targets is not None:
            load_targets(limits.targets)
        board = None if limits.target is None else target(limits.target)
    except UsageError as error:
        raise SettingError(f"limits.target: {error}", "target" if limits.target else "targets") from error
    if board is None:
        return limits
    flash, ram = (
        own if own is not None else most for own, most in ((limits.flash, board.flash), (limits.ram, board.ram))
    )
    return replace(limits, flash=flash, ram=ram)


def _largest(space: SpaceConfig) -> int:
    """Return how many cells the largest level has, symmetric ones of later levels included, as far as it matters."""
    whole, size = state_space(Config(space=space)), 1
    for b in range(1, whole.B + 1):
        size *= len(whole.extensions(b))
        if size >= _CHILDREN:
            break
    return size


def _batch(train: _T, images: int | None, *, timed: bool) -> _T:
    """Smaller batches for small data sets: an epoch of few steps learns little."""
    if train.batch is not None or "batch" in train.recipe or images is None:
        return train
    if timed:
        return replace(train, batch=128 if images >= 20_000 else 64)
    return replace(train, batch=next(size for size in (128, 64, 32) if images >= 16 * size or size == 32))


def _skeleton_name(space: SpaceConfig, *, binary: bool) -> str:
    if binary:
        return "binary"
    return "residual" if space.kind == "residual" else "flat" if space.lookback == 0 else "pnas-cifar"


def _children(train: ChildrenConfig, usual: str, *, timed: bool) -> ChildrenConfig:
    options = dict(train.skeleton)
    name = str(options.pop("name", usual))
    small = _SKELETONS.get(name, ({}, {}))[0]
    skeleton = named_skeleton(name, **{**small, **_spelled(name, options)})
    return _trained(train, "timed" if timed else "search", skeleton, skeleton.binary)


def _final(train: FinalConfig, children: ChildrenConfig, *, timed: bool) -> FinalConfig:
    name = str(children.skeleton["name"])
    if train.skeleton.get("name", name) != name:
        raise UsageError(f"final.skeleton.name must be the children's, {name!r}: the winner keeps its kind of network")
    large = _SKELETONS.get(name, ({}, {}))[1]
    # a user's own size of children also is the least that the winner should have
    larger = {key: value for key, value in large.items() if value > children.skeleton[key]}
    options = {**children.skeleton, **larger, **_spelled(name, train.skeleton)}
    options.pop("name")
    skeleton = named_skeleton(name, **options)
    return _trained(train, "timed-final" if timed else "full", skeleton, skeleton.binary)


def _judged(train: _T, judged: Mapping[str, Any]) -> _T:
    """Put what is one setting for children and winner into the recipes of both."""
    return replace(
        train, recipe={**train.recipe, **{name: value for name, value in judged.items() if value is not None}}
    )


def _trained(train: _T, recipe: str, skeleton: Skeleton, binary: bool) -> _T:
    changes = dict(train.recipe)
    if _is_whole(changes):  # an object, or a run's own: its name need be nobody's
        chosen = Recipe.from_dict(changes)
    else:
        name = str(changes.pop("name", recipe))
        base = named_recipe(name, binary=binary, epochs=train.epochs or None, batch=train.batch)
        chosen = base.replace(**changes)
    return replace(
        train,
        epochs=chosen.epochs if train.epochs is None else train.epochs,
        batch=chosen.batch,
        recipe=plain(chosen.to_dict()),
        skeleton=plain(skeleton.to_dict()),
    )


def _is_whole(recipe: Mapping[str, Any]) -> bool:
    """Whether it holds every field that a recipe always has, and a name of its own."""
    return recipe.get("name") not in RECIPES and set(Recipe().to_dict()) <= set(recipe)


def _spelled(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the flags' words, filters and repeats, to the skeleton's own."""
    words = {"filters": "F", "repeats": "N"} if name.startswith("pnas") else {}
    return {words.get(key, key): value for key, value in options.items() if key != "name"}


def _import(module: str) -> None:
    try:
        importlib.import_module(module)
    except Exception as error:  # whatever a user's module raises
        raise UsageError(f"module {module!r} cannot be imported ({error}); is it on PYTHONPATH?") from error
