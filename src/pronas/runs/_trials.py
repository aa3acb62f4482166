"""Trials: a hand-made network in several outer shapes, before the search; after it the best children, longer, then the
best of them with other recipes. The winner is built and trained accordingly.

Where a network should make its maps smaller depends on the images and on the time, which augmentation helps on the
images (a mirrored sign is another sign), which rate on their number: a few short trainings on the validation split say
it better than a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from pronas.data import Augmentation, Dataset, default_augmentation
from pronas.metrics import standard_error
from pronas.runs._clock import Clock
from pronas.runs._events import note
from pronas.runs._plan import ENOUGH_PASSES, Plan, worth_trying
from pronas.runs._signal import signal
from pronas.runs._sizing import Sizer
from pronas.runs.store import Store
from pronas.space import Cell
from pronas.training import ChildResult, NetworkManager, Recipe, Trial

_SLOWER = 0.4  # of the rate
_LIGHTING = {"brightness": 0.2, "contrast": 0.3}
_HARMLESS = 1.1  # times what is missing of the signal: so much every augmentation costs a short training
_AS_COSTLY = 0.6  # of the usual shape's cost, from which a shape is compared in equal time


@dataclass(frozen=True)
class Finding:
    """What one trial found. Plain data.

    Attributes:
        cell: its text.
        what: ``shape`` for the hand-made network before the search, ``cell`` for a finalist with the usual recipe, else
            what its recipe changed.
        recipe: the fields of the recipe that differed.
        accuracy: of validation images.
        signal: see `pronas.runs._signal`.
        seconds: it took.
        shape: the outer shape's name; "" for the usual one.
    """

    cell: str
    what: str
    recipe: dict[str, Any]
    accuracy: float
    signal: float
    seconds: float
    shape: str = ""


@dataclass(frozen=True)
class _Asked:
    """What one trial is to train."""

    what: str
    cell: Cell
    recipe: dict[str, Any]
    shape: str

    def known(self, findings: Sequence[Finding]) -> bool:
        key = (str(self.cell), self.what, self.shape)
        return any((one.cell, one.what, one.shape) == key for one in findings)


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
        sizers: give a cell's network that ships, by the name of the outer shape.
        emit: told of each finding.
        keep: given the weights of the best finding so far.
    """

    def __init__(
        self, store: Store, manager: NetworkManager, dataset: Dataset, recipe: Recipe, plan: Plan, clock: Clock,
        sizers: Mapping[str, Sizer], emit: Callable[[dict[str, Any]], object],
        keep: Callable[[bytes], object],
    ) -> None:  # fmt: skip
        self._store, self._manager, self._dataset, self._recipe = store, manager, dataset, recipe
        self._plan, self._clock, self._sizers, self._emit, self._keep = plan, clock, sizers, emit, keep
        self._found = [Finding(**entry) for entry in store.meta("trials") or []]
        self._images = len(dataset.train)
        self.shapes: dict[str, ChildResult] = {}  # what the trials of shapes gave in this process

    def shape(self, cell: Cell) -> str:
        """Return the outer shape in which a hand-made network learns best in equal time."""
        self._run([_Asked("shape", cell, {}, name) for name in self._sizers])
        found = [one for one in self._found if one.what == "shape"]
        if len(found) < len(self._sizers):
            return ""
        return best_shape(
            {one.shape: one.signal for one in found}, {name: one.cost(cell) for name, one in self._sizers.items()}
        )

    def decide(self, ranked: Sequence[Cell], child: Finding) -> Verdict:
        """Return the winner among the best children, best first, and its recipe.

        Args:
            ranked: the children's cells.
            child: what the first of them has shown.
        """
        finalists, shape = ranked[: self._plan.finalists], child.shape
        if len(finalists) > 1:
            self._run([_Asked("cell", cell, {}, shape) for cell in finalists])
        firsts = [one for one in self._found if one.what == "cell"]
        best = max(firsts, key=lambda one: one.signal, default=child)
        cell = Cell.parse(best.cell)
        variants = self._variants()
        if not self._late:
            self._run([_Asked(what, cell, self._changed(change), shape) for what, change in variants.items()])
        tried = [one for one in self._found if one.what != "shape"]
        kept = max(tried, key=lambda one: one.signal, default=best)
        return Verdict(cell, self._chosen(best, variants), kept.accuracy)

    @property
    def _late(self) -> bool:
        return self._clock.spent > self._plan.trials

    def _variants(self) -> dict[str, dict[str, Any]]:
        """What to try, by name: fields of the recipe, or of its augmentation."""
        slower = {"learning_rate": self._recipe.learning_rate * _SLOWER}
        light = self._recipe.augmentation
        if not isinstance(light, Augmentation):
            return {"rate": slower}  # a recipe without augmentation is left so: binary networks are not helped by it
        wide = default_augmentation(self._dataset).crop
        changes: dict[str, dict[str, Any]] = {"flip": {"flip": True}, "lighting": _LIGHTING}
        if wide > light.crop:
            changes["crop"] = {"crop": wide}
        return {what: changes[what] for what in worth_trying(self._passes) if what in changes} | {"rate": slower}

    @property
    def _passes(self) -> float:
        return self._plan.final_images / self._images

    def _changed(self, what: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a recipe that has what was tried."""
        recipe = {name: value for name, value in what.items() if name == "learning_rate"}
        augmented = {name: value for name, value in what.items() if name != "learning_rate"}
        if augmented and isinstance(self._recipe.augmentation, Augmentation):
            recipe["augmentation"] = asdict(replace(self._recipe.augmentation, **augmented))
        return recipe

    def _run(self, asked: Sequence[_Asked]) -> None:
        todo = [one for one in asked if not one.known(self._found)]
        for index, result in self._manager.trials([self._trial(one) for one in todo]):
            self._clock.record()
            if isinstance(result, ChildResult):
                self._record(todo[index], result)
                continue
            if self._clock.spent > self._plan.trials * 1.1:
                break  # the machine has become slower than planned: what was found must do
            self._emit({"event": "trial", "what": todo[index].what, "epoch": result.epoch, "epochs": result.epochs})

    def _trial(self, asked: _Asked) -> Trial:
        """As many images as there is time for: a faster network sees more of them."""
        sizer, batch = self._sizers[asked.shape], self._recipe.batch
        length = self._plan.length(self._plan.trial_images, sizer.cost(asked.cell), self._images, batch)
        recipe = {**length, **asked.recipe}
        return Trial(asked.cell, recipe, sizer.skeleton(asked.cell), keep_weights=asked.what != "shape")

    def _record(self, asked: _Asked, result: ChildResult) -> None:
        value = signal(result.reward, result.metrics) if result.status == "done" else 0.0
        if asked.what == "shape":
            self.shapes[asked.shape] = result
        if result.weights is not None and all(value > one.signal for one in self._found if one.what != "shape"):
            self._keep(result.weights)
        found = Finding(
            str(asked.cell), asked.what, asked.recipe, result.reward, value, result.seconds, asked.shape
        )  # fmt: skip
        self._found.append(found)
        self._store.set_meta(trials=[asdict(one) for one in self._found])
        words = _WORDS[asked.what] + (f" {asked.shape or 'usual'}" if asked.what == "shape" else "")
        self._emit(note(f"trial: {words} {result.reward:.2%} ({value:.4f}), {asked.cell}", detail=True))

    def _chosen(self, best: Finding, variants: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """The fields of the recipe that the findings speak for, together."""
        same = [one for one in self._found if (one.cell, one.shape) == (best.cell, best.shape)]
        found = {one.what: one for one in same}
        helping = [
            change for what, change in variants.items() if what in found and self._helps(what, found[what], best)
        ]
        return self._changed({name: value for change in helping for name, value in change.items()})

    def _helps(self, what: str, found: Finding, best: Finding) -> bool:
        error = standard_error(best.accuracy, len(self._dataset.validation))
        if what == "rate":  # the usual one was found on many sets; this trial is one
            return found.signal - best.signal > error / 2
        if self._passes < ENOUGH_PASSES[what]:
            return found.signal > best.signal
        # of few images the best child's is the luckiest signal, and no trial's has to come up to it
        return best.signal - found.signal < max(error, (_HARMLESS - 1) * (1 - best.signal))


_WORDS = {
    "shape": "shape",
    "cell": "finalist",
    "flip": "with mirrored images",
    "rate": "with a lower rate",
    "crop": "with wider crops",
    "lighting": "with other brightness and contrast",
}


def best_shape(signals: Mapping[str, float], costs: Mapping[str, float]) -> str:
    """Return the outer shape to search in.

        >>> best_shape({"": 0.34, "early": 0.32}, {"": 7e6, "early": 6e6})
        'early'
        >>> best_shape({"": 0.34, "early": 0.32}, {"": 7e6, "early": 2e6})
        ''

    Smaller maps won every long training in equal time, also where they had lost the short one, so that they are left
    for a clear loss alone (docs/experiments.md); not where a limit keeps their networks from being as costly.

    Args:
        signals: of each shape's short training, by its name; "" is the usual one.
        costs: of training each one's network on one image.
    """

    def missing(shape: str) -> float:
        as_costly = shape and costs[shape] > _AS_COSTLY * costs[""]
        return (1 - signals[shape]) / (_HARMLESS if as_costly else 1)

    return min(signals, key=missing)
