"""Early stopping and weight inheritance in a search: what is trained, what is recorded, and that it can be resumed."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from pronas.errors import UsageError
from pronas.runs import Experiment, search
from pronas.runs.planning import STOPPED


@pytest.fixture(scope="module")
def run(small):
    settings = small | {"final_epochs": 0, "limit": 400, "execution": "inline"}

    def searched(folder, **more) -> Experiment:
        return search("digits", out=folder, **(settings | more))

    return searched


def facts(experiment: Experiment) -> list[tuple]:
    return [
        (str(child.cell), child.status, child.reward, child.epochs, child.images, child.metrics)
        for child in experiment.children()
    ]


class Interrupted(Exception):
    pass


def interrupted_at(number: int, kind: str):
    seen = []

    def on_event(event):
        seen.append(event["event"])
        if seen.count(kind) == number:
            raise Interrupted

    return on_event


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, run):
    return run(tmp_path_factory.mktemp("stopped") / "run", early_stop=4)


@pytest.fixture(scope="module")
def inherited(tmp_path_factory, run):
    return run(tmp_path_factory.mktemp("inherited") / "run", inherit=1)


def test_only_the_best_of_the_whole_search_are_trained_to_the_end(stopped):
    children = stopped.children()
    last = [child for child in children if STOPPED not in child.metrics]
    rest = [child for child in children if STOPPED in child.metrics]
    assert len(last) == math.ceil(len(children) / 4)
    assert {child.epochs for child in last} == {4}
    assert {child.epochs for child in rest} == {1}
    assert {child.images for child in last} == {5 * rest[0].images}
    assert all(child.reward < max(one.reward for one in last) for child in rest)
    measured = {child.reward: child.metrics[STOPPED][0] for child in rest}
    assert [measured[reward] for reward in sorted(measured)] == sorted(measured.values())
    assert STOPPED not in stopped.best.metrics


def test_each_rung_keeps_the_best_of_the_one_before(tmp_path, run):
    notes, trained = [], []

    def on_event(event):
        if event["event"] == "note":
            notes.append(event["text"])
        elif event["event"] == "child":
            trained.append(event["id"])

    experiment = run(tmp_path / "run", early_stop=2, on_event=on_event)
    count = len(experiment.children())
    half = math.ceil(count / 2)
    assert notes == [
        f"early stop: {half} of {count} children go on, to 2 epochs",
        f"early stop: {math.ceil(half / 2)} of {half} children go on, to 4 epochs",
    ]
    epochs = Counter(child.epochs for child in experiment.children())
    assert epochs == {1: count - half, 2: half - math.ceil(half / 2), 4: math.ceil(half / 2)}
    assert sorted(trained[:count]) == [child.id for child in experiment.children()]
    assert set(trained[count:]) == {child.id for child in experiment.children() if child.epochs == 4}


@pytest.mark.slow
@pytest.mark.parametrize("when", [(9, "progress"), (5, "child"), (1, "note"), (11, "child")])
def test_a_stopped_search_with_early_stopping_is_resumed(tmp_path, stopped, when, run):
    with pytest.raises(Interrupted):
        run(tmp_path / "run", early_stop=4, on_event=interrupted_at(*when))
    assert facts(run(tmp_path / "run", early_stop=4)) == facts(stopped)


@pytest.mark.slow
def test_savings_depend_on_no_executor(tmp_path, stopped, inherited, run):
    local = {"execution": "local", "workers": 2}
    assert facts(run(tmp_path / "one", early_stop=4, **local)) == facts(stopped)
    assert facts(run(tmp_path / "two", inherit=1, **local)) == facts(inherited)


def test_heirs_are_trained_for_their_own_few_epochs(inherited):
    assert {child.epochs for child in inherited.children() if child.level == 1} == {4}
    assert {child.epochs for child in inherited.children() if child.level == 2} == {1}
    kept = sorted(path.stem for path in (inherited.path / "weights" / "children").iterdir())
    assert kept == sorted(str(child.id) for child in inherited.children())


@pytest.fixture(scope="module")
def both(tmp_path_factory, run):
    return run(tmp_path_factory.mktemp("both") / "run", early_stop=4, inherit=1)


def test_the_best_are_trained_whole_from_the_start_when_heirs_are_stopped_early(both):
    heirs = [child for child in both.children() if child.level == 2 and STOPPED in child.metrics]
    whole = [child for child in both.children() if STOPPED not in child.metrics]
    assert heirs
    assert {child.epochs for child in heirs} == {1}
    assert {child.epochs for child in whole} == {4}
    assert len(whole) == math.ceil(len(both.children()) / 4)
    assert all(child.reward < both.best.reward for child in heirs)
    assert {child.images for child in whole} == {5 * heirs[0].images}


@pytest.mark.slow
def test_a_stopped_search_with_both_is_resumed(tmp_path, both, run):
    with pytest.raises(Interrupted):
        run(tmp_path / "run", early_stop=4, inherit=1, on_event=interrupted_at(8, "child"))
    assert facts(run(tmp_path / "run", early_stop=4, inherit=1)) == facts(both)


@pytest.mark.slow
def test_a_stopped_search_with_inheritance_is_resumed(tmp_path, inherited, run):
    with pytest.raises(Interrupted):
        run(tmp_path / "run", inherit=1, on_event=interrupted_at(8, "child"))
    assert facts(run(tmp_path / "run", inherit=1)) == facts(inherited)


def test_reuse_takes_only_children_trained_whole(tmp_path, stopped, inherited, run):
    again = []
    whole = {str(child.cell): child.reward for child in stopped.children() if STOPPED not in child.metrics}
    experiment = run(tmp_path / "run", reuse=str(stopped.path), early_stop=4, on_event=again.append)
    known = {event["id"] for event in again if event["event"] == "child" and event["known"]}
    assert {str(child.cell) for child in experiment.children() if child.id in known} == set(whole)
    assert [fact[:3] for fact in facts(experiment)] == [fact[:3] for fact in facts(stopped)]
    assert {str(child.cell) for child in experiment.children() if STOPPED not in child.metrics} == set(whole)
    again.clear()
    plain = run(tmp_path / "plain", reuse=str(stopped.path), blocks=1, on_event=again.append)
    known = {event["id"] for event in again if event["event"] == "child" and event["known"]}
    assert known
    for child in plain.children():
        assert (child.id in known) == (str(child.cell) in whole)
        if child.id in known:
            assert child.reward == whole[str(child.cell)]
    again.clear()
    run(tmp_path / "other", reuse=str(inherited.path), on_event=again.append)
    assert {event["level"] for event in again if event["event"] == "child" and event["known"]} == {1}


@pytest.mark.parametrize(
    ("settings", "words"), [({"early_stop": 1}, "early_stop must be"), ({"inherit": 0}, "inherit")]
)
def test_values_out_of_range(tmp_path, settings, words, run):
    with pytest.raises(UsageError, match=words):
        run(tmp_path / "run", **settings)
