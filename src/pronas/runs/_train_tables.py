"""The settings of networks: the tables ``[children]`` and ``[final]`` of ``config.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pronas.runs._setting import entry, setting, settings_in

_FILTERS = int | tuple[int, ...]


@dataclass(frozen=True)
class TrainConfig:
    """How networks are built and trained. ``recipe`` and ``skeleton``: a name and the fields that differ from it."""

    epochs: int | None = None
    batch: int | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    skeleton: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ChildrenConfig(TrainConfig):
    """``[children]``: how children are built and trained."""

    PANEL: ClassVar[str] = "Children"

    epochs: int | None = setting(
        "Epochs a child", chosen="the recipe's", at_least=1, at_most=1_000_000, unit="epochs", example=10
    )
    batch: int | None = setting(
        "Images a step",
        chosen="32 to 128, by the number of images",
        at_least=1,
        at_most=1_000_000,
        unit="images",
        example=64,
    )
    recipe: Mapping[str, Any] = settings_in(
        name=entry(
            str,
            "How children are trained: search, full or old; fields of a recipe in TOML",
            flag="recipe",
            chosen="search",
            example="search",
        )
    )
    skeleton: Mapping[str, Any] = settings_in(
        name=entry(
            str,
            "The network around the cell: flat, residual, binary, pnas-cifar or pnas-imagenet",
            flag="skeleton",
            chosen="by the space",
            train=True,
            example="flat",
        ),
        filters=entry(
            _FILTERS,
            "The skeleton's filters: a number, or one per cell (F of PNAS skeletons)",
            chosen="8 (pnas-cifar)",
            at_least=1,
            at_most=65_536,
            example=16,
        ),
        repeats=entry(
            _FILTERS,
            "Cells in a row, of each stage or for all (N of PNAS skeletons)",
            chosen="1",
            at_least=0,
            at_most=64,
            example=2,
        ),
    )


@dataclass(frozen=True)
class FinalConfig(TrainConfig):
    """``[final]``: how the winner is built and trained; what it does not say of the skeleton is the children's."""

    PANEL: ClassVar[str] = "The winner"

    epochs: int | None = setting(
        "Epochs of the winner; 0: it is not trained",
        flag="final_epochs",
        chosen="the recipe's",
        at_least=0,
        at_most=1_000_000,
        unit="epochs",
        train=True,
        example=100,
    )
    batch: int | None = setting(
        "Images a step",
        flag="final_batch",
        chosen="32 to 128, by the number of images",
        at_least=1,
        at_most=1_000_000,
        unit="images",
        train=True,
        example=64,
    )
    recipe: Mapping[str, Any] = settings_in(
        name=entry(str, "How the winner is trained", flag="final_recipe", chosen="full", train=True, example="full")
    )
    skeleton: Mapping[str, Any] = settings_in(
        filters=entry(
            _FILTERS,
            "Its skeleton's filters",
            flag="final_filters",
            chosen="the children's, or F = 16",
            at_least=1,
            at_most=65_536,
            train=True,
            example=32,
        ),
        repeats=entry(
            _FILTERS,
            "Its skeleton's N",
            flag="final_repeats",
            chosen="the children's",
            at_least=0,
            at_most=64,
            train=True,
            example=2,
        ),
    )
