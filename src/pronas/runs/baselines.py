"""``baseline``: hand-made networks trained on a run's images, under its limits, for as long as it took."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from pronas.errors import RunError, SettingError, UsageError, nearest
from pronas.machine import cores
from pronas.networks import Description, Reference, Skeleton, describe, references
from pronas.runs._choose import skeleton_of
from pronas.runs._comparison import Comparison, comparison
from pronas.runs._config import Config, LimitConfig
from pronas.runs._constraints import Constraints
from pronas.runs._disk import disk_errors
from pronas.runs._duration import problem_with, seconds_of, spelled
from pronas.runs._events import SearchStoppedError, note
from pronas.runs._experiment import Experiment
from pronas.runs._held_out import divided_as
from pronas.runs._images import stored_dataset
from pronas.runs._lock import RunLock
from pronas.runs._open import check_dataset
from pronas.runs._pace import slowing, team_speed, until
from pronas.runs._parse import Path_
from pronas.runs._plan import epochs_of
from pronas.runs._resolve import final_device
from pronas.runs._sizing import Sizer
from pronas.runs._voice import Emit, Voice
from pronas.runs.store import Store
from pronas.training import Recipe, TrainedNetwork, evaluate, images_per_second, save_model, train_network
from pronas.training import recipe as named_recipe

if TYPE_CHECKING:
    from pronas.data import Dataset

__all__ = ["baseline", "comparison", "recipes", "sized", "spent"]

MODEL = Path("weights") / "baseline"
_LEAST_STEPS = 60
_RESERVE = 0.03  # of the time: for what the clock does not foresee


@final
@dataclass(frozen=True)
class Baseline:
    """What became of one hand-made network with one recipe. Plain data.

    Attributes:
        name: of the network (`pronas.networks.references`).
        recipe: what its images are augmented with: ``none``, ``light`` or ``standard``.
        allowed: seconds that it was given.
        seconds: that it took, testing included.
        test_accuracy: 0 to 1.
        epochs: passes over the images.
        parameters, macs, weight_bits: of the network, as sized to the run's limits.
    """

    name: str
    recipe: str
    allowed: float
    seconds: float
    test_accuracy: float
    epochs: int
    parameters: int
    macs: int
    weight_bits: int


def baseline(
    run: Path_,
    dataset: Dataset | None = None,
    *,
    budget: str | None = None,
    only: Sequence[str] | None = None,
    on_event: Emit | None = None,
) -> Comparison:
    """Train hand-made networks on a finished run's images, and compare the search's winner with the best of them.

    Each has the run's whole time, twice: with light and with standard augmentation (binary ones: none and light). Under
    limits they are as wide as these allow, else as published. They learn from training and validation images, and are
    tested once. Each result is in the run's store before the next begins: the same call again goes on. The best one's
    weights are ``weights/baseline.*``.

    Args:
        run: the run folder.
        dataset: the run's images, where it was given them in memory.
        budget: time for each training, such as ``10m``; default: what the run took in all.
        only: names of networks; default: all of the run's kind.
        on_event: told what happens; see ``search``.

    Returns:
        The difference in points with its standard error, and each network's result.

    Raises:
        RunError: there is no run, it is not finished, it is in use, or the images are others.
        DataError: its images are not where they were.
        UsageError: an unknown network, a budget that makes no sense, or limits that none of them meets.
    """
    experiment = Experiment(run)
    if experiment.state != "done" or experiment.final is None:
        raise RunError(f"{experiment.path}: its winner is not trained yet; run the search to its end first")
    if budget is not None and (problem := problem_with(budget)):
        raise SettingError(f"budget {problem}", "budget")
    seconds = spent(experiment) if budget is None else seconds_of(budget)
    chosen = _chosen(only, binary=skeleton_of(experiment.config.final).binary)
    images = divided_as(experiment.config, dataset) if dataset else stored_dataset(experiment.path)
    check_dataset(experiment.path, experiment.meta("dataset"), images)
    networks = list(sized(chosen, images, experiment.config.limits))
    if not networks:
        raise UsageError("no hand-made network is within the run's limits, however narrow")
    with RunLock(experiment.path):
        store = Store(experiment.path)
        try:
            _Baselines(experiment, images, store, seconds, Voice(on_event or (lambda event: None))).run(networks)
        except SearchStoppedError:
            pass
        finally:
            store.close()
    found = experiment.comparison
    if found is None:
        raise RunError(f"{experiment.path}: stopped before a hand-made network was trained; call it again to go on")
    return found


def spent(experiment: Experiment) -> float:
    """Seconds that a finished run took: by its clock, or, where it had none, children's and winner's together."""
    if (known := experiment.meta("spent")) is not None:
        return float(known)
    workers = experiment.config.execution.workers or cores()
    children = sum(child.seconds or 0.0 for child in experiment.children())
    return children / workers + float((experiment.final or {}).get("seconds", 0.0))


def _chosen(only: Sequence[str] | None, *, binary: bool) -> list[Reference]:
    known = {one.name: one for one in references(binary=binary)}
    for name in only or ():
        if name not in known:
            text = f"no hand-made network of this kind is called {name!r}{nearest(name, known)}"
            raise SettingError(f"{text} (there are {', '.join(known)})", "only")
    return [known[name] for name in only or known]


def sized(chosen: Sequence[Reference], data: Dataset, limits: LimitConfig) -> Iterator[tuple[Reference, Skeleton]]:
    """Each with its skeleton: the widest within the limits, or as published; without those that cannot be met."""
    shape, classes = data.input_shape, len(data.classes)
    for one in chosen:
        if not Constraints(one.skeleton, shape, classes, limits).limited:
            yield one, one.skeleton
            continue
        skeleton = Sizer(one.skeleton, shape, classes, limits, math.inf).skeleton(one.cell)
        if Constraints(skeleton, shape, classes, limits).feasible([one.cell])[0]:
            yield one, skeleton


class _Baselines:
    """Trains them one after another."""

    def __init__(self, experiment: Experiment, data: Dataset, store: Store, seconds: float, emit: Emit) -> None:
        self._experiment, self._config, self._data = experiment, experiment.config, data
        self._store, self._seconds, self._emit = store, seconds, emit
        self._found = [Baseline(**one) for one in store.meta("baselines") or []]

    def run(self, sized: Sequence[tuple[Reference, Skeleton]]) -> None:
        asked = [(one, skeleton, *two) for one, skeleton in sized for two in recipes(self._config, skeleton.binary)]
        known = {(one.name, one.recipe) for one in self._found if math.isclose(one.allowed, self._seconds)}
        todo = [one for one in asked if (one[0].name, one[2]) not in known]
        if todo:
            each = spelled(self._seconds)
            self._emit(note(f"{len(todo)} trainings of hand-made networks, {each} each"))
        for one, skeleton, name, recipe in todo:
            found, trained = self._trained(one, skeleton, name, recipe)
            self._keep(found, trained)
            size = f"{found.parameters:,} parameters, {spelled(found.seconds)}"
            self._emit(note(f"{one.name}, {name} augmentation: {found.test_accuracy:.2%} ({size})"))
        if (made := self._experiment.comparison) is not None:
            self._emit(note(made.text))

    def _keep(self, found: Baseline, trained: TrainedNetwork) -> None:
        best = all(found.test_accuracy > other.test_accuracy for other in self._found)
        self._found.append(found)
        if best:
            with disk_errors(self._experiment.path):
                metrics = {"test_accuracy": found.test_accuracy}
                spec = dataclasses.replace(trained.spec, metrics=metrics)
                save_model(trained.network, self._experiment.path / MODEL, spec)
        plain = [asdict(one) for one in self._found]
        made = comparison(self._experiment.final or {}, plain, len(self._data.test))
        self._store.set_meta(baselines=plain, comparison=asdict(made))

    def _trained(
        self, one: Reference, skeleton: Skeleton, name: str, recipe: Recipe
    ) -> tuple[Baseline, TrainedNetwork]:
        start = time.monotonic()
        trained = slowing(lambda recipe: self._train(one, skeleton, recipe, start), recipe, times=1)
        accuracy = evaluate(trained.network, self._data.test).accuracy
        size: Description = describe(one.cell, skeleton, self._data.input_shape, len(self._data.classes))
        found = Baseline(
            one.name, name, self._seconds, time.monotonic() - start, accuracy, len(trained.curves["loss"]),
            size.parameters, size.macs + size.binary_macs, size.weight_bits,
        )  # fmt: skip
        return found, trained

    def _train(self, one: Reference, skeleton: Skeleton, recipe: Recipe, start: float) -> TrainedNetwork:
        """For the time that is left since ``start``."""
        data, config = self._data, self._config
        threads = config.execution.threads or 1
        network = skeleton.build(one.cell, data.input_shape, len(data.classes))
        rate = images_per_second(network, data, recipe, seconds=min(2.0, self._seconds / 30))
        end = start + self._seconds * (1 - _RESERVE) - len(data.test) / (3 * rate)
        images = max(_LEAST_STEPS * recipe.batch, int((end - time.monotonic()) * rate * team_speed(threads)))
        epochs, part = epochs_of(images, len(data.train) + len(data.validation), least=8, batch=recipe.batch)
        return train_network(
            one.cell, data, skeleton, recipe.replace(epochs=epochs, images=part), seed=config.seed, use_validation=True,
            replan=until(lambda: end - time.monotonic(), least=math.ceil(_LEAST_STEPS * recipe.batch / part)),
            threads=config.execution.threads, device=final_device(config),
        )  # fmt: skip


def recipes(config: Config, binary: bool) -> list[tuple[str, Recipe]]:
    """The recipes that each hand-made network is trained with, by what they augment images with."""
    judged = {"metric": config.search.metric, "class_weights": config.search.class_weights}
    base = named_recipe("timed-final", binary=binary, batch=config.final.batch)
    base = base.replace(**{name: value for name, value in judged.items() if value is not None})
    names = ("none", "light") if binary else ("light", "standard")
    return [(name, base.replace(augmentation=None if name == "none" else name)) for name in names]
