"""The whole search through its public names."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
import torch

import pronas
from pronas.errors import RunError, UsageError
from pronas.runs import Experiment, train


def test_one_call_searches_trains_and_evaluates(finished):
    run, _ = finished
    assert run.state == "done"
    assert [child.level for child in run.children()] == [1, 1, 1, 2, 2]
    assert all(child.status == "done" and 0 < child.reward <= 1 for child in run.children())
    assert run.best.reward == max(child.reward for child in run.children())
    assert run.final["cell"] == str(run.best.cell)
    right = np.trace(run.final["confusion"])
    assert run.test_accuracy == pytest.approx(right / np.sum(run.final["confusion"]))


def test_the_winner_loads_and_agrees_with_its_report(finished):
    run, _ = finished
    data = pronas.load_dataset("digits", limit=200)
    with torch.inference_mode():
        labels = run.load()(torch.from_numpy(data.test.images)).argmax(1).numpy()
    assert (labels == data.test.labels).mean() == pytest.approx(run.test_accuracy)


def test_events_tell_the_whole_story(finished):
    run, events = finished
    kinds = [event["event"] for event in events]
    assert kinds[0] == "start"
    assert kinds[-1] == "done"
    assert kinds.count("child") == 5
    assert kinds.count("level") == 2
    assert kinds.count("fit") == 2
    assert [event["done"] for event in events if event["event"] == "child"] == [1, 2, 3, 4, 5]
    assert json.loads(json.dumps(events)) == events
    assert events[-1]["test_accuracy"] == run.test_accuracy


def test_files_of_the_old_systems(finished):
    run, _ = finished
    rows = list(csv.reader((run.path / "train_history.csv").open()))
    assert [float(row[0]) for row in rows] == [child.reward for child in run.children()]
    assert [row[1:] for row in rows] == [[str(x) for x in child.cell.to_list()] for child in run.children()]
    scores = list(csv.reader((run.path / "scores_2.csv").open()))
    assert [float(row[0]) for row in scores] == sorted((float(row[0]) for row in scores), reverse=True)
    text = (run.path / "architectures" / "digits.txt").read_text()
    paragraphs = text.strip().split("\n\n")
    assert len(paragraphs) == 5
    space = pronas.StateSpace(2, ["3x3 maxpool", "3x3 dconv"], 0)
    for number, (part, child) in enumerate(zip(paragraphs, run.children(), strict=True), start=1):
        lines = dict(line.split(": ", 1) for line in part.splitlines())
        assert int(lines["Sr. No"]) == number
        assert float(lines["Reward"]) == child.reward
        assert pronas.Cell.parse(lines["Architecture"]) == child.cell
        assert pronas.Cell.parse(lines["Representation String"], space) == child.cell
    assert list((run.path / "logs").glob("events.out.tfevents.*"))
    assert not (run.path / "weights" / "best.checkpoint").exists()


def test_the_table_and_the_notebook_view(finished):
    run, _ = finished
    frame = run.to_dataframe()
    assert list(frame.index) == [1, 2, 3, 4, 5]
    assert list(frame["cell"]) == [str(child.cell) for child in run.children()]
    assert "<code>" in run._repr_html_()
    assert "done, 5 children" in repr(run)


def test_the_same_call_again_trains_nothing(finished, tiny):
    run, _ = finished
    before = run.children()
    events: list[dict] = []
    again = pronas.search("digits", out=run.path, on_event=events.append, **tiny)
    assert [event["event"] for event in events] == ["note", "done"]
    assert again.children() == before


def test_another_search_in_the_same_folder_is_refused(finished, tiny):
    run, _ = finished
    with pytest.raises(UsageError, match=r"differs in children.epochs \(1 there, 2 here\), children.recipe.epochs"):
        pronas.search("digits", out=run.path, **{**tiny, "epochs": 2})
    with pytest.raises(UsageError, match=r"differs in search.children \(2 there, 1 here\)"):
        pronas.search(resume=run.path, children=1)
    assert pronas.search(resume=run.path, workers=1).state == "done"


def test_the_written_configuration_gives_the_same_search(finished):
    run, _ = finished
    assert pronas.search(config=run.path / "config.toml", out=run.path).state == "done"


def test_results_are_taken_from_another_run(finished, tiny, tmp_path):
    run, _ = finished
    events: list[dict] = []
    other = {**tiny, "reuse": str(run.path), "final_epochs": 0}
    again = pronas.search("digits", out=tmp_path / "run", on_event=events.append, **other)
    assert [child.reward for child in again.children()] == [child.reward for child in run.children()]
    assert all(event["known"] for event in events if event["event"] == "child")
    assert again.final is None
    with pytest.raises(RunError, match="winner is not trained yet"):
        again.load()
    with pytest.raises(UsageError, match="with another recipe"):
        pronas.search("digits", out=tmp_path / "b", **{**other, "recipe": "old"})


@pytest.mark.parametrize("strategy", ["random", "evolution"])
def test_other_strategies_have_the_same_budget(tiny, tmp_path, strategy):
    settings = {**tiny, "strategy": strategy, "first": 2, "children": 1, "final_epochs": 0}
    run = pronas.search("digits", out=tmp_path / "run", **settings)
    assert [child.level for child in run.children()] == [2, 2, 2]
    assert len({child.canonical for child in run.children()}) == 3


def test_limits_rule_cells_out_before_they_are_trained(finished, tiny, tmp_path):
    run, _ = finished
    most = sorted(child.parameters for child in run.children())[1]
    settings = {**tiny, "max_params": most, "final_epochs": 0, "children": 1}
    limited = pronas.search("digits", out=tmp_path / "run", **settings)
    assert 0 < len(limited.children()) < 5
    assert all(child.parameters <= most for child in limited.children())


def test_skips_are_a_last_level(tiny, tmp_path):
    settings = {**tiny, "filters": [4, 4, 4], "blocks": 1, "first": 1, "skips": True, "final_epochs": 0}
    run = pronas.search("digits", out=tmp_path / "run", **settings)
    assert [(child.level, child.cell.skips) for child in run.children()] == [(1, ()), (2, ((0, 2),))]


def test_when_all_fail_the_reason_is_told(tiny, tmp_path):
    recipe = {"name": "search", "learning_rate": 1e6, "optimizer": "sgd", "momentum": 0.0, "epochs": 1, "batch": 32}
    recipe["loss"] = "squared-hinge"
    with pytest.raises(RunError, match=r"all 3 children of the first level failed, \d of them with: diverged"):
        pronas.search("digits", out=tmp_path / "run", **{**tiny, "recipe": recipe})
    run = Experiment(tmp_path / "run")
    assert run.state == "failed"
    assert [(child.status, child.reward) for child in run.children()] == [("failed", 0.0)] * 3
    with pytest.raises(RunError, match="no child is trained"):
        _ = run.best


def test_changed_images_are_noticed(tiny, tmp_path):
    generator = np.random.default_rng(0)

    def images(path, seed):
        arrays = {f"x_{part}": generator.integers(0, 255, (60, 8, 8), dtype=np.uint8) for part in ("train", "test")}
        labels = {f"y_{part}": np.arange(60) % 3 for part in ("train", "test")}
        np.savez(path, **arrays, **labels)

    images(tmp_path / "a.npz", 0)
    settings = {**tiny, "blocks": 1, "final_epochs": 0, "limit": None}
    pronas.search(tmp_path / "a.npz", out=tmp_path / "run", **settings)
    from pronas.runs.store import Store

    store = Store(tmp_path / "run")
    store.set_meta(state="searching")
    store.close()
    images(tmp_path / "a.npz", 1)
    with pytest.raises(RunError, match="are not those that the search began with"):
        pronas.search(tmp_path / "a.npz", out=tmp_path / "run", **settings)


def test_a_folder_of_something_else_is_left_alone(tmp_path, tiny):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="is no run folder"):
        pronas.search("digits", out=tmp_path, **tiny)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(RunError, match="is no run folder"):
        Experiment(tmp_path)


def test_the_loop_of_the_old_systems():
    space = pronas.StateSpace(B=2, operators=["3x3 maxpool", "3x3 dconv"], input_lookback_depth=0)
    controller = pronas.ControllerManager(space, B=2, K=2, train_iterations=20)
    networks = pronas.NetworkManager(pronas.load_dataset("digits", limit=200), epochs=1, batchsize=64)
    trained = []
    for _ in range(2):
        cells = controller.get_actions()
        rewards = [networks.get_reward(cell) for cell in cells]
        controller.train(rewards)
        controller.update()
        trained += zip(cells, rewards, strict=True)
    assert [len(cell) for cell, _ in trained] == [1, 1, 1, 2, 2]
    assert all(0 < reward <= 1 for _, reward in trained)


def test_importing_pronas_is_light_and_search_is_a_function():
    code = (
        "import sys, pronas; assert 'torch' not in sys.modules and 'numpy' not in sys.modules;"
        "import inspect; assert inspect.isfunction(pronas.search);"
        "assert all(hasattr(pronas, name) for name in pronas.__all__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("first", "said"), [(3, True), (21, False)])
def test_evolution_as_small_as_its_population_says_what_it_is(tiny, tmp_path, first, said):
    events: list[dict] = []

    def on_event(event):
        events.append(event)
        return "stop" if event["event"] == "level" else None

    settings = {**tiny, "strategy": "evolution", "first": first, "children": 2}
    pronas.search("digits", out=tmp_path / "run", on_event=on_event, **settings)
    told = [event["text"] for event in events if event["event"] == "note"]
    assert any("evolution of 5 children is random search" in text for text in told) == said
    assert bool(told) == said


def test_recipes_and_skeletons_are_taken_as_objects(tiny, tmp_path):
    recipe = pronas.Recipe(epochs=1, batch=32, learning_rate=0.01)
    objects = {
        "recipe": recipe,
        "final_recipe": recipe.replace(epochs=2),
        "skeleton": pronas.skeleton("flat", filters=[4]),
    }
    settings = {name: value for name, value in tiny.items() if name not in ("filters", "epochs", "final_epochs")}
    run = pronas.search("digits", out=tmp_path / "run", **{**settings, "blocks": 1, "first": 1}, **objects)
    assert run.state == "done"
    assert (run.config.children.recipe["learning_rate"], run.config.final.epochs) == (0.01, 2)
    with pronas.NetworkManager(pronas.load_dataset("digits", limit=100), recipe=recipe) as manager:
        assert 0 <= manager.get_reward("0:3x3 conv + 0:identity") <= 1
    _, result = train(
        "0:3x3 maxpool + 0:3x3 dconv", "digits", limit=100, recipe=recipe, epochs=1, out=tmp_path / "t", threads=1
    )
    assert result["best_epoch"] == 1


def test_the_winners_mistakes_are_kept_as_pictures(finished):
    import base64
    import io
    import json

    from PIL import Image

    run, _ = finished
    found, final = json.loads((run.path / "mistakes.json").read_text("utf-8")), run.final
    for pair in found["pairs"]:
        true, said = (final["classes"].index(pair[name]) for name in ("true", "said"))
        assert final["confusion"][true][said] == pair["count"]
        assert all((one["true"], one["said"]) == (pair["true"], pair["said"]) for one in pair["images"])
    shares = [one["share"] for one in found["surest"]]
    assert shares == sorted(shares, reverse=True)
    assert all(one["truth"] <= one["share"] for one in found["surest"])
    picture = found["surest"][0]["picture"].removeprefix("data:image/png;base64,")
    assert Image.open(io.BytesIO(base64.b64decode(picture))).size == (8, 8)


def test_the_winner_is_what_is_trained_on_even_where_it_is_not_the_luckiest_child(finished, tmp_path):
    run, _ = finished
    shutil.copytree(run.path, tmp_path / "run")
    other = next(child.cell for child in run.ranked() if child.cell != run.best.cell)
    with sqlite3.connect(tmp_path / "run" / "store.sqlite") as store:
        store.execute("UPDATE meta SET value = json_set(value, '$.cell', ?) WHERE key = 'final'", (str(other),))
    events = []
    train(str(tmp_path / "run"), epochs=1, out=tmp_path / "more", on_event=events.append)
    assert [event["cell"] for event in events if event["event"] == "final"] == [str(other)]
