"""What was given by hand beside a budget is obeyed, and the rest of the plan fitted around it."""

from __future__ import annotations

import math
from dataclasses import replace

from pronas.errors import SettingError
from pronas.runs._config import Config
from pronas.runs._duration import spelled
from pronas.runs._plan import Plan

_LEAST_CHILDREN = 2
_LEAST_SEARCH = 0.05  # of the budget, which a search must have for itself


def obeying(plan: Plan, config: Config, *, images: int, available: int, workers: int, cost: float) -> Plan:
    """Return ``plan`` with the epochs and the filters that were given.

    Args:
        plan: made as if nothing had been given.
        config: resolved; ``search.by_hand`` says what was given.
        images: to train children with.
        available: to train the winner with.
        workers: children trained at once.
        cost: of training on one image, of a hand-made network with the filters that were given, or with the widest.

    Raises:
        SettingError: the winner alone takes longer than the budget; the message says what it takes.
    """
    given = config.search.by_hand
    if "filters" in given:
        plan = _costing(plan, cost)
    if config.final.epochs == 0:
        plan = replace(plan, search=plan.budget * 0.97, trials=plan.budget * 0.97, final_images=0)
    elif "final_epochs" in given:
        plan = _winner(plan, available * (config.final.epochs or 1), planned="filters" not in given)
    if "epochs" in given:
        plan = _children(plan, images * (config.children.epochs or 1), workers, config)
    return plan


def _costing(plan: Plan, cost: float) -> Plan:
    """With networks of another cost: in the same time they see fewer images, or more."""
    share = plan.cost / cost
    parts = {
        name: max(1, int(getattr(plan, name) * share)) for name in ("child_images", "trial_images", "final_images")
    }
    return replace(plan, cost=cost, **parts)


def _winner(plan: Plan, images: int, *, planned: bool) -> Plan:
    """With a winner that learns from so many images: networks as small as that takes, or the search as short."""
    seconds = (plan.budget - plan.trials) * images / max(1, plan.final_images)
    if planned and seconds > plan.budget - plan.trials:
        return replace(_costing(plan, plan.cost * plan.final_images / images), final_images=images)
    trials = plan.budget - seconds
    if trials < _LEAST_SEARCH * plan.budget:
        least = spelled(seconds / (1 - plan.trials / plan.budget))
        text = f"the winner alone takes {spelled(seconds)} of {spelled(plan.budget)}: give a budget of about {least}"
        raise SettingError(f"{text}, or fewer epochs", "budget")
    return replace(plan, search=plan.search * trials / plan.trials, trials=trials, final_images=images)


def _children(plan: Plan, images: int, workers: int, config: Config) -> Plan:
    """With children that learn from so many images: fewer of them, then smaller ones."""
    total = plan.first + plan.children * (plan.levels - 1)
    affordable = plan.child_images * total / images  # children, in the time that the search has
    if affordable < _LEAST_CHILDREN and "filters" not in config.search.by_hand:
        plan = _costing(plan, plan.cost * affordable / _LEAST_CHILDREN)
        affordable = float(_LEAST_CHILDREN)
    share = min(1.0, affordable / total)
    first, children = max(_LEAST_CHILDREN, math.floor(plan.first * share)), max(1, math.floor(plan.children * share))
    return replace(
        plan,
        first=plan.first if config.search.first is not None else first,
        children=plan.children if config.search.children is not None or plan.levels == 1 else children,
        child_images=images,
        trial_images=max(plan.trial_images, images),
    )
