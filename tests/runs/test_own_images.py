"""A user's own pictures: groups, bad ones, and what is said of them."""

import json
import os

import numpy as np
import pytest
from PIL import Image

import pronas
from pronas.errors import DataError, PronasError, RunError
from pronas.runs.steps import parse, resolve


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for label in ("ant", "bee"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for person in range(10):
            for shot in range(4):
                pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "photos" / label / f"p{person}_{shot}.png")
    return tmp_path / "photos"


def search(photos, tmp_path, tiny, **more):
    events = []
    settings = {**tiny, "blocks": 1, "final_epochs": 0, "limit": None, **more}
    pronas.search(photos, out=tmp_path / "run", on_event=events.append, **settings)
    return events


def test_bad_pictures_and_groups(photos, tmp_path, tiny):
    (photos / "ant" / "p0_0.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"ant/p0_0\.png: not a picture.*skip_bad"):
        search(photos, tmp_path, tiny)
    assert not (tmp_path / "run").exists()
    events = search(photos, tmp_path, tiny, skip_bad=True, group_by=r"/(p\d+)_")
    notes = [event["text"] for event in events if event["event"] == "note"]
    assert any(note.startswith("1 of 80 pictures were left out") for note in notes)
    start = next(event for event in events if event["event"] == "start")
    assert start["train"] + start["validation"] + start["test"] == 79
    config = pronas.Experiment(tmp_path / "run").config
    assert (config.data.skip_bad, config.data.group_by) == (True, r"/(p\d+)_")


def test_a_pattern_is_checked_before_anything_is_read(tmp_path, tiny):
    with pytest.raises(PronasError, match="no regular expression") as caught:
        search(tmp_path / "gone", tmp_path, tiny, group_by="(")
    assert caught.value.exit_code == 2


def test_metric_and_class_weights_reach_children_and_winner(photos, tmp_path, tiny):
    search(photos, tmp_path, tiny, metric="macro-f1", class_weights="balanced", final_epochs=1)
    experiment = pronas.Experiment(tmp_path / "run")
    for table in (experiment.config.children, experiment.config.final):
        assert (table.recipe["metric"], table.recipe["class_weights"]) == ("macro-f1", "balanced")
    best = experiment.best
    assert best.reward == max(best.metrics["validation_macro_f1"])


def test_a_registered_augmentation_reaches_workers(tmp_path, tiny, monkeypatch):
    (tmp_path / "my_changes.py").write_text(
        "import pronas\n\n@pronas.augmentation('negative')\ndef negative(images, generator):\n    return 255 - images\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    (tmp_path / "search.toml").write_text('[children.recipe]\nname = "search"\naugmentation = "negative"\n')
    settings = {**tiny, "blocks": 1, "first": 2, "final_epochs": 0, "execution": "local", "workers": 1}
    run = pronas.search(
        "digits", out=tmp_path / "run", config=tmp_path / "search.toml", modules=["my_changes"], **settings
    )
    assert [child.status for child in run.children()] == ["done", "done"]
    assert list(run.config.children.recipe["augmentation"]["then"]) == ["negative"]
    with pytest.raises(PronasError, match="'negativ'; did you mean 'negative'"):
        pronas.search("digits", out=tmp_path / "other", recipe={"augmentation": "negativ"}, **tiny)
    assert not (tmp_path / "other").exists()


@pytest.fixture
def few(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (200, 8, 8), dtype=np.uint8), np.arange(200) % 2
    np.savez(tmp_path / "few.npz", x_train=images, y_train=labels, x_test=images[:20] ^ 1, y_test=labels[:20])
    return tmp_path / "few.npz"


@pytest.mark.parametrize(
    ("settings", "held_out"),
    [
        ({"budget": "10s"}, 60),  # compared on a tenth, children would win by luck
        ({"budget": "10s", "validation": 20}, 20),
        ({"budget": "10s", "validation": 0.2}, 40),
        ({"children": 4, "epochs": 1}, 20),  # the winner learns from the others alone
    ],
)
def test_within_a_budget_more_of_a_small_set_is_held_out(few, settings, held_out):
    problem = resolve(parse(few, settings))
    assert (len(problem.dataset.train), len(problem.dataset.validation)) == (200 - held_out, held_out)
    assert resolve(parse(few, settings)).config == problem.config  # the same command finds its run


def test_a_validation_set_of_ones_own_stays(tmp_path, few):
    with np.load(few) as stored:
        parts = dict(stored)
    np.savez(tmp_path / "own.npz", **parts, x_val=parts["x_train"][:10] ^ 3, y_val=parts["y_train"][:10])
    assert len(resolve(parse(tmp_path / "own.npz", {"budget": "10s"})).dataset.validation) == 10
    assert len(resolve(parse("digits", {"budget": "10s"})).dataset.validation) == 288  # a fifth, as it is named


def test_a_run_goes_on_with_the_split_it_began_with(few, tmp_path):
    pronas.search(few, out=tmp_path / "run", budget="10s", final_epochs=0)
    run = pronas.Experiment(tmp_path / "run")
    assert run.config.data.validation == 0.3
    begun = [(child.id, child.reward) for child in run.children()]
    pronas.search(resume=tmp_path / "run")
    assert [(child.id, child.reward) for child in pronas.Experiment(tmp_path / "run").children()] == begun


def test_images_in_memory_are_divided_alike_wherever_the_run_needs_them(few, tmp_path):
    with np.load(few) as stored:
        parts = dict(stored)
    train, test = ((parts[f"x_{name}"][:, None], parts[f"y_{name}"]) for name in ("train", "test"))
    images = pronas.data.dataset_from_arrays(train, test)
    assert (len(images.validation), images.held_out) == (20, 0.1)
    run = pronas.search(images, out=tmp_path / "run", budget="10s", seed=2)
    assert run.config.data.validation == 0.3
    facts = run.meta("dataset")
    assert (facts["train"], facts["validation"], facts["test"]) == (140, 60, 20)
    assert pronas.search(images, out=tmp_path / "run", budget="10s", seed=2).final == run.final
    assert pronas.search(images, resume=tmp_path / "run").final == run.final
    pronas.runs.train(tmp_path / "run", images, epochs=1, out=tmp_path / "more")
    assert json.loads((tmp_path / "more" / "result.json").read_text())["dataset"]["validation"] == 60
    with pytest.raises(RunError, match="stopped before"):  # not: the images are others
        pronas.baseline(run, images, budget="10s", only=["ds-cnn"], on_event=lambda event: "stop")
    own = pronas.data.dataset_from_arrays(train, test, validation=30)
    assert len(resolve(parse(own, {"budget": "10s"})).dataset.validation) == 30
    assert len(resolve(parse(images, {"children": 4, "epochs": 1, "validation": 50})).dataset.validation) == 50
