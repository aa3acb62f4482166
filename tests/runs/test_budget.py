"""Budgets of time: what they mean, what they plan, and that a search with one ends with a tested winner."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pronas
from pronas.data import dataset_from_arrays
from pronas.errors import UsageError
from pronas.metrics import standard_error
from pronas.networks import describe, references
from pronas.runs import final_training
from pronas.runs.planning import (
    LimitConfig,
    Plan,
    Sizer,
    best_shape,
    epochs_of,
    is_luck,
    make_plan,
    problem_with,
    seconds_of,
    signal,
    spelled,
    training_cost,
)
from pronas.runs.steps import parse
from pronas.space import Cell

RESNET8 = Cell.parse("0:3x3-3x3 conv + 0:identity")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400), ("1.5h", 5400), ("45", 45)]
)
def test_durations_are_read(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "ten minutes", "-5m", "1e9", "2 weeks", "0s", "1s", "400d", "inf", "nan"])
def test_nonsense_is_no_budget(text, tmp_path):
    assert problem_with(text)
    with pytest.raises(UsageError, match="budget"):
        pronas.search("digits", budget=text or " ", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@given(st.floats(1, 10**7))
def test_spelled_durations_are_near(seconds):
    total = 0.0
    number, *rest = spelled(seconds).split()
    for unit, following in zip(rest[::2], [*rest[1::2], None], strict=False):
        total += float(number) * {"s": 1, "min": 60, "h": 3600, "d": 86400}[unit]
        number = following
    assert math.isclose(total, seconds, rel_tol=0.05, abs_tol=0.5)


def test_a_budget_is_the_default_only_where_no_size_is_given():
    def asked(**settings):
        return parse("digits", settings).config

    assert asked().search.budget == "2m"
    assert asked().space.kind == "residual"
    assert asked(max_params=10_000).search.budget == "2m"
    assert asked(budget="10m", blocks=2).search.budget == "10m"
    assert asked(space="binary").space.kind == "binary"
    for sizes in ({"blocks": 2}, {"children": 4}, {"epochs": 1}, {"final_epochs": 1}, {"filters": [4]}):
        assert asked(**sizes).search.budget is None


@given(
    budget=st.floats(10, 10**6),
    speed=st.floats(1e8, 1e12),
    workers=st.integers(1, 200),
    images=st.integers(100, 10**6),
    levels=st.integers(1, 5),
)
def test_plans_keep_within_their_budget(budget, speed, workers, images, levels):
    plan = make_plan(budget, 1.0, speed=speed, workers=workers, threads=2, images=images, batch=64, levels=levels)
    assert 0 < plan.search < plan.trials < budget
    assert 1 <= plan.levels <= levels
    assert plan.first >= 4
    assert all(line.startswith("plan: ") for line in plan.lines(images))
    epochs, part = epochs_of(plan.child_images, images, least=4, batch=64)
    assert epochs >= 1
    assert part <= max(images, 64)


def test_limits_bound_the_plan():
    plan = make_plan(3600, 5.0, speed=1e10, workers=2, threads=2, images=45_000, batch=128, levels=3, most_cost=1e6)
    assert plan.cost == 1e6
    assert Plan.from_dict(plan.to_dict()) == plan
    assert Plan.from_dict({"budget": 60.0, "macs": 1e6}) is None  # of another version: planned anew


@given(cost=st.floats(1e4, 1e9), images=st.integers(200, 10**6))
def test_a_cheaper_network_sees_more_images_in_the_same_time(cost, images):
    plan = make_plan(3600, 5.0, speed=1e10, workers=2, threads=2, images=images, batch=64, levels=3)
    length = plan.length(plan.child_images, cost, images, 64)
    equal = plan.child_images * plan.cost / cost
    if 4 * 64 < equal < 100 * images and images > 16 * 64:
        assert math.isclose(length["epochs"] * length["images"], equal, rel_tol=0.5)
    assert plan.length(plan.child_images, cost / 4, images, 64)["epochs"] >= length["epochs"]


@pytest.mark.parametrize("most", [9_000, 20_000, 78_666, 300_000])
def test_networks_are_sized_to_the_limit(most):
    sizer = Sizer(pronas.skeleton("residual"), (3, 32, 32), 10, LimitConfig(parameters=most), 1e9)
    for one in references():
        if one.cell == RESNET8:
            size = describe(one.cell, sizer.skeleton(one.cell), (3, 32, 32), 10)
            assert size.parameters <= most
            assert size.parameters > 0.6 * most


def test_cells_are_compared_at_equal_cost():
    skeleton = pronas.skeleton("residual")
    sizer = Sizer(skeleton, (3, 32, 32), 10, LimitConfig(), 19e6)
    texts = ("0:3x3-3x3 conv + 0:identity", "0:3x3 mbconv3 + 0:identity", "0:3x3 dconv + 0:identity")
    for cell in map(Cell.parse, texts):
        assert 12e6 < training_cost(cell, sizer.skeleton(cell), (3, 32, 32), 10) <= 19e6


@pytest.mark.parametrize(
    ("accuracy", "counts", "luck"),
    [
        *[(0.15, [50] * 10, True), (0.2, [50] * 10, False), (0.015, [5] * 100, True), (0.03, [5] * 100, False)],
        *[(0.52, [9, 9], True), (0.6, [9, 9], False), (0.86, [85, 15], True), (0.9, [85, 15], False)],
    ],
)
def test_what_a_guess_reaches_tells_nothing(accuracy, counts, luck):
    assert is_luck(accuracy, counts) == luck


def test_the_signal_tells_apart_what_ties():
    sure, unsure = ({"validation_loss": [2.0, 0.1]}, {"validation_loss": [2.0, 0.5]})
    assert signal(0.98, sure) > signal(0.98, unsure)
    assert signal(0.5, {}) == 0.5
    assert 0 < standard_error(1.0, 155) < 0.02


def child_of(run, text):
    return next(child for child in run.children() if child.canonical == str(Cell.parse(text).canonical()))


@pytest.mark.slow
def test_a_search_ends_within_its_budget_with_a_tested_winner(tmp_path):
    notes = []
    run = pronas.search(
        "digits", limit=400, budget="20s", workers=1, seed=3, out=tmp_path / "run", max_params=20_000,
        on_event=lambda event: notes.append(event.get("text", "")),
    )  # fmt: skip
    assert run.state == "done"
    assert run.final["parameters"] <= 20_000
    assert run.final["test_accuracy"] > 0.2  # however busy the machine: the winner has its least steps
    assert any(text.startswith("plan: ") for text in notes)
    cells = [child.cell for child in run.children()]
    assert RESNET8.canonical() in [cell.canonical() for cell in cells]
    drawn, won = (child_of(run, text) for text in (str(RESNET8), run.final["cell"]))
    if won.canonical != drawn.canonical:  # the hand-made network leaves for more than luck
        ahead = signal(won.reward, won.metrics) - signal(drawn.reward, drawn.metrics)
        assert ahead >= standard_error(won.reward, 288)
    again = pronas.search("digits", limit=400, budget="20s", seed=3, out=tmp_path / "run", max_params=20_000)
    assert again.final == run.final
    _, more = pronas.runs.train(str(tmp_path / "run"), epochs=1, out=tmp_path / "more")
    assert more["parameters"] == run.final["parameters"]


@pytest.mark.slow
@pytest.mark.parametrize("early", [False, True])
def test_where_children_learnt_nothing_the_known_network_wins(tmp_path, early):
    noise = np.random.default_rng(0)
    images, labels = noise.integers(0, 256, (600, 8, 8), np.uint8), noise.integers(0, 10, 600)
    data = dataset_from_arrays((images[:500], labels[:500]), (images[500:], labels[500:]), validation=250)
    done = []

    def on_event(event):
        done.append(event)
        cells = [Cell.parse(one["cell"]).canonical() for one in done if one["event"] == "child"]
        return "finish" if early and len(cells) >= 3 and RESNET8.canonical() in cells else None

    run = pronas.search(data, out=tmp_path / "run", budget="12s", seed=5, workers=1, on_event=on_event)
    assert run.final["cell"] == str(RESNET8.canonical())
    child = next(c for c in run.children() if c.cell.canonical() == RESNET8.canonical())
    assert done[-1]["reward"] == child.reward  # of the cell that ships, not of the luckiest


@pytest.mark.slow
def test_a_cut_off_search_goes_on_by_its_plan(tmp_path):
    class CutOffError(Exception):
        pass

    def cut_off(event):
        if event["event"] == "final":
            raise CutOffError

    settings = {"limit": 400, "budget": "15s", "workers": 1, "max_params": 20_000}
    with pytest.raises(CutOffError):
        pronas.search("digits", out=tmp_path / "run", on_event=cut_off, **settings)
    before = [(child.id, child.reward) for child in pronas.Experiment(tmp_path / "run").children()]
    run = pronas.search("digits", out=tmp_path / "run", **settings)
    assert [(child.id, child.reward) for child in run.children()] == before
    assert run.state == "done"


@pytest.mark.slow
def test_a_winner_that_diverges_is_trained_again_at_a_lower_rate(tmp_path, monkeypatch):
    from pronas.errors import RunError

    real, rates = final_training.train_final, []

    def train_final(folder, cell, dataset, skeleton, recipe, *rest, **options):
        rates.append(recipe.learning_rate)
        if len(rates) == 1:
            raise RunError("the training diverged: the loss became nan")
        return real(folder, cell, dataset, skeleton, recipe, *rest, **options)

    monkeypatch.setattr(final_training, "train_final", train_final)
    run = pronas.search(
        "digits", limit=300, budget="10s", first=2, children=1, workers=1, max_params=9_000, out=tmp_path / "run"
    )
    assert run.state == "done"
    assert rates[1] == pytest.approx(0.2 * rates[0])
    assert len([child for child in run.children() if child.level == 1]) == 2


@pytest.mark.parametrize(
    ("usual", "early", "cost", "kept"),
    [
        (0.3, 0.4, 1.0, "early"),
        (0.34, 0.32, 0.9, "early"),
        (0.34, 0.32, 0.5, ""),
        (0.5, 0.3, 1.0, ""),
        (1.0, 1.0, 1.0, ""),
    ],
)
def test_a_strided_first_stage_is_left_for_a_clear_loss_alone(usual, early, cost, kept):
    assert best_shape({"": usual, "early": early}, {"": 1e6, "early": cost * 1e6}) == kept
