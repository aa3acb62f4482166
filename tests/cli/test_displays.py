"""What a search shows, told by its events: a line a level, a bar on a terminal, every child when asked for."""

import io

import pytest
import rich.console
import rich.progress

from pronas.cli.bars import Bar
from pronas.cli.progress import Lines

CHILD = {"event": "child", "level": 1, "status": "done", "error": None, "cell": "0:x + 0:y", "total": 4, "known": False}
LEVEL = {"event": "level", "level": 1, "levels": 2, "children": 3, "candidates": 9, "skips": False}
EPOCH = {"event": "epoch", "epoch": 1, "epochs": 9, "loss": 1.5, "accuracy": 0.6, "best": True}
FAILED = {"status": "failed", "reward": 0.0, "error": "[bold]oops"}
EVENTS = [
    LEVEL,
    {"event": "progress", "id": 1, "epoch": 1, "epochs": 2, "accuracy": 0.4},
    {**CHILD, "id": 1, "reward": 0.5, "done": 1},
    {**CHILD, "id": 2, "done": 2, **FAILED},
    {**CHILD, "id": 3, "reward": 0.25, "done": 3},
    {"event": "fit", "level": 1, "round": 1, "report": {"extrapolation": {"spearman": 0.75, "n": 8}}},
    {"event": "trial", "what": "flip", "epoch": 1, "epochs": 3},
    {"event": "note", "text": "trial: with mirrored images", "detail": True},
    {"event": "final", "cell": "0:x + 0:y", "reward": 0.5, "epochs": 9},
    EPOCH,
]
DONE = {
    "event": "done",
    "cell": "0:x + 0:y",
    "reward": 0.5,
    "test_accuracy": 0.75,
    "validation_accuracy": 0.7,
    "parameters": 1234,
    "weight_bits": 39488,
    "seconds": 61.0,
}


def lines(verbose=False, events=EVENTS):
    stream = io.StringIO()
    with Lines(stream, verbose=verbose) as display:
        for event in events:
            display.event(event)
    return stream.getvalue().splitlines()


def test_a_line_a_level():
    level, winner = lines()
    words = "level 1/2: 3 children of 9 cells, 1 failed ([bold]oops), best 0.5000, predictor's rank correlation 0.75, "
    assert level.startswith(words)
    assert winner == "winner (validation 0.5000): 0:x + 0:y, to be trained for 9 epochs"


@pytest.mark.parametrize(
    "report", [{"extrapolation": {"spearman": -1.0, "n": 2}}, {"in_sample": {"spearman": 1.0, "n": 9}}]
)
def test_ranks_that_say_nothing_are_not_shown(report):
    shown = lines(events=[*EVENTS[:5], {**EVENTS[5], "report": report}])[0]
    assert "best 0.5000" in shown
    assert "correlation" not in shown


def test_a_later_round_is_named():
    assert lines(events=[{**LEVEL, "round": 2}, EVENTS[2]])[0].startswith("level 1/2, round 2: 1 children of 9 cells, ")


def test_verbose_adds_children_trials_and_epochs():
    shown = lines(verbose=True)
    assert [line for line in shown if line.startswith("level 1, child 1/4: 0.5000; best 0.5000, ")]
    assert [line for line in shown if line.startswith("level 1, child 2/4: failed ([bold]oops); ")]
    assert "trial: with mirrored images" in shown
    assert "epoch 1/9: loss 1.5000, validation 0.6000 (best)" in shown


def test_a_level_that_is_cut_short_has_its_line():
    assert lines(events=EVENTS[:3])[0].startswith("level 1/2: 1 children of 9 cells, best 0.5000, ")
    assert lines(events=EVENTS[:2]) == []


def test_the_last_block_says_how_good_how_large_where_and_what_next(tmp_path):
    (tmp_path / "store.sqlite").touch()
    shown = lines(events=[{**DONE, "path": str(tmp_path)}])
    assert "test accuracy: 75.00 %" in shown
    assert "size:          1,234 parameters, 4.9 kB of weights" in shown
    assert f"files:         {tmp_path}/ (store.sqlite)" in shown
    commands = [line.split()[1] for line in shown[shown.index("next:") + 1 :]]
    assert commands == ["report", "predict", "export", "baseline", "train"]


@pytest.mark.parametrize("verbose", [False, True])
def test_a_bar_on_a_terminal(monkeypatch, verbose):
    text, real = io.StringIO(), rich.console.Console
    monkeypatch.setattr(
        "pronas.cli.bars.Console", lambda **options: real(file=text, force_terminal=True, width=200, **options)
    )
    shown_by, progress = [], rich.progress.Progress
    monkeypatch.setattr(
        "pronas.cli.bars.Progress",
        lambda *columns, **options: shown_by.append(progress(*columns, **options)) or shown_by[-1],
    )
    with Bar(verbose=verbose) as bar:
        bar.hello()
        for event in EVENTS:
            bar.event(event)
            shown_by[-1].refresh()
    shown = text.getvalue()
    assert "level 1/2: 3 children of 9 cells, 1 failed ([bold]oops)" in shown  # as it is, not as markup
    assert "best 0.5000" in shown
    assert "trial: flip" in shown
    assert "loss 1.5000, validation 0.6000" in shown
    assert ("level 1, child 2/4: failed" in shown) == verbose
