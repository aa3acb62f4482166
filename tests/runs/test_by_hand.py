"""What is given by hand beside a budget is obeyed, and the rest planned around it."""

import pytest

import pronas
from pronas.errors import UsageError
from pronas.runs.steps import parse

ASKED = {"budget": "2m", "speed": 2e9, "workers": 2, "threads": 1, "limit": 500}
TRAIN, AVAILABLE = 500, 500 + 288


def told(**settings):
    return pronas.plan("digits", **{**ASKED, **settings}).budget


def test_what_was_given_is_noted_and_nothing_else():
    def by_hand(**settings):
        return parse("digits", {"budget": "1m", **settings}).config.search.by_hand

    assert by_hand() == ()
    assert by_hand(epochs=3, filters=[8, 8, 8]) == ("filters", "epochs")
    assert by_hand(final_epochs=9) == ("final_epochs",)
    assert by_hand(final_filters=[8, 8, 8]) == ("filters",)
    assert by_hand(blocks=2, children=4, repeats=2) == ()
    assert parse("digits", {"blocks": 2, "epochs": 3}).config.search.by_hand == ()


def test_numbers_of_children_are_obeyed():
    plan = told(first=7, children=3)
    assert (plan.first, plan.children) == (7, 3)


def test_epochs_of_children_are_obeyed_and_their_number_follows():
    few, many = told(epochs=1), told(epochs=200)
    assert few.child_images == TRAIN
    assert many.child_images == 200 * TRAIN
    assert many.first <= few.first
    assert many.first >= 2
    assert many.cost <= few.cost  # smaller networks, where two would not fit
    assert told(epochs=200, first=5).first == 5


def test_epochs_of_the_winner_are_obeyed_and_its_size_follows():
    usual = told()
    long, short = told(final_epochs=2_000), told(final_epochs=1)
    assert long.final_images == 2_000 * AVAILABLE
    assert long.cost < usual.cost
    assert short.final_images == AVAILABLE
    assert short.trials > usual.trials  # what it does not need is the search's
    assert told(final_epochs=0).final_images == 0


def test_filters_are_obeyed():
    small, large = told(filters=[4, 4, 4], repeats=1), told(filters=[32, 32, 32], repeats=1)
    assert small.macs < large.macs
    assert small.final_images > large.final_images
    assert small.child_images > large.child_images


def test_what_cannot_be_done_in_time_says_what_could(tmp_path):
    with pytest.raises(
        UsageError, match=r"the winner alone takes .* of 2 min: give a budget of about \d+ .*or fewer epochs"
    ):
        told(filters=[64, 64, 64], final_epochs=500)
    for name in ("early_stop", "inherit"):
        with pytest.raises(UsageError, match=rf"search.{name} goes by numbers of epochs") as caught:
            pronas.search("digits", budget="1m", out=tmp_path / "run", **{name: 2})
        assert caught.value.setting == name
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_search_obeys_epochs_and_filters_and_ends_without_a_winner(tmp_path):
    run = pronas.search(
        "digits", limit=300, budget="20s", workers=1, threads=1, epochs=2, filters=[8, 8, 8], first=3,
        final_epochs=0, out=tmp_path / "run",
    )  # fmt: skip
    assert run.state == "done"
    assert run.final is None
    assert {child.epochs for child in run.children() if child.status == "done"} == {2}
    assert {child.images for child in run.children() if child.status == "done"} == {512}  # whole batches


@pytest.mark.slow
def test_skips_and_objectives_go_with_a_budget(tmp_path):
    run = pronas.search(
        "digits", limit=300, budget="40s", workers=1, threads=1, max_params=9_000, skips=True, first=3, children=2,
        blocks=1, objectives="accuracy,parameters", final_epochs=2, out=tmp_path / "run",
    )  # fmt: skip
    assert run.state == "done"
    assert run.final["parameters"] <= 9_000
    assert len(run.final["curves"]["loss"]) == 2
    levels = {child.level for child in run.children() if child.status == "done"}
    assert levels == {1, 2}
    assert all(child.cell.skips for child in run.children() if child.level == 2)
