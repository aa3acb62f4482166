"""Trials: the best children train longer, then the best of them with other recipes; the winner is trained accordingly.

Which augmentation helps depends on the images (a mirrored sign is another sign), which rate on their number and on the
network: a few short trainings on the validation split say it better than a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from pronas.data import Augmentation, Dataset, default_augmentation
from pronas.metrics import standard_error
from pronas.networks import Skeleton
from pronas.runs._clock import Clock
from pronas.runs._events import note
from pronas.runs._plan import Plan, epochs_of
from pronas.runs._signal import signal
from pronas.runs._store import Store
from pronas.space import Cell
from pronas.training import ChildResult, NetworkManager, Recipe, Trial

_FINALISTS = 3
_SLOWER = 0.4  # of the rate
_ENOUGH_PASSES = 12  # of the winner over its images, from which augmentation is worth more than a short trial shows


@dataclass(frozen=True)
class Finding:
    """What one trial found. Plain data.

    Attributes:
        cell: its text.
        what: ``cell`` for a finalist with the usual recipe, else what its recipe changed.
        recipe: the fields of the recipe that differed.
        accuracy: of validation images.
        signal: see `pronas.runs._signal`.
        seconds: it took.
    """

    cell: str
    what: str
    recipe: dict[str, Any]
    accuracy: float
    signal: float
    seconds: float


@dataclass(frozen=True)
class Verdict:
    """What the winner is and how it is trained: its cell, the fields of the recipe that differ from the usual, and the
    accuracy of validation images in its best trial."""

    cell: Cell
    recipe: dict[str, Any]
    accuracy: float


class Trials:
    """Runs the trials of a search; each finding is in the store before it counts, and none is run twice.

    Args:
        store: of the run.
        manager: trains.
        dataset: the images.
        recipe: the usual one.
        plan: of the run.
        clock: of the run; trials end early when their time is up.
        skeleton: gives a cell's network that ships.
        emit: told of each finding.
        keep: given the weights of the best finding so far.
    """

    def __init__(
        self, store: Store, manager: NetworkManager, dataset: Dataset, recipe: Recipe, plan: Plan, clock: Clock,
        skeleton: Callable[[Cell], Skeleton], emit: Callable[[dict[str, Any]], object],
        keep: Callable[[bytes], object],
    ) -> None:  # fmt: skip
        self._store, self._manager, self._dataset, self._recipe = store, manager, dataset, recipe
        self._plan, self._clock, self._skeleton, self._emit, self._keep = plan, clock, skeleton, emit, keep
        self._found = [Finding(**entry) for entry in store.meta("trials") or []]
        self._images = len(dataset.train)

    def decide(self, ranked: Sequence[Cell]) -> Verdict:
        """Return the winner among the best children, best first, and its recipe."""
        finalists = list(ranked[:_FINALISTS])
        if len(finalists) > 1:
            self._run([("cell", cell, {}) for cell in finalists])
        firsts = [one for one in self._found if one.what == "cell"]
        best = max(firsts, key=lambda one: one.signal, default=None)
        cell = Cell.parse(best.cell) if best else finalists[0]
        variants = self._variants()
        if best is not None and not self._late:
            self._run([(what, cell, recipe) for what, recipe in variants.items()])
        kept = max(self._found, key=lambda one: one.signal, default=None)
        return Verdict(cell, self._chosen(best, variants), kept.accuracy if kept else 0.0)

    @property
    def _late(self) -> bool:
        return self._clock.spent > self._plan.trials

    def _variants(self) -> dict[str, dict[str, Any]]:
        """The recipes to try, by what they change."""
        slower = {"learning_rate": self._recipe.learning_rate * _SLOWER}
        if not isinstance(self._recipe.augmentation, Augmentation):
            return {"rate": slower}  # a recipe without augmentation is left so: binary networks are not helped by it
        light = self._recipe.augmentation
        wide = default_augmentation(self._dataset).crop
        found: dict[str, dict[str, Any]] = {"flip": _augmented(replace(light, flip=True)), "rate": slower}
        if wide > light.crop:
            found["crop"] = _augmented(replace(light, crop=wide))
        return found

    def _run(self, asked: Sequence[tuple[str, Cell, dict[str, Any]]]) -> None:
        known = {(one.cell, one.what) for one in self._found}
        todo = [one for one in asked if (str(one[1]), one[0]) not in known]
        batch = self._recipe.batch
        epochs, images = epochs_of(self._plan.trial_images, self._images, least=5, batch=batch)
        length = {"epochs": epochs, "images": images}
        trials = [
            Trial(cell, {**length, **recipe}, self._skeleton(cell), keep_weights=True) for _, cell, recipe in todo
        ]
        for index, result in self._manager.trials(trials):
            self._clock.record()
            if isinstance(result, ChildResult):
                self._record(*todo[index], result)
            elif self._clock.spent > self._plan.trials * 1.1:
                break  # the machine has become slower than planned: what was found must do

    def _record(self, what: str, cell: Cell, recipe: dict[str, Any], result: ChildResult) -> None:
        value = signal(result.reward, result.metrics) if result.status == "done" else 0.0
        if result.weights is not None and all(value > one.signal for one in self._found):
            self._keep(result.weights)
        self._found.append(Finding(str(cell), what, recipe, result.reward, value, result.seconds))
        self._store.set_meta(trials=[asdict(one) for one in self._found])
        self._emit(note(f"trial: {_WORDS[what]} {result.reward:.2%} ({value:.4f}), {cell}"))

    def _chosen(self, best: Finding | None, variants: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """The fields of the recipe that the findings speak for, together."""
        found = {one.what: one for one in self._found if best is not None and one.cell == best.cell}
        chosen: dict[str, Any] = {}
        for what, recipe in variants.items():
            if best is None or what not in found or not self._helps(what, found[what], best):
                continue
            both = {**chosen, **recipe}
            if "augmentation" in chosen and "augmentation" in recipe:  # flips and wider crops together
                both["augmentation"] = {**recipe["augmentation"], "flip": True}
            chosen = both
        return chosen

    def _helps(self, what: str, found: Finding, best: Finding) -> bool:
        gain = found.signal - best.signal
        if what == "rate":
            return gain > 0
        long = self._plan.final_images / self._images >= _ENOUGH_PASSES
        doubt = standard_error(best.accuracy, len(self._dataset.validation))
        return gain > -doubt / 2 if long else gain > 0


_WORDS = {"cell": "finalist", "flip": "with mirrored images", "rate": "with a lower rate", "crop": "with wider crops"}


def _augmented(augmentation: Augmentation) -> dict[str, Any]:
    return {"augmentation": asdict(augmentation)}
