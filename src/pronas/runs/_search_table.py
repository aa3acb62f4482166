"""The settings of how cells are chosen: the table ``[search]`` of ``config.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pronas.runs._duration import problem_with
from pronas.runs._setting import entry, setting, settings_in

_CHILDREN, _RUN = "Children", "The run"
_MOST = 10**9  # of what is counted: more is a slip of the finger


@dataclass(frozen=True)
class SearchConfig:
    """``[search]``: how cells are chosen, and how far each is trained."""

    PANEL: ClassVar[str] = "Space and choice of cells"

    preset: str | None = setting(
        "A published search, every setting of it; others given change it: paper, paper-imagenet, flat-cifar (the first "
        "earlier system) or binary-mnist (the second)",
        panel=_RUN,
        chosen="none",
        choices="pronas.runs._preset:PRESETS",
    )
    scale: float | None = setting(
        "The preset's children, epochs and images times this share",
        panel=_RUN,
        chosen="1",
        example=0.1,
        above=0,
        at_most=1,
    )
    strategy: str = setting(
        "How cells are chosen, all with the same number of children: progressive, random or evolution",
        "progressive",
        choices="pronas.controller:STRATEGIES",
    )
    children: int | None = setting(
        "Children at each level after the first, or all (in TOML 0)",
        short="K",
        chosen="6",
        at_least=0,
        at_most=_MOST,
        all_is_0=True,
        example=6,
    )
    first: int | None = setting(
        "Children at the first level, a seeded sample, or all (in TOML 0), as the paper does",
        chosen="12",
        at_least=0,
        at_most=_MOST,
        all_is_0=True,
        example=12,
    )
    budget: str | None = setting(
        "Time for everything, from reading the images to the tested winner: 90s, 10m, 2h, 1d; the rest is planned",
        panel=_RUN,
        chosen="2m, where no number of children, epochs or filters is given",
        check=problem_with,
        example="10m",
    )
    by_hand: tuple[str, ...] = setting(
        "What is not planned within a budget but as it was given: filters, epochs, final_epochs",
        (),
        panel=_RUN,
        chosen="those that are given",
        choices=("filters", "epochs", "final_epochs"),
        example=("filters",),
    )
    rounds: int = setting("Fits of the predictor a level", 1, at_least=1, at_most=10_000)
    predictor: str | None = setting(
        "Which predictor guides the search: gp (Gaussian process), lstm (the paper's; scores whole levels fastest), "
        "lstm-ensemble, mlp, mlp-ensemble, forest, paper-lstm, paper-lstm-ensemble, paper-mlp, paper-mlp-ensemble "
        "(with the paper's rates, from level to level), or auto (the best of three by cross-validation)",
        chosen="gp",
        choices="pronas.predictors:PREDICTORS",
        example="gp",
    )
    predictor_settings: Mapping[str, Any] = settings_in(
        cells=entry(
            int,
            "Width of a neural predictor",
            flag="controller_cells",
            example=100,
            chosen="100",
            at_least=1,
            at_most=65_536,
        ),
        embedding=entry(
            int,
            "Width of a neural predictor's tables",
            flag="embedding_dim",
            example=100,
            chosen="100",
            at_least=1,
            at_most=65_536,
        ),
        steps=entry(
            int,
            "Minibatches of a neural predictor's fit",
            flag="train_iterations",
            example=100,
            chosen="its own",
            at_least=1,
            at_most=10_000_000,
        ),
        l2=entry(
            float,
            "Weight of the squares of a neural predictor's weights",
            flag="reg_param",
            example=1e-4,
            chosen="0",
            at_least=0,
        ),
    )
    acquisition: str | None = setting(
        "How predictions become choices: mean, optimistic, ei or thompson",
        chosen="mean; ei within a budget",
        choices="pronas.controller:ACQUISITIONS",
    )
    diversity: str | None = setting(
        "How children that are trained together are kept from being near copies: greedy (not at all), believer, liar, "
        "penalised or joint",
        chosen="greedy; believer within a budget",
        choices="pronas.controller:BATCHES",
    )
    objectives: tuple[str, ...] = setting(
        "accuracy, or the front of accuracy and costs: accuracy,parameters, …",
        ("accuracy",),
        choices="pronas.controller:OBJECTIVES",
    )
    metric: str | None = setting(
        "What children and epochs are compared by: accuracy, balanced-accuracy (mean recall of classes) or macro-f1",
        chosen="accuracy",
        choices="pronas.metrics:METRICS",
        train=True,
    )
    class_weights: str | None = setting(
        "What images weigh in the loss: balanced (by the inverse frequency of their class)",
        chosen="all the same",
        choices=("balanced",),
        train=True,
    )
    skips: bool = setting("Last, try skip connections between the cells of the best network", False)
    reuse: str | None = setting(
        "Take results of identical children (cell, skeleton, recipe, images) from this run",
        chosen="none",
        path=True,
        example="pronas-run",
    )
    warm_start: str | None = setting(
        "Rewards known from a file (train_history.csv, scores_B.csv, architectures/NAME.txt), whose cells are children",
        chosen="none",
        example="train_history.csv",
        path=True,
    )
    early_stop: int | None = setting(
        "Successive halving: in the end the best one in so many trains so many times longer",
        panel=_CHILDREN,
        chosen="off",
        at_least=2,
        at_most=_MOST,
        example=3,
    )
    inherit: int | None = setting(
        "From level 2 on, start from the parent's weights and train for so many epochs",
        panel=_CHILDREN,
        chosen="off",
        at_least=1,
        at_most=1_000_000,
        unit="epochs",
        example=2,
    )
