"""search, train, show and predict as typed: what they print, and one line for every mistake."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3

import numpy as np
import pytest
from PIL import Image

import pronas
from pronas.runs import Experiment

TINY = [
    *("--space", "flat", "--operators", "3x3 maxpool,3x3 dconv", "--filters", "4,4", "--limit", "200"),
    *("--blocks", "1", "--first", "2", "--epochs", "1", "--final-epochs", "1", "--threads", "1"),
    *("--execution", "inline"),
]

FOLDERS = "see docs/errors.md#folders"


def test_search_in_plain_lines(pronas_main, run_folder):
    code, out, err = pronas_main("search", *TINY, "--out", run_folder)
    assert (code, err) == (0, [])
    assert out[0] == f"{run_folder} is finished"
    assert any(line.startswith("test accuracy: ") for line in out)
    assert any(line.startswith("size: ") for line in out)
    assert any(line.startswith(f"files:         {run_folder}/ (weights/best.safetensors, ") for line in out)
    assert f"  pronas report {run_folder} " in "\n".join(out)
    assert not [line for line in out if "\x1b" in line or "\r" in line]


def test_search_in_json_lines(pronas_main, tmp_path):
    code, out, _ = pronas_main("search", *TINY, "--out", tmp_path / "run", "--json", "--seed", 3)
    events = [json.loads(line) for line in out]
    assert code == 0
    assert [event["event"] for event in events] == [
        *("start", "level", "progress", "child", "progress", "child", "fit", "final", "epoch", "done"),
    ]
    assert events[-1]["test_accuracy"] == Experiment(tmp_path / "run").test_accuracy


def test_the_default_folder_is_the_first_that_fits(pronas_main, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pronas-run").mkdir()
    (tmp_path / "pronas-run" / "mine").touch()
    quick = [*TINY, "--final-epochs", 0, "--first", 1, "--json"]
    paths = []
    for seed in (1, 2, 1):
        code, out, _ = pronas_main("search", *quick, "--seed", seed)
        assert code == 0
        paths.append(json.loads(out[-1])["path"])
    assert paths == ["pronas-run-2", "pronas-run-3", "pronas-run-2"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["search", "--data", "nowhere"], 1, "nowhere"),
        (["search", "--space", "pnsa"], 2, "did you mean 'pnas'"),
        (["search", "--operators", "3x3 dcon"], 2, "did you mean '3x3 dconv'"),
        (["search", "--children", "some"], 2, "must be a whole number or 'all', not 'some' (--children)"),
        (["search", "--epochs", "0"], 2, "children.epochs must be at least 1"),
        (["search", "--epochs", "x"], 2, "Invalid value for '--epochs'"),
        (["search", "--recipe", "serch"], 2, "did you mean 'search'"),
        (["search", "--skeleton", "flta"], 2, "did you mean 'flat'"),
        (["search", "--execution", "locl"], 2, "did you mean 'local'"),
        (["search", "--resume", "nowhere"], 1, "nowhere is no run folder"),
        (["search", "--config", "nowhere.toml"], 2, "nowhere.toml: No such file"),
        (["search", "--modules", "no_such_module"], 2, "module 'no_such_module' cannot be imported"),
        (["search", "--reuse", "nowhere", "--blocks", "1"], 1, "nowhere is no run folder"),
        (["search", "--chidren", "3"], 2, "No such option: --chidren"),
        (["train", "no cell at all"], 2, "cannot read 'no cell at all' as a cell"),
        (["train", "nowhere/run"], 2, "nowhere/run is no run folder, and no cell either"),
        (["train", "[[1. 0.]] [[1. 0.]] [[1. 0.]] [[1. 0.]]"], 2, "give one (--space)"),
        (["show", "nowhere"], 1, "nowhere is no run folder"),
        (["predict", "nowhere", "x.png"], 1, "nowhere: no such run or model"),
        (["predict"], 2, "Missing argument"),
    ],
)
def test_mistakes_are_one_line(pronas_main, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    found, out, err = pronas_main(*arguments)
    assert (found, out, len(err)) == (code, [], 1)
    assert message in err[0]
    assert err[0].startswith("error: ")


def test_show_names_the_best_cells_and_what_to_do(pronas_main, run_folder):
    code, out, _ = pronas_main("show", run_folder, "--top", 1)
    best = Experiment(run_folder).best
    assert code == 0
    assert out[0] == f"{run_folder}: digits, done, 2 of 2 children trained"
    assert [line for line in out if line.endswith(str(best.cell))]
    assert any(f"pronas predict {run_folder}" in line for line in out)
    code, out, _ = pronas_main("show", run_folder, "--json")
    facts = json.loads("\n".join(out))
    assert facts["state"] == "done"
    assert [child["reward"] for child in facts["best"]] == [child.reward for child in Experiment(run_folder).ranked()]


def test_show_says_what_the_winner_and_its_child_knew(pronas_main, run_folder, tmp_path):
    folder = shutil.copytree(run_folder, tmp_path / "run")
    with contextlib.closing(sqlite3.connect(folder / "store.sqlite")) as store, store:
        final = json.loads(store.execute("SELECT value FROM meta WHERE key = 'final'").fetchone()[0])
        final |= {"trial_accuracy": 0.91, "learnt_accuracy": 0.5, "kept": "child"}
        store.execute("UPDATE meta SET value = ? WHERE key = 'final'", (json.dumps(final),))
    _, out, _ = pronas_main("show", folder)
    told = "its child: 91.00% of the validation images, unseen; the winner: 50.00%, learnt"
    assert f"{told}: the child's weights are kept" in out


def test_show_while_it_runs(pronas_main, tmp_path):
    from pronas.runs.store import Store

    store = Store(tmp_path)
    store.set_meta(config={"seed": 1}, state="searching")
    cell = "0:identity + 0:identity"
    store.propose([{"level": 1, "round": 1, "cell": cell, "canonical": cell}])
    code, out, _ = pronas_main("show", tmp_path)
    assert code == 0
    assert "no child is trained yet" in out
    assert any(line.endswith(f"pronas search --resume {tmp_path}") for line in out)
    store.close()


def test_train_a_cell_and_go_on(pronas_main, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cell = ["0:3x3 maxpool + 0:3x3 dconv", "--limit", 200, "--filters", "4,4", "--epochs", 2, "--threads", 1]
    code, out, _ = pronas_main("train", *cell, "--verbose")
    assert code == 0
    assert [line[:9] for line in out if line.startswith("epoch")] == ["epoch 1/2", "epoch 2/2"]
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith("pronas-train-")
    result = json.loads((folder / "result.json").read_text())
    assert f"test accuracy: {100 * result['test_accuracy']:.2f} %" in "\n".join(out)
    assert sorted(path.name for path in (folder / "weights").iterdir()) == ["best.json", "best.safetensors"]
    code, out, _ = pronas_main("train", *cell)
    assert code == 0
    assert out[0] == f"{folder.name} is finished"
    assert not [line for line in out if line.startswith("epoch")]
    code, _, err = pronas_main("train", *cell, "--seed", 9, "--out", folder)
    assert (code, err) == (2, [f"error: {folder} holds another training; choose another --out ({FOLDERS})"])


def test_train_from_a_run_from_saved_weights_with_expansion(pronas_main, run_folder, tmp_path):
    weights = run_folder / "weights" / "best.safetensors"
    command = [
        "train",
        run_folder,
        "--epochs",
        1,
        "--out",
        tmp_path / "t",
        "--load-saved",
        weights,
        "--expansion",
        "--json",
    ]
    code, out, _ = pronas_main(*command)
    assert code == 0
    done = json.loads(out[-1])
    assert done["cell"] == str(Experiment(run_folder).best.cell)
    result = json.loads((tmp_path / "t" / "result.json").read_text())
    steps = (5 * 200) // 32
    assert result["images"] == steps * 32
    code, out, _ = pronas_main("train", run_folder, "--child", 7, "--out", tmp_path / "u")
    assert code == 2


def test_train_reads_representation_strings(pronas_main, tmp_path):
    space = pronas.StateSpace(2, ["3x3 maxpool", "3x3 dconv"], 0)
    text = pronas.Cell.parse("0:3x3 maxpool + 0:3x3 dconv").representation(space)
    flags = [
        "--space",
        "flat",
        "--operators",
        "3x3 maxpool,3x3 dconv",
        "--blocks",
        2,
        "--filters",
        "4,4",
        "--threads",
        1,
    ]
    code, out, _ = pronas_main("train", text, *flags, "--limit", 200, "--epochs", 1, "--out", tmp_path / "t")
    assert code == 0
    assert "cell:          0:3x3 maxpool + 0:3x3 dconv" in out


def test_predict_says_what_the_network_says(pronas_main, run_folder, tmp_path):
    data = pronas.load_dataset("digits")
    images = data.test.images[:3]
    np.save(tmp_path / "images.npy", images)
    Image.fromarray(images[0, 0]).save(tmp_path / "one.png")
    code, out, _ = pronas_main(
        "predict", run_folder, tmp_path / "images.npy", tmp_path / "one.png", "--json", "--top", 10
    )
    assert code == 0
    found = [json.loads(line) for line in out]
    assert [entry["image"].rsplit("/", 1)[1] for entry in found] == [
        "images.npy[0]",
        "images.npy[1]",
        "images.npy[2]",
        "one.png",
    ]
    import torch

    with torch.inference_mode():
        expected = Experiment(run_folder).load()(torch.from_numpy(images)).softmax(1).numpy()
    for entry, row in zip(found, expected, strict=False):
        shares = {part["class"]: part["probability"] for part in entry["classes"]}
        assert [shares[str(label)] for label in range(10)] == pytest.approx(row.tolist(), abs=1e-5)
    assert found[3]["classes"] == found[0]["classes"]
    code, out, _ = pronas_main("predict", run_folder / "weights" / "best.safetensors", tmp_path / "one.png")
    best = found[0]["classes"][0]
    assert out == [f"{tmp_path / 'one.png'}: {best['class']} {100 * best['probability']:.1f} %"]


def test_predict_runs_packed_networks(pronas_main, tmp_path):
    pronas.search(
        "digits",
        out=tmp_path / "run",
        space="binary",
        blocks=1,
        first=1,
        epochs=1,
        final_epochs=1,
        filters=[8, 8],
        limit=200,
        execution="inline",
        threads=1,
    )
    pronas.export(tmp_path / "run", "packed", tmp_path / "tiny.pronas")
    np.save(tmp_path / "images.npy", pronas.load_dataset("digits").test.images[:20])
    arguments = [tmp_path / "images.npy", "--json", "--top", 3]
    of_run = pronas_main("predict", tmp_path / "run", *arguments)
    of_packed = pronas_main("predict", tmp_path / "tiny.pronas", *arguments)
    assert of_run[0] == of_packed[0] == 0
    assert of_run[1] == of_packed[1]


def test_predict_goes_on_over_bad_files(pronas_main, run_folder, tmp_path):
    for name in ("a", "c"):
        Image.new("L", (8, 8), 9).save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n")
    code, out, err = pronas_main("predict", run_folder, tmp_path, tmp_path / "gone.png")
    assert code == 1
    assert [line.split(": ")[0] for line in out] == [str(tmp_path / "a.png"), str(tmp_path / "c.png")]
    assert [line for line in err if "b.png: " in line]
    assert [line for line in err if "gone.png: no such file" in line]
    assert err[-1] == "pronas: 2 of 4 files cannot be classified"
