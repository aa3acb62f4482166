"""Presets: published searches by one name, at any scale, and what they depart from; searches on from known rewards."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pronas
from pronas.errors import DataError, SettingError, UsageError
from pronas.networks import reference
from pronas.runs import PRESETS, SETTINGS, preset, train
from pronas.space import named_space

REFERENCE = {  # the paper, section 5.1 and appendix; the two systems' own settings
    "paper": {
        "space.blocks": 5,
        "space.lookback": -2,
        "search.first": 0,
        "search.children": 256,
        "search.predictor": "paper-mlp-ensemble",
        "search.predictor_settings.cells": 100,
        "search.predictor_settings.embedding": 100,
        "children.epochs": 20,
        "children.skeleton.F": 24,
        "children.skeleton.N": 2,
        "children.recipe.optimizer": "sgd",
        "children.recipe.learning_rate": 0.01,
        "children.recipe.schedule": "cosine",
        "final.skeleton.F": 48,
        "final.skeleton.N": 3,
        "final.skeleton.auxiliary": True,
        "final.skeleton.drop_path": 0.4,
        "final.recipe.label_smoothing": 0.1,
        "final.recipe.augmentation.cutout": 16,
    },
    "paper-imagenet": {
        "space.blocks": 5,
        "search.children": 256,
        "data.image_size": [224, 224],
        "final.skeleton.name": "pnas-imagenet",
        "final.skeleton.F": 54,
        "final.skeleton.N": 3,
        "final.recipe.optimizer": "rmsprop",
        "final.recipe.epsilon": 1.0,
        "final.recipe.label_smoothing": 0.1,
    },
    "flat-cifar": {
        "space.lookback": 0,
        "space.operators": ["3x3 dconv", "5x5 dconv", "7x7 dconv", "1x7-7x1 conv", "3x3 maxpool", "3x3 avgpool"],
        "search.children": 8,
        "search.first": 0,
        "search.predictor": "lstm",
        "search.predictor_settings.cells": 100,
        "search.predictor_settings.embedding": 20,
        "children.epochs": 5,
        "children.batch": 128,
        "children.skeleton.filters": [32, 64],
        "children.skeleton.strides": [2, 2],
        "children.skeleton.combine": "concat",
        "children.recipe.optimizer": "adam",
        "children.recipe.learning_rate": 1e-3,
        "children.recipe.schedule": "cosine",
        "children.recipe.final": 0.1,
        "final.epochs": 0,
    },
    "binary-mnist": {
        "data.name": "mnist",
        "search.children": 128,
        "search.predictor_settings.cells": 100,
        "search.predictor_settings.epochs": 15,
        "search.predictor_settings.l2": 0.0,
        "children.epochs": 20,
        "children.batch": 128,
        "children.skeleton.filters": [16, 24, 32],
        "children.skeleton.dense": [32],
        "children.skeleton.h": "Glorot",
        "children.skeleton.rate": "Glorot",
        "children.skeleton.input_dropout": 0.2,
        "children.skeleton.dropout": 0.5,
        "children.recipe.loss": "squared-hinge",
        "children.recipe.amsgrad": True,
        "children.recipe.schedule": "exponential",
        "children.recipe.augmentation.expansion": True,
        "final.epochs": 200,
    },
}
BUDGET_ACCURACY = 0.5  # far above chance, far below what is usual: a loaded machine trains little
TEN = ["3x3 bconv", "5x5 bconv", "7x7 bconv", "1x7-7x1 bconv", "3x3 sep-bconv", "5x5 sep-bconv", "7x7 sep-bconv"]
TINY = {"data": "digits", "scale": 0.004, "execution": "inline"}


def at(values, key):
    for part in key.split("."):
        values = values[part]
    return values


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_holds_what_was_published(name):
    values = preset(name)
    assert {key: at(values, key) for key in REFERENCE[name]} == REFERENCE[name]


def test_the_ten_binary_operators_and_the_papers_eight():
    assert preset("binary-mnist")["space"]["operators"] == [*TEN, "3x3 maxpool", "3x3 avgpool", "linear"]
    assert set(preset("paper")["space"]["operators"]) == set(named_space("pnas", 5).operators)


def searched(name, out, **settings):
    """A search at the smallest scale: (run, what it noted)."""
    notes = []

    def tell(event):
        if event["event"] == "note":
            notes.append(event["text"])

    return pronas.search(preset=name, out=out, on_event=tell, **{**TINY, **settings}), notes


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    return searched("flat-cifar", tmp_path_factory.mktemp("flat") / "run")


def test_a_scaled_search_runs_resumes_and_says_what_it_changes(flat):
    run, notes = flat
    assert [(child.level, len(child.cell)) for child in run.children()] == [(1, 1), (1, 1), (2, 2), (3, 3)]
    said = [text for text in notes if text.startswith("preset flat-cifar: ")]
    assert len(said) == 1
    changed = "children.epochs 1 (5), data.limit 200 (all), data.name digits (cifar10), search.children 1 (8), "
    assert said[0] == f"preset flat-cifar: {changed}search.first 2 (all)"
    before = [child.reward for child in run.children()]
    again = pronas.search(resume=run.path)
    assert [child.reward for child in again.children()] == before


@pytest.mark.parametrize("name", ["paper", "binary-mnist"])
def test_the_other_presets_run_and_are_interrupted(name, tmp_path):
    smaller = {"final_epochs": 0, "train_iterations": 10}
    if name == "paper":
        smaller |= {"filters": 4, "repeats": 1, "operators": "identity,3x3 maxpool"}
    else:
        smaller |= {"filters": (8, 8, 8), "operators": "3x3 bconv,linear"}
    seen = []

    def stop(event):
        seen.append(event["event"])
        return "stop" if seen.count("child") == 2 else None

    pronas.search(preset=name, out=tmp_path / "run", on_event=stop, **{**TINY, **smaller})
    run, notes = searched(name, tmp_path / "other", **smaller)
    assert max(child.level for child in run.children()) == (5 if name == "paper" else 3)
    assert any(text.startswith(f"preset {name}: ") for text in notes)


def test_the_imagenet_preset_runs_on_a_folder_and_resumes(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 72, 72, 3), np.uint8)
    for i, pixels in enumerate(images):
        (tmp_path / "photos" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels // (1 + i % 2)).save(tmp_path / "photos" / "ab"[i % 2] / f"{i}.png")
    smaller = {"final_epochs": 0, "train_iterations": 10, "filters": 4, "repeats": 1, "image_size": 64}
    smaller |= {"data": str(tmp_path / "photos"), "operators": "identity,3x3 maxpool", "scale": 0.01}
    run, notes = searched("paper-imagenet", tmp_path / "run", **smaller)
    assert sorted({child.level for child in run.children()}) == [1, 2, 3, 4, 5]
    assert all(child.status == "done" for child in run.children())
    assert any("data.image_size" in text for text in notes)
    before = [(str(child.cell), child.reward) for child in run.children()]
    assert [(str(child.cell), child.reward) for child in pronas.search(resume=run.path).children()] == before


def test_images_net_needs_a_folder(tmp_path):
    with pytest.raises(DataError, match="imagenet"):
        pronas.search(preset="paper-imagenet", scale=0.001, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"preset": "papr"}, "did you mean 'paper'"),
        ({"scale": 0.5}, "goes with a preset"),
        ({"preset": "paper", "scale": 0}, "must be above 0"),
        ({"preset": "paper", "scale": 1.5}, "must be at most 1"),
        ({"preset": "flat-cifar", "predictor": "gp", "data": "digits"}, "predictor 'gp'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_a_folder_is_made(settings, says, tmp_path):
    with pytest.raises(UsageError, match=says):
        pronas.search(out=tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_a_setting_given_wins_and_a_file_too(tmp_path):
    (tmp_path / "own.toml").write_text("[search]\npreset = 'flat-cifar'\nscale = 0.004\nchildren = 2\n")
    run, notes = [], []
    run = pronas.search(
        config=tmp_path / "own.toml", out=tmp_path / "run", data="digits", blocks=2, first=3, on_event=notes.append
    )
    assert sorted(child.level for child in run.children()) == [1, 1, 1, 2, 2]
    stored = tomllib.loads((tmp_path / "run" / "config.toml").read_text("utf-8"))
    assert (stored["search"]["preset"], stored["search"]["scale"]) == ("flat-cifar", 0.004)


# -- on from known rewards


def old_files(run):
    folder = Path(run.path)
    scores = folder / "scores_3.csv"
    return [folder / "train_history.csv", next((folder / "architectures").iterdir()), scores]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_old_systems_files_start_a_search(flat, number, tmp_path):
    file = old_files(flat[0])[number]
    run, notes = searched("flat-cifar", tmp_path / "run", warm_start=str(file), children=2, first=3)
    known = [child for child in run.children() if (child.worker or "").startswith("known from")]
    assert known
    assert any(text == f"{len(known)} cells are known from {file.name}" for text in notes)
    if number < 2:
        theirs = {child.cell.canonical(): child.reward for child in flat[0].children()}
        assert {child.cell.canonical(): child.reward for child in known} == theirs
    trained = [child.cell.canonical() for child in run.children() if child not in known]
    assert trained
    assert not {child.cell.canonical() for child in known} & set(trained)
    again = pronas.search(resume=run.path)  # its store knows; the file may be gone
    assert len(again.children()) == len(run.children())


def test_a_budget_goes_on_from_them_too(flat, tmp_path):
    file = old_files(flat[0])[0]
    run = pronas.search("digits", space="flat", budget="10s", warm_start=str(file), out=tmp_path / "run")
    assert run.final["test_accuracy"] > BUDGET_ACCURACY
    assert sum((child.worker or "").startswith("known from") for child in run.children()) == 4


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0.5,0,3x3 dconv,0,3x9 conv\n", "entry 1: .*3x9 conv.* did you mean"),
        ("1.5,0,3x3 dconv,0,3x3 dconv\n", "entry 1: a reward lies between 0 and 1"),
        ("\n0.5,0,3x3 dconv,0,3x3 dconv\nnonsense\n", "entry 3"),
        ("", "holds no rewards"),
        ("\udcff", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(text, says, tmp_path):
    (tmp_path / "known.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingError, match=says):
        searched("flat-cifar", tmp_path / "run", warm_start=str(tmp_path / "known.csv"))
    assert not (tmp_path / "run").exists()


def test_equal_cells_have_their_mean(tmp_path):
    (tmp_path / "known.csv").write_text("0.5,0,3x3 dconv,0,5x5 dconv\n0.7,0,5x5 dconv,0,3x3 dconv\n")
    run, _ = searched("flat-cifar", tmp_path / "run", warm_start=str(tmp_path / "known.csv"), blocks=1, first=2)
    assert next(iter(run.children())).reward == pytest.approx(0.6)


# -- networks by name


@pytest.mark.parametrize("name", ["resnet8", "binarynet"])
def test_a_network_is_trained_by_its_name(name, tmp_path):
    found = reference(name)
    _, result = train(name, "digits", limit=100, epochs=1, out=tmp_path / "out")
    assert result["cell"] == str(found.cell)
    assert result["skeleton"] == json.loads(json.dumps(found.skeleton.to_dict()))


def test_settings_of_presets_have_flags():
    assert {"preset", "scale", "warm_start", "controller_cells", "embedding_dim", "train_iterations"} <= set(SETTINGS)
