"""What is done with a budget of time: how many children, how long each, how large the winner, how long it trains."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, final

from pronas.runs._duration import spelled
from pronas.runs._pace import team_speed

#: Shares of the budget: (up to so many seconds, search, trials of the finalists); the winner has the rest.
_SHARES = ((150.0, 0.26, 0.09), (600.0, 0.26, 0.12), (math.inf, 0.28, 0.12))
_RESERVE = 0.02  # for the end: testing, saving, what the clock did not foresee
_LEAST_LEFT = 0.25  # planned with, even where loading has taken more: late is better than no answer
_SHAPES = 2  # trials before the search, of a child's length (`pronas.runs._trials`)
_FINALISTS = 3  # trials after it
#: Passes of the winner over its images from which an augmentation is worth more than a short trial shows.
ENOUGH_PASSES = {"flip": 12, "lighting": 40, "crop": 40}
_LONGER = 2.0  # times a child's training: what a finalist's must be to tell more
# The best cost of the winner, found for 5,500 and 55,000 images (docs/experiments.md): this many times the root of the
# compute there is, over the fourth root of the number of images. More time goes to size and passes alike.
_COST = 45.0
_LEAST_STEPS = 12  # of a child
_LEAST_EPOCHS = 4  # of a child and a trial, where that leaves them some steps each


@final
@dataclass(frozen=True)
class Plan:
    """How a budget is spent. Plain numbers, kept in the store: a resumed run goes by the plan that it began with.

    Attributes:
        budget: seconds in all.
        search, trials: seconds, counted from the beginning, at which the search and the trials should be over.
        cost: of training the networks compared on one image (`pronas.runs._sizing.training_cost`).
        first: children of level 1.
        children: of each further level.
        levels: of the search.
        child_images: images that a child of that cost learns from.
        finalists: children that train again, longer; 1: none, the trials of recipes are as long as the children.
        trial_images: images that a finalist of that cost learns from in a trial.
        final_images: images that the winner learns from, as far as one can tell.
        speed: of one thread: costs of images trained a second.
        macs: multiply-accumulates of a hand-made network of that cost, to tell.
    """

    budget: float
    search: float
    trials: float
    cost: float
    first: int
    children: int
    levels: int
    child_images: int
    finalists: int
    trial_images: int
    final_images: int
    speed: float
    macs: float = math.nan

    def to_dict(self) -> dict[str, Any]:
        """Give plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any] | None) -> Plan | None:
        """Read ``to_dict``'s form; None where there is no plan, or one of another version."""
        fields = {field.name for field in dataclasses.fields(cls)}
        if stored is None or set(stored) != fields or any(stored[name] is None for name in fields - {"macs"}):
            return None
        return cls(**{**stored, "macs": math.nan if stored["macs"] is None else stored["macs"]})

    def length(self, images: int, cost: float, available: int, batch: int) -> dict[str, int]:
        """The length of a child or a trial, as fields of a recipe: a cheaper network sees more images in the same time.

        Args:
            images: that a network of the plan's cost learns from.
            cost: of this one.
            available: images in the training set.
            batch: images a step.
        """
        equal = int(images * self.cost / cost)
        epochs, part = epochs_of(equal, available, least=_LEAST_EPOCHS, batch=batch)
        return {"epochs": epochs, "images": part}

    @property
    def trainings(self) -> int:
        """Trials in all, at the most."""
        return _SHAPES + (self.finalists if self.finalists > 1 else 0) + len(ENOUGH_PASSES) + 1

    def lines(self, images: int) -> list[str]:
        """Say the plan in a few lines; ``images``: of the training set."""
        passes = self.final_images / images
        further = f", then {self.children} at each of levels 2 to {self.levels}" if self.levels > 1 else ""
        return [
            f"plan: {spelled(self.budget)} in all; search until {spelled(self.search)}, trials of the finalists until "
            f"{spelled(self.trials)}, then the winner",
            f"plan: {self.first} children at level 1{further}; each learns from about {self.child_images:,} images",
            f"plan: networks as fast as a ResNet of {self.macs / 1e6:.1f} M multiply-accumulates; "
            f"about {passes:.0f} passes over {images:,} images for the winner",
        ]


def make_plan(
    budget: float, spent: float, *, speed: float, workers: int, threads: int, images: int, batch: int, levels: int,
    most_cost: float = math.inf,
) -> Plan:  # fmt: skip
    """Plan a budget.

    Args:
        budget: seconds in all.
        spent: of them, by now.
        speed: costs of images that one thread trains a second, measured.
        workers: children trained at once, a thread each.
        threads: that train the winner.
        images: in the training set.
        batch: images a step.
        levels: blocks that a cell may have.
        most_cost: of the largest network that may ship.
    """
    search_share, trial_share = next(shares for most, *shares in _SHARES if budget <= most)
    left = max(budget * (1 - _RESERVE) - spent, budget * _LEAST_LEFT)
    search, trials = left * search_share, left * trial_share
    final = left - search - trials
    compute = final * speed * team_speed(threads)
    cost = min(most_cost, _COST * math.sqrt(compute) / images**0.25)
    count = max(4, min(512, round(4 * (budget / 60) ** 0.45 * (workers / 2) ** 0.5)))
    levels = min(levels, 1 if count < 6 else 2 if count < 14 else levels)
    first = count if levels == 1 else max(4, count // 2)
    children = 0 if levels == 1 else max(2, (count - first) // (levels - 1))
    total = first + children * (levels - 1)

    def images_in(seconds: float, networks: int) -> int:
        return max(_LEAST_STEPS * batch, int(0.85 * seconds * workers / networks * speed / cost))

    final_images = int(compute / cost)
    variants = len(worth_trying(final_images / images)) + 1  # and a lower rate
    child_images = images_in(search, total + _SHAPES)
    trial_images = images_in(trials, _FINALISTS + variants)
    longer = trial_images >= _LONGER * child_images
    if not longer:  # a trial as long as a child's training would only repeat it
        child_images = trial_images = images_in(search + trials, total + _SHAPES + variants)
    return Plan(
        budget=budget,
        search=spent + search,
        trials=spent + search + trials,
        cost=cost,
        first=first,
        children=children,
        levels=levels,
        child_images=child_images,
        finalists=_FINALISTS if longer else 1,
        trial_images=trial_images,
        final_images=final_images,
        speed=speed,
    )


def worth_trying(passes: float) -> list[str]:
    """Return the augmentations that so many passes of the winner over its images may be long enough for.

    >>> worth_trying(8)
    ['flip']
    """
    return [what for what, enough in ENOUGH_PASSES.items() if passes >= enough / 2]


def epochs_of(images: int, available: int, *, least: int, batch: int) -> tuple[int, int]:
    """Divide a training on so many ``images`` into epochs: (epochs, images an epoch, of those ``available``).

    There are at least ``least`` epochs where that leaves four steps each, so that the schedule's end is looked at.
    """
    passes = images / available
    epochs = max(round(passes), min(least, images // (4 * batch)), 1)
    return epochs, max(batch, min(available, round(images / epochs)))
