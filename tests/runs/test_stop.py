"""What a callback says decides: a child, or the search, stops, and goes on as if nothing had been."""

from __future__ import annotations

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
