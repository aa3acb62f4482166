"""A search within a budget of time: the progressive loop by a plan and a clock, trials of the finalists, the winner.

What the clock decided is in the store: proposals as children, the plan, the trials' findings and the winner's length. A
resumed run goes by them, with the time that was left.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from pronas.controller import ControllerManager
from pronas.errors import RunError, SettingError
from pronas.machine import cores
from pronas.metrics import standard_error
from pronas.networks import Skeleton, describe, references
from pronas.runs import final_training
from pronas.runs._by_hand import obeying
from pronas.runs._choose import recipe_of, skeleton_of
from pronas.runs._clock import Clock
from pronas.runs._config import LimitConfig
from pronas.runs._constraints import Constraints
from pronas.runs._driver import Driver, make_manager
from pronas.runs._duration import seconds_of, spelled
from pronas.runs._events import note
from pronas.runs._open import Run
from pronas.runs._pace import slowing, team_speed, until
from pronas.runs._plan import Plan, epochs_of, make_plan
from pronas.runs._resolve import make_controller
from pronas.runs._rounds import Evaluator
from pronas.runs._signal import is_luck, signal
from pronas.runs._sizing import WIDTHS, Sizer, training_cost
from pronas.runs._trials import Finding, Trials, Verdict
from pronas.runs.fallback import FALLBACK, Fallback, keep_fallback
from pronas.runs.final_training import CHECKPOINT
from pronas.runs.store import Child
from pronas.space import Cell
from pronas.training import ChildResult, NetworkManager, Recipe, Replan, images_per_second

_LEAST_STEPS = 60  # of the winner, however late it is: fewer make no network
_MEASURED_COST = 2e7  # about ResNet-8: the speed is measured with a network of ordinary size
_LEAST_SHARE = 0.2  # of the winner's time that it has after the earliest end of a search
_END = 1.0  # seconds that testing and saving take at the least


#: The blocks of hand-made networks that are cells of the usual spaces, besides the reference networks' own.
_SIMPLE = tuple(
    Cell.parse(text).canonical()
    for text in (
        *("0:3x3 mbconv3 + 0:identity", "0:3x3 conv + 0:identity", "0:3x3 dconv + 0:identity"),
        *("0:3x3 bconv + 0:5x5 bconv", "0:3x3 bconv + 0:3x3 sep-bconv"),
    )
)


class TimedDriver(Driver):
    """Takes a run with a budget from where it stands to its end.

    Args:
        run: open.
        emit: told of everything, see ``docs/cli.md``.
        started: ``time.monotonic()`` when the work on it began.
    """

    def __init__(self, run: Run, emit: Callable[[dict[str, Any]], object], started: float) -> None:
        super().__init__(run, emit)
        assert self.config.search.budget is not None
        self.clock = Clock(run.store, seconds_of(self.config.search.budget), started)
        self.recipe = recipe_of(self.config.children).suited(self.dataset)
        self.plan = self._planned()
        self.sizers = {name: self._sizer(self.plan.cost, one) for name, one in self._shapes().items()}
        self.shape = self.run.store.meta("shape") or ""
        self._known: dict[str, ChildResult] = {}

    # -- the plan

    def _planned(self) -> Plan:
        known = Plan.from_dict(self.run.store.meta("plan"))
        if known is not None:
            return known
        plan = self._make_plan()
        self.run.store.set_meta(plan=plan.to_dict(), spent=self.clock.spent)
        for line in (*(f"plan: {text}" for text in self.problem.notes), *plan.lines(len(self.dataset.train))):
            self.emit(note(line))
        return plan

    def _make_plan(self) -> Plan:
        data = self.dataset
        cell, skeleton = self._reference()
        rate = self._measured(cell, skeleton)
        widest = self._cost(cell, self._sizer(math.inf).skeleton(cell))
        workers = self.config.execution.workers or cores()
        plan = make_plan(
            self.clock.budget, self.clock.spent, speed=rate, workers=workers,
            threads=self.config.execution.threads or 1, images=len(data.train), batch=self.recipe.batch,
            levels=self.space.B, most_cost=widest,
        )  # fmt: skip
        given = self.config.search  # what was said by hand is obeyed
        plan = obeying(
            plan, self.config, images=len(data.train), available=len(data.train) + len(data.validation),
            workers=workers, cost=widest,
        )  # fmt: skip
        network = describe(cell, self._sizer(plan.cost).skeleton(cell), data.input_shape, len(data.classes))
        plan = replace(
            plan,
            macs=network.macs + network.binary_macs,
            first=plan.first if given.first is None else given.first or len(self.space.level1()),
            children=plan.children if given.children is None else given.children,
        )
        self._refuse_too_short(plan)
        return plan

    def _refuse_too_short(self, plan: Plan) -> None:
        """Four steps of the winner are the least that makes a network."""
        needed, budget = 4 * self.recipe.batch, spelled(self.clock.budget)
        if not self.config.final.epochs or plan.final_images >= needed:
            return
        if "final_epochs" in self.config.search.by_hand:  # more time would not change it
            text = f"final_epochs: {self.config.final.epochs} of {plan.final_images} images in all are too few"
            raise SettingError(f"{text}: four steps take {needed:,}", "final_epochs")
        least = spelled(self.clock.budget * needed / max(1, plan.final_images))
        raise SettingError(f"a budget of {budget} is too small for one network: give about {least}", "budget")

    def _measured(self, cell: Cell, skeleton: Skeleton) -> float:
        """Costs of images that one thread trains a second."""
        data = self.dataset
        network = skeleton.build(cell, data.input_shape, len(data.classes))
        seconds = min(2.0, self.clock.budget / 60)
        return images_per_second(network, data, self.recipe, seconds=seconds) * self._cost(cell, skeleton)

    def _cost(self, cell: Cell, skeleton: Skeleton) -> float:
        return training_cost(cell, skeleton, self.dataset.input_shape, len(self.dataset.classes))

    def _reference(self) -> tuple[Cell, Skeleton]:
        """The first hand-made network of this space, within the limits as far as they can be met."""
        cell = self._reference_cells()[0]
        return cell, self._sizer(_MEASURED_COST).skeleton(cell)

    def _drawn(self) -> list[Cell]:
        """The hand-made networks' cells."""
        return [one.cell.canonical() for one in references(binary=skeleton_of(self.config.children).binary)]

    def _reference_cells(self) -> list[Cell]:
        """The hand-made networks' cells that the space holds; else one of its own, so that there is one."""
        cells = [cell for cell in dict.fromkeys((*self._drawn(), *_SIMPLE)) if self._holds(cell)]
        return cells or self.space.decode(self.space.level1()[:1])

    def _holds(self, cell: Cell) -> bool:
        names = {name for block in cell.blocks for name in (block.operator1, block.operator2)}
        return self.space.input_lookback_depth == 0 and names <= set(self.space.operators)

    def _shapes(self) -> dict[str, Skeleton]:
        """The outer shapes to choose from, by name; "" is the one that the settings say."""
        usual = skeleton_of(self.config.final)
        if self._fixed:
            return {"": usual}
        return {"": usual, **usual.shapes(self.dataset.input_shape)}

    def _sizer(self, most: float, skeleton: Skeleton | None = None) -> Sizer:
        data = self.dataset
        limits: LimitConfig = self.config.limits
        usual, widths = skeleton or skeleton_of(self.config.final), (1.0,) if self._fixed else WIDTHS
        return Sizer(usual, data.input_shape, len(data.classes), limits, most, widths)

    @property
    def _fixed(self) -> bool:
        """Whether the networks are as wide as somebody said."""
        return "filters" in self.config.search.by_hand

    @property
    def sizer(self) -> Sizer:
        """Of the shape that was chosen."""
        return self.sizers[self.shape]

    # -- the search

    def _manager(self) -> NetworkManager:
        return make_manager(self.problem, self.recipe)

    def _controller(self) -> ControllerManager:
        plan, given = self.plan, self.config.search
        config = replace(
            self.config,
            search=replace(given, first=plan.first, children=plan.children, rounds=self._rounds()),
        )
        data = self.dataset
        sized = Constraints(self.sizer.skeleton, data.input_shape, len(data.classes), self.config.limits)
        return make_controller(
            replace(self.problem, config=config), self.run.folder, levels=plan.levels, costs=sized
        )  # fmt: skip

    def _rounds(self) -> int:
        workers = self.config.execution.workers or cores()
        return max(1, self.plan.children // max(2, 2 * workers))

    def _evaluator(self, manager: NetworkManager) -> Evaluator:
        self._choose_shape(manager)
        evaluator = super()._evaluator(manager)
        if "epochs" in self.config.search.by_hand:  # however long they take
            epochs = {"epochs": self.config.children.epochs}
            return replace(evaluator, skeleton=self.sizer.skeleton, recipe=lambda cell: epochs)
        seconds = 1.5 * self.plan.child_images * self.plan.cost / self.plan.speed
        return replace(evaluator, find=self._find, skeleton=self.sizer.skeleton, recipe=self._length, seconds=seconds)

    def _length(self, cell: Cell) -> dict[str, Any]:
        """Equal time for each: what a limit keeps small sees more images, as it will as the winner."""
        return self.plan.length(
            self.plan.child_images, self.sizer.cost(cell), len(self.dataset.train), self.recipe.batch
        )

    def _find(self, child: Child) -> Child | ChildResult | None:
        return self._known.get(child.canonical) or self.problem.cached(child)

    def _choose_shape(self, manager: NetworkManager) -> None:
        """Try the outer shapes, before any child is trained in one of them."""
        if len(self.sizers) > 1 and self.run.store.meta("shape") is None and not self._begun:
            trials, cell = self._trials(manager), self._reference_cells()[0]
            self.shape = trials.shape(cell)
            self.run.store.set_meta(shape=self.shape)
            result = trials.shapes.get(self.shape)
            if self.plan.finalists == 1 and result is not None and result.status == "done":
                self._known[str(cell)] = result  # a child's training to the last bit: it need not be repeated

    def _begin(self, controller: ControllerManager) -> None:
        """The hand-made networks are the first children, so that the answer can only be better."""
        super()._begin(controller)
        if not self._begun:
            known = {child.canonical for child in self.children}
            cells = [cell for cell in self._reference_cells() if str(cell) not in known]
            cells = cells[: max(2, self.plan.first // 2)]
            fitting = [c for c, fits in zip(cells, self.constraints.feasible(cells), strict=True) if fits]
            if fitting:
                controller.take_up(1, 1, fitting)

    def _goes_on(self) -> bool:
        self.clock.record()
        if self.run.store.meta("verdict") is not None:
            return False  # cut off after its early end
        share = self.plan.levels / (self.plan.levels + 1) if self.config.search.skips else 1.0  # skips are a level, too
        return self.clock.spent < self.plan.search * share or not self.children.settled  # late, but with an answer

    def _skips(self) -> int | None:
        return max(2, self.plan.children)

    def _reward(self, child: Child) -> float:
        return signal(child.reward or 0.0, child.metrics or {}) if child.status == "done" else 0.0

    def _expected(self) -> int:
        plan = self.plan
        return max(plan.first + plan.children * (plan.levels - 1), len(self.children))

    # -- the winner

    def _end_search(self, manager: NetworkManager, controller: ControllerManager) -> None:
        """Try the best children longer, and with other recipes."""
        if self.run.store.meta("verdict") is not None or self.config.final.epochs == 0:
            return
        ranked = self._ranked(controller)
        verdict = self._trials(manager).decide(ranked, self._shown(ranked[0]))
        self.run.store.set_meta(
            verdict={"cell": str(verdict.cell), "recipe": verdict.recipe, "accuracy": verdict.accuracy}
        )

    def _end_early(self) -> None:
        """What is known decides; the winner is trained as long, beside the search, as it would have been."""
        plan, spent, best = self.plan, self.clock.spent, self._leader()
        tried = [one for one in self.run.store.meta("trials") or [] if one["what"] == "cell"]
        known = max(tried, key=lambda one: one["signal"], default={"cell": str(best.cell), "accuracy": best.reward})
        self.run.store.set_meta(verdict={"cell": known["cell"], "recipe": {}, "accuracy": known["accuracy"]})
        winner = plan.budget - plan.trials
        self.clock.end_at(spent + max(winner * _LEAST_SHARE, winner * spent / plan.trials))
        self.emit(note(f"the winner has {spelled(max(0.0, self.clock.left))}"))

    def _shown(self, cell: Cell) -> Finding:
        """What a child's own training showed."""
        child = self._child(cell)
        reward, seconds = child.reward or 0.0, child.seconds or 0.0
        return Finding(str(cell), "cell", {}, reward, self._reward(child), seconds, self.shape)

    def _trials(self, manager: NetworkManager) -> Trials:
        return Trials(
            self.run.store, manager, self.dataset, self.recipe, self.plan, self.clock, self.sizers, self.emit,
            partial(keep_fallback, self.run.folder),
        )  # fmt: skip

    def _ranked(self, controller: ControllerManager) -> list[Cell]:
        """The trained children, best first, by what is believed of them after all that was measured.

        Where luck would choose, the first hand-made network leads.
        """
        ranked = [cell for cell, _, _ in controller.best(max(1, len(self.children)))]
        if self._by_luck(self._child(ranked[0])):
            ranked.sort(key=lambda cell: cell != self._reference_cells()[0])
        skips = [child for child in self.children if child.level > self.space.B and child.status == "done"]
        if not skips:
            return ranked
        best = max(skips, key=self._reward)  # of which the controller knows nothing
        first = max(self._reward(child) for child in self.children if child.level <= self.space.B)
        return [best.cell, *ranked] if self._reward(best) > first else [*ranked[:1], best.cell, *ranked[1:]]

    def _by_luck(self, best: Child) -> bool:
        """Whether it takes luck to prefer the best child to the first hand-made network: none has learnt anything to
        speak of (an overfull machine, a budget of seconds), or the two are within a standard error of each other."""
        data, balanced = self.dataset, self.config.search.metric not in (None, "accuracy")
        counts = [1] * len(data.classes) if balanced else data.class_counts
        if is_luck(self._best().reward or 0.0, counts):
            return True
        cell = self._reference_cells()[0]
        drawn = self._child(cell)
        if drawn.canonical != str(cell) or cell not in self._drawn():
            return False
        error = standard_error(best.reward or 0.0, len(data.validation))
        return self._reward(best) - self._reward(drawn) < error

    def _leader(self) -> Child:
        """Who wins where nothing was compared, as after an early end: the best child, or the first hand-made network
        where that is luck."""
        best = self._best()
        return self._child(self._reference_cells()[0]) if self._by_luck(best) else best

    def _train_final(self) -> None:
        if self.config.final.epochs == 0:
            self._finish(self._best(), None)
            return
        stored = self.run.store.meta("verdict") or {}
        best = self._leader()
        verdict = Verdict(
            Cell.parse(stored.get("cell", str(best.cell))), stored.get("recipe", {}), stored.get("accuracy", 0.0)
        )
        skeleton, child = self.sizer.skeleton(verdict.cell), self._child(verdict.cell)
        recipe = self._final_recipe(verdict, skeleton)
        self.emit({"event": "final", "cell": str(verdict.cell), "reward": child.reward, "epochs": recipe.epochs})
        final = self._trained(verdict, skeleton, recipe)
        self._finish(child, final)
        (self.run.folder / FALLBACK).unlink(missing_ok=True)
        self.clock.record(now=True)

    def _trained(self, verdict: Verdict, skeleton: Skeleton, recipe: Recipe) -> dict[str, Any]:
        """Train the winner; where its training diverges, again at a fraction of the rate: a search has an answer."""
        cell, fallback = verdict.cell, Fallback.read(self.run.folder, verdict.accuracy)

        def train(recipe: Recipe) -> dict[str, Any]:
            return final_training.train_final(
                self.run.folder, cell, self.dataset, skeleton, recipe, self.config, self.emit,
                use_validation=True, replan=self._replan(cell, skeleton, recipe), fallback=fallback,
            )  # fmt: skip

        def tell(error: RunError, share: float) -> None:
            self.emit(note(f"{error}: once more at {share:.0%} of the rate"))
            (self.run.folder / CHECKPOINT).unlink(missing_ok=True)

        return slowing(train, recipe, times=2, tell=tell)

    def _final_recipe(self, verdict: Verdict, skeleton: Skeleton) -> Recipe:
        """Its length is kept in the store: a checkpoint is continued only by the training that wrote it."""
        known = self.run.store.meta("final_epochs")
        if "final_epochs" in self.config.search.by_hand:
            known = self.config.final.epochs, None
        elif known is None:
            available = len(self.dataset.train) + len(self.dataset.validation)
            seconds = self.clock.left - self._ending(verdict.cell, skeleton)
            threads = self.config.execution.threads or 1
            speed = self.plan.speed * team_speed(threads) / self._cost(verdict.cell, skeleton)
            images = max(_LEAST_STEPS * self.recipe.batch, int(max(0.0, seconds) * speed))
            known = epochs_of(images, available, least=8, batch=self.recipe.batch)
            self.run.store.set_meta(final_epochs=known)
        epochs, images = known
        own = recipe_of(self.config.final).suited(self.dataset)
        return own.replace(**{**verdict.recipe, "epochs": epochs, "images": images})

    def _ending(self, cell: Cell, skeleton: Skeleton) -> float:
        """Seconds to keep for testing and saving: a forward pass takes a third of a training's step."""
        forward = len(self.dataset.test) * self._cost(cell, skeleton) / (3 * self.plan.speed)
        return _END + forward + 0.01 * self.clock.budget

    def _replan(self, cell: Cell, skeleton: Skeleton, recipe: Recipe) -> Replan:
        if "final_epochs" in self.config.search.by_hand:
            return lambda epoch: recipe.epochs
        ending = self._ending(cell, skeleton)

        def left() -> float:
            self.clock.record()
            return self.clock.left - ending

        return until(left, least=math.ceil(_LEAST_STEPS * recipe.batch / (recipe.images or len(self.dataset.train))))
