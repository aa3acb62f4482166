"""What a callback says decides: a child, or the search, stops, and goes on as if nothing had been."""

from __future__ import annotations

import pytest

import pronas


def test_a_callback_stops_the_search_and_the_same_call_goes_on(finished, tiny, tmp_path):
    whole, _ = finished
    for kind in ("start", "level", "child", "fit", "final", "epoch"):
        run = pronas.search(
            "digits",
            out=tmp_path / "run",
            on_event=lambda event, kind=kind: "stop" if event["event"] == kind else None,
            **tiny,
        )
        assert run.state == ("training" if kind in ("final", "epoch") else "searching")
    run = pronas.search("digits", out=tmp_path / "run", **tiny)
    assert run.state == "done"
    assert [(child.cell, child.reward) for child in run.children()] == [
        (child.cell, child.reward) for child in whole.children()
    ]


def test_a_callback_stops_a_child_which_counts_as_it_stands(tiny, tmp_path):
    epochs = 300
    settings = {
        **tiny,
        "execution": "local",
        "workers": 1,
        "epochs": epochs,
        "blocks": 1,
        "first": 2,
        "final_epochs": 0,
    }

    def on_event(event):
        return "stop" if event["event"] == "progress" and event["id"] == 1 else None

    run = pronas.search("digits", out=tmp_path / "run", on_event=on_event, **settings)
    first, second = run.children()
    assert (first.status, second.status) == ("done", "done")
    assert 1 <= first.epochs < epochs
    assert second.epochs == epochs
    assert first.reward == max(first.metrics["validation_accuracy"])


def test_a_callback_ends_the_search_early_with_a_winner(tiny, tmp_path):
    told = []

    def on_event(event):
        told.append(event.get("text", ""))
        return "finish" if len(told) > 4 else None

    run = pronas.search("digits", out=tmp_path / "run", on_event=on_event, **{**tiny, "children": 20})
    assert run.state == "done"
    assert run.test_accuracy is not None
    assert any(text.startswith("the search ends early, with ") for text in told)
    done = [child for child in run.children() if child.status == "done"]
    assert 1 <= len(done) < 20
    assert run.final["cell"] == str(run.best.cell)


@pytest.mark.slow
def test_a_budget_that_ends_early_leaves_the_winner_its_share(tmp_path):
    told = []

    def on_event(event):
        told.append(event)
        done = sum(one["event"] == "child" for one in told)
        return "finish" if done >= 2 else None

    asked = {"budget": "20s", "limit": 300, "workers": 1, "max_params": 9_000, "threads": 1}
    run = pronas.search("digits", out=tmp_path / "run", on_event=on_event, **asked)
    assert run.state == "done"
    assert len([child for child in run.children() if child.status == "done"]) == 2
    assert any(one.get("text", "").startswith("the winner has ") for one in told)
