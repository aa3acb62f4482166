"""``plan`` says what a search would do; the numbers hold on a cluster whose workers only sleep."""

import heapq
import math

import numpy as np
import pytest
from typer.testing import CliRunner

import pronas
from pronas import execution
from pronas.cli import build_app
from pronas.errors import UsageError
from pronas.execution import Executor, Outcome
from pronas.networks import skeleton_from_dict
from pronas.runs.planning import training_cost
from pronas.space import Cell

PAPER = {
    "space": "pnas",
    "blocks": 5,
    "first": "all",
    "children": 256,
    "epochs": 20,
    "filters": 24,
    "repeats": 2,
    "final_filters": 48,
    "final_repeats": 3,
    "final_epochs": 300,
}


@pytest.fixture(scope="module")
def blank():
    """As many images of CIFAR-10's shape as the paper had, that take no memory."""

    def split(count):
        return pronas.Split(np.broadcast_to(np.uint8(0), (count, 3, 32, 32)), np.arange(count) % 10)

    return pronas.Dataset("blank", split(45_000), split(5_000), split(10_000), tuple("0123456789"))


class Sleeping(Executor):
    """A cluster on a clock of its own: a child sleeps as long as its training would take, its reward is noise."""

    def __init__(self, workers, speed, shared):
        self.count, self.speed, self.shared = workers, speed, shared
        self.now, self.free, self.waiting, self.slept = 0.0, [0.0] * workers, [], 0

    def submit(self, job):
        self.waiting.append(job)

    def events(self):
        running = []
        for job in self.waiting:
            begin, length = max(self.now, heapq.heappop(self.free)), self._length(job.payload)
            heapq.heappush(self.free, begin + length)
            heapq.heappush(running, (begin + length, job.id, length))
        self.waiting = []
        while running:
            self.now, number, length = heapq.heappop(running)
            self.slept += 1
            value = {"status": "done", "reward": number * 0.37 % 1 * 0.2 + 0.7, "seconds": length}
            yield Outcome(number, "ok", value, None, length, "sleeper", 1)

    def _length(self, payload):
        cell = Cell.parse(payload["cell"])
        images = payload["recipe"]["epochs"] * (45_000 + 5_000 / 3)
        cost = training_cost(cell, skeleton_from_dict(self.shared["skeleton"]), (3, 32, 32), 10)
        return images * cost / self.speed

    def cancel(self):
        pass

    def close(self):
        pass

    @property
    def workers(self):
        return self.count


@pytest.mark.slow
def test_the_papers_search_takes_as_long_as_was_said_on_a_cluster_that_sleeps(blank, tmp_path, monkeypatch):
    """Its first three levels: the other two are as large as the third."""
    speed, made = 5e9, []

    def make(name, run, setup, shared, **options):
        made.append(Sleeping(options["workers"], speed, shared))
        return made[0]

    monkeypatch.setattr(execution, "make_executor", make)
    settings = PAPER | {"blocks": 3, "workers": 200, "final_epochs": 0, "strategy": "random"}
    told = pronas.plan(blank, speed=speed, **settings)
    run = pronas.search(blank, out=tmp_path / "run", **settings)
    assert told.children == len(run.children()) == made[0].slept == 136 + 2 * 256
    assert told.images == told.children * 20 * 45_000
    assert told.seconds == pytest.approx(made[0].now, rel=0.1)


def test_ten_times_the_papers_search_is_planned_at_once(blank):
    one = pronas.plan(blank, speed=5e9, workers=200, **PAPER)
    ten = pronas.plan(blank, speed=5e9, workers=200, **{**PAPER, "children": 2_866})
    assert ten.children == 11_600
    assert ten.images - 300 * 45_000 == 10 * (one.images - 300 * 45_000)
    assert one.levels == (136, 256, 256, 256, 256)
    ratio = (ten.seconds - ten.winner) / (one.seconds - one.winner)
    assert 6 < ratio < 10.5  # fewer workers idle at the end of a level
    assert ten.disk > one.disk


def test_a_budget_is_planned_as_the_search_plans_it(tmp_path):
    asked = {"limit": 400, "budget": "2m", "workers": 3, "max_params": 20_000}
    told = pronas.plan("digits", speed=2e9, **asked)
    assert told.budget.speed == 2e9
    assert told.children == told.budget.first + told.budget.children * (told.budget.levels - 1)
    assert told.seconds == 120
    assert sum(line.startswith("plan: ") for line in told.lines) == 3
    assert told.images > told.children * told.budget.child_images
    faster = pronas.plan("digits", speed=4e9, **asked)
    assert faster.images > told.images


def test_the_least_budget_is_told():
    with pytest.raises(
        UsageError, match=r"a budget of 10 s is too small for one network: give about \d+ min"
    ) as caught:
        pronas.plan("digits", speed=1e4, budget="10s")
    assert caught.value.setting == "budget"


def test_the_command_prints_what_the_function_tells():
    arguments = ["plan", "--speed", "2e9", "--workers", "2", "--blocks", "2", "--children", "3", "--first", "5"]
    done = CliRunner().invoke(build_app(), arguments)
    assert done.exit_code == 0
    assert done.stdout.startswith("plan: 8 children (5 at level 1, 3 at level 2), each for ")
    for word in ("images: ", "time: about ", "speed: 2e+09 ", "disk: about ", "memory: about "):
        assert f"\n{word}" in done.stdout


@pytest.mark.parametrize("speed", [0.0, -1.0, math.inf, math.nan])
def test_a_speed_that_makes_no_sense_is_refused(speed):
    with pytest.raises(UsageError, match="speed must be from 1 to"):
        pronas.plan("digits", speed=speed)


@pytest.mark.parametrize(
    "more", [{"early_stop": 2}, {"inherit": 2}, {"rounds": 2}, {"skips": True}, {"strategy": "evolution"}]
)
def test_what_changes_the_numbers_changes_the_plan(more):
    asked = {"space": "flat", "blocks": 2, "first": 6, "children": 4, "epochs": 8, "final_epochs": 1, "filters": 4}
    plain, other = (pronas.plan("digits", speed=1e9, workers=3, limit=200, **asked, **some) for some in ({}, more))
    assert other != plain
    assert other.children == plain.children + 4 * ("skips" in more)
    assert (other.images < plain.images) == bool({"early_stop", "inherit"} & set(more))


def test_a_plan_for_more_children_than_anybody_trains_is_made_at_once():
    settings = {"space": "pnas", "filters": 4, "children": "all", "first": "all", "limit": 100}
    few = pronas.plan("digits", **settings, blocks=2, workers=2, speed=1e9)
    many = pronas.plan("digits", **settings, blocks=5, workers=2, speed=1e9)
    assert few.children < 10**6 < 10**12 < many.children
    assert many.seconds > 10**5 * few.seconds
