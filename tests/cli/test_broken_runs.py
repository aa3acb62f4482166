"""A run folder with one broken file, whatever is broken: every command ends in one line, none unexpectedly."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mutants import broken_run, retyped
from pronas.cli import COMMANDS
from pronas.report import Feed, live_app

AGAIN = [
    *("--space", "flat", "--operators", "3x3 maxpool,3x3 dconv", "--filters", "4,4", "--limit", "200", "--blocks", "1"),
    *("--first", "2", "--epochs", "1", "--final-epochs", "1", "--threads", "1", "--execution", "inline"),
]


@pytest.fixture
def commands(tmp_path):
    """What reads a run, with the weights that these have among the examples."""
    run, picture = tmp_path / "run", tmp_path / "a.png"
    Image.fromarray(np.full((8, 8), 99, np.uint8)).save(picture)
    listed = {
        ("show", run): 6,
        ("show", run, "--json"): 4,
        ("predict", run, picture): 6,
        ("report", run, "--out", tmp_path / "r.html"): 4,
        ("rank", run, "--save", tmp_path / "r.png"): 1,
        ("draw", run, "--out", tmp_path / "c.svg"): 3,
        ("search", "--resume", run): 4,
        ("search", *AGAIN, "--out", run): 3,
        ("search", *AGAIN, "--reuse", run, "--seed", "9", "--out", tmp_path / "other"): 1,
        ("train", run, "--epochs", "1", "--out", tmp_path / "trained"): 1,
        ("score", run, "--top", "5"): 4,
        ("card", run, "--out", tmp_path / "card"): 2,
        ("baseline", run, "--only", "nobody"): 1,
        ("export", run, "--format", "pt2", "--out", tmp_path / "x.pt2"): 0.3,
        ("benchmark", run, "--repeats", "1", "--images", "2"): 0.2,
    }
    assert {name for name, *_ in listed} == set(COMMANDS) - {"plan", "space", "watch", "init", "doctor"}
    return list(listed), list(listed.values())


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_every_command_on_a_broken_run_is_one_line(pronas_main, run_folder, tmp_path, commands, seed):
    rng = random.Random(seed)
    which = broken_run(rng, run_folder, tmp_path / "run")
    for folder in ("other", "trained"):
        shutil.rmtree(tmp_path / folder, ignore_errors=True)
    for arguments in rng.choices(*commands, k=2):
        code, _, err = pronas_main(*arguments)
        errors = [line for line in err if line.startswith("error: ")]
        assert code in (0, 1, 2), (which, arguments, err)
        assert len(errors) == (code != 0), (which, arguments, err)
        assert not any("unexpected" in line or "Traceback" in line for line in err), (which, arguments, err)
    Feed(tmp_path / "run").poll()  # what `watch` sends
    live_app(tmp_path / "run")


def config_without_search(store):
    (text,) = store.execute("SELECT value FROM meta WHERE key = 'config'").fetchone()
    return json.dumps(json.loads(text) | {"search": None})


@pytest.mark.parametrize(
    ("statement", "value", "named"),
    [
        ("UPDATE fits SET level = ?", lambda store: "nan", "level is 'nan', not a whole number"),
        ("UPDATE fits SET level = ?", lambda store: b"x", "not a whole number"),
        ("UPDATE fits SET report = ?", lambda store: "nan", "the table of fits cannot be read"),
        ("UPDATE meta SET value = ? WHERE key = 'config'", config_without_search, "search"),
        ("UPDATE meta SET value = ? WHERE key = 'revision'", lambda store: "nan", "'revision' cannot be read"),
        ("UPDATE children SET round = ? WHERE id = 1", lambda store: "nan", "round is 'nan', not a whole number"),
    ],
)
def test_a_damaged_value_is_named(pronas_main, run_folder, tmp_path, statement, value, named):
    """What the sweep over every value of a store found, or might have."""
    run = shutil.copytree(run_folder, tmp_path / "run")
    with closing(sqlite3.connect(run / "store.sqlite")) as store:
        store.execute(statement, (value(store),))
        store.commit()
    code, _, err = pronas_main("search", *AGAIN, "--out", run)
    assert code in (1, 2)
    assert [line for line in err if line.startswith("error: ")] == [line for line in err if named in line] != []


def test_a_loss_that_was_not_finite_is_left_out_of_the_curves(pronas_main, run_folder, tmp_path):
    run = shutil.copytree(run_folder, tmp_path / "run")
    with closing(sqlite3.connect(run / "store.sqlite")) as store:
        (text,) = store.execute("SELECT value FROM meta WHERE key = 'final'").fetchone()
        final = json.loads(text)
        final["curves"]["loss"][0] = None
        store.execute("UPDATE meta SET value = ? WHERE key = 'final'", (json.dumps(final),))
        store.commit()
    assert pronas_main("search", *AGAIN, "--out", run)[0] == 0


@given(seed=st.integers(0, 2**32))
def test_what_misfits_is_named(seed):
    """The shapes of the store's entries take what is written, and say in one line what else there is."""
    from pronas.runs.store import CHILD, META, misfit

    rng = random.Random(seed)
    final = {
        "cell": "x", "test_accuracy": 0.5, "validation_accuracy": None, "parameters": 3, "weight_bits": 96,
        "seconds": 1.5, "curves": {"loss": [1.0, None]}, "classes": ["a"], "confusion": [[1]],
    }  # fmt: skip
    assert misfit(final, META["final"]) is None
    child = dict.fromkeys(CHILD) | {
        "id": 1, "level": 1, "round": 1, "cell": "x", "canonical": "x", "status": "proposed", "metrics": {},
        "revision": 3,
    }  # fmt: skip
    assert misfit(child, CHILD) is None
    for value, shape in ((final, META["final"]), (child, CHILD)):
        problem = misfit(retyped(rng, value), shape)
        assert problem is None or (0 < len(problem) < 300 and "\n" not in problem)
