"""A result belongs to its images, wherever they lie; what is not as it was is said."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

import pronas
from pronas.data import dataset_from_arrays
from pronas.errors import DataError, FolderTakenError, ModelFileError, RunError, UsageError
from pronas.runs import stored_dataset, train

QUICK = {"space": "flat", "operators": "3x3 maxpool,3x3 dconv", "filters": "4,4", "blocks": 1, "first": 1, "epochs": 1}
SEARCH = {**QUICK, "final_epochs": 1, "threads": 1, "execution": "inline"}
TRAIN = {"filters": "4,4", "epochs": 1, "threads": 1}
CELL = "0:3x3 maxpool + 0:3x3 dconv"


def arrays(seed: int):
    generator = np.random.default_rng(seed)
    return dataset_from_arrays((generator.integers(0, 255, (60, 8, 8), dtype=np.uint8), np.arange(60) % 3))


@pytest.fixture
def photos(tmp_path):
    """A folder of pictures of three classes."""

    def fill(name: str):
        generator = np.random.default_rng(len(name))
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            pixels = generator.integers(0, 255, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")

    for name in ("a", "bb", "ccc"):
        fill(name)
    fill.path = tmp_path / "photos"
    return fill


def kinds(**options):
    events: list[dict] = []
    run = pronas.search(**options, **SEARCH, on_event=events.append)
    return run, [event["event"] for event in events]


def test_two_sets_of_one_name_are_two_searches(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, _ = kinds(dataset=arrays(1))
    assert kinds(dataset=arrays(1))[1] == ["note", "done"]
    second, told = kinds(dataset=arrays(2))
    assert (str(first.path), str(second.path)) == ("pronas-run", "pronas-run-2")
    assert told[0] == "start"
    with pytest.raises(RunError, match="not those that the search began with"):
        kinds(dataset=arrays(3), out="pronas-run")
    with pytest.raises(DataError, match="given in memory, give them again"):
        pronas.search(resume=_unfinished("pronas-run"))
    assert pronas.search(arrays(1), resume="pronas-run").state == "done"


def test_commands_that_are_shown_can_be_typed(tmp_path):
    import shlex

    from typer.testing import CliRunner

    from pronas.cli import build_app

    run, _ = kinds(dataset=arrays(1), out=tmp_path / "my photos' run")
    lines = CliRunner().invoke(build_app(), ["show", str(run.path)]).output.splitlines()
    typed = [shlex.split(line) for line in lines if line.strip().startswith("pronas ")]
    assert len(typed) > 3
    assert all(words[2] == str(run.path) for words in typed)


def test_a_trained_cell_belongs_to_its_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, result = train(CELL, arrays(1), **TRAIN)
    assert train(CELL, arrays(1), **TRAIN) == (first, result)
    second, _ = train(CELL, arrays(2), **TRAIN)
    assert second != first
    with pytest.raises(FolderTakenError, match="holds another training"):
        train(CELL, arrays(2), out=first, **TRAIN)


def test_a_folder_that_gained_a_class_is_other_data(photos, tmp_path):
    run, _ = kinds(dataset=photos.path, out=tmp_path / "run")
    trained, _ = train(CELL, photos.path, out=tmp_path / "trained", **TRAIN)
    assert stored_dataset(run.path).fingerprint == stored_dataset(trained).fingerprint
    photos("dddd")
    for use in (
        lambda: kinds(dataset=photos.path, out=tmp_path / "run"),
        lambda: pronas.baseline(run.path, budget="10s"),
        lambda: pronas.baseline(run.path, arrays(1), budget="10s"),
        lambda: stored_dataset(run.path),  # what export takes its scales from, and benchmark its images
        lambda: stored_dataset(trained),
    ):
        with pytest.raises(RunError, match="not those that the search began with"):
            use()


def test_a_run_follows_its_data(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run, _ = kinds(dataset="photos", out="run")
    for spelt in ("./photos/", photos.path, "../" + tmp_path.name + "/photos"):
        assert kinds(dataset=spelt, out="run")[1] == ["note", "done"]
    assert run.config.data.name == str(photos.path)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert pronas.search(resume=_unfinished(tmp_path / "run")).state == "done"
    shutil.move(photos.path, tmp_path / "moved")
    assert pronas.search(resume=tmp_path / "run").state == "done"  # finished: nothing to train, no images needed
    assert pronas.Experiment(tmp_path / "run").load() is not None
    _unfinished(tmp_path / "run")
    with pytest.raises(DataError, match="the run's images are not where they were"):
        pronas.search(resume=tmp_path / "run")
    with pytest.raises(RunError, match="not those that the search began with"):
        pronas.search(arrays(1), resume=tmp_path / "run")
    again = pronas.search("../moved", resume=tmp_path / "run")
    assert (again.state, again.config.data.name) == ("done", str(tmp_path / "moved"))
    assert pronas.search(resume=_unfinished(tmp_path / "run")).state == "done"


def test_results_of_other_images_are_not_reused(tmp_path):
    kinds(dataset=arrays(1), out=tmp_path / "run")
    with pytest.raises(UsageError, match="trained on other images"):
        pronas.search(arrays(2), out=tmp_path / "other", reuse=tmp_path / "run", **SEARCH)
    assert not (tmp_path / "other").exists()


def test_deleted_files_come_back_and_the_store_is_one_file(tmp_path):
    run, _ = kinds(dataset=arrays(1), out=tmp_path / "run")
    names = [
        path for path in run.path.glob("*") if path.name not in ("store.sqlite", "weights", ".lock", "scores_1.csv")
    ]
    assert not list(run.path.glob("store.sqlite-*"))
    texts = {path: path.read_bytes() for path in names if path.is_file()}
    for again in ({"dataset": arrays(1), "out": run.path}, {"resume": run.path}):  # resumed, it needs no images
        for path in names:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        pronas.search(**again, **(SEARCH if "out" in again else {}))
        assert [path.name for path in names if not path.exists()] == []
        assert {path: path.read_bytes() for path in texts} == texts
        assert not list(run.path.glob("store.sqlite-*"))


def test_a_deleted_winner_is_trained_again_to_the_same_weights(tmp_path):
    run, _ = kinds(dataset=arrays(1), out=tmp_path / "run")
    file = run.path / "weights" / "best.safetensors"
    weights, final = file.read_bytes(), run.final
    file.unlink()
    with pytest.raises(DataError, match="given in memory, give them again"):
        pronas.search(resume=run.path)
    with pytest.raises(ModelFileError, match="resume its search"):
        pronas.export(run.path, "onnx")
    again, told = kinds(dataset=arrays(1), out=run.path)
    assert told[0] == "note"
    assert told[-1] == "done"
    assert file.read_bytes() == weights
    assert again.final | {"seconds": 0} == final | {"seconds": 0}


def test_curves_of_every_fit_come_back(tmp_path):
    from tensorboardX.proto.event_pb2 import Event

    run, _ = kinds(dataset=arrays(1), out=tmp_path / "run")

    def scalars():
        found = []
        for file in (run.path / "logs").iterdir():
            data = file.read_bytes()
            while data:
                size = int.from_bytes(data[:8], "little")
                event = Event.FromString(data[12 : 12 + size])
                found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
                data = data[16 + size :]
        return sorted(found)

    before = scalars()
    assert {"child/reward", "final/loss"} <= {tag for tag, _, _ in before}
    shutil.rmtree(run.path / "logs")
    pronas.search(resume=run.path)
    assert scalars() == before


@pytest.mark.parametrize("when", ["level", "child", "epoch"])
def test_a_folder_that_vanishes_is_an_error(tmp_path, when):
    folder = tmp_path / "run"

    def on_event(event):
        if event["event"] == when:
            shutil.rmtree(folder, ignore_errors=True)

    with pytest.raises(RunError, match=r"run/.*(is gone|No such file)"):
        pronas.search(arrays(1), out=folder, on_event=on_event, **{**SEARCH, "first": 2, "final_epochs": 2})


def _unfinished(folder):
    from pronas.runs.store import Store

    store = Store(pronas.Experiment(folder).path)
    store.set_meta(state="training", final=None)
    store.close()
    return folder
