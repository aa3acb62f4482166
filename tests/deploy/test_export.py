"""``export``, ``pronas export`` and ``pronas benchmark`` on saved models, binary and full precision."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from deploy_graphs import adversarial

from pronas.deploy import export, load_packed, measure
from pronas.deploy.onnx import session
from pronas.errors import ModelFileError, UsageError
from pronas.networks import Binary, Flat
from pronas.space import Cell
from pronas.training import ModelSpec, load_model, save_model

CELLS = {
    "binary": "0:3x3 bconv + 0:3x3 sep-bconv | 1:3x3 maxpool + 0:3x3 avgpool",
    "flat": "0:3x3 dconv + 0:3x3 maxpool",
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, skeleton in (("binary", Binary(filters=(8, 16))), ("flat", Flat(filters=(8, 16)))):
        shape, scale = (1, 16, 16), None if name == "binary" else ([100.0], [60.0])
        network = skeleton.build(Cell.parse(CELLS[name]), shape, 4, seed=0, scale=scale)
        if name == "binary":
            adversarial(network, np.random.default_rng(0))
        spec = ModelSpec(CELLS[name], skeleton.to_dict(), shape, ("a", "b", "c", "d"), scale)
        save_model(folder / name, network.eval(), spec)
    run = folder / "run" / "weights"
    run.mkdir(parents=True)
    for suffix in (".safetensors", ".json"):
        (run / f"best{suffix}").write_bytes((folder / f"binary{suffix}").read_bytes())
    return folder


def pixels(count=20):
    return np.random.default_rng(3).integers(0, 256, (count, 1, 16, 16), dtype=np.uint8)


def torch_logits(path, images):
    with torch.no_grad():
        return load_model(path).network(torch.from_numpy(images)).numpy()


def pronas(*arguments):
    code = "from pronas.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)


@pytest.mark.parametrize("name", ["binary", "flat"])
def test_onnx_gives_pytorch_s_answers_for_any_batch(models, tmp_path, name):
    path = export(models / name, "onnx", tmp_path / "net.onnx")
    runtime = session(path)
    for count in (1, 7, 40):
        expected = torch_logits(models / name, pixels(count))
        found = runtime.run(None, {"images": pixels(count)})[0]
        assert np.abs(found - expected).max() <= 1e-4 * max(1, np.abs(expected).max())
        assert np.array_equal(found.argmax(1), expected.argmax(1))


def test_a_run_s_winner_is_packed_beside_it(models):
    path = export(models / "run")
    assert path == models / "run" / "weights" / "best.packed"
    network = load_packed(path)
    assert np.array_equal(network.logits(pixels()), torch_logits(models / "binary", pixels()))
    assert network.classes == ["a", "b", "c", "d"]
    assert network.info["cell"] == CELLS["binary"]
    path.unlink()


def test_c_and_its_header(models, tmp_path):
    path = export(models / "binary", "c", tmp_path / "net.c")
    assert "net_classify" in path.read_text()
    assert "#define NET_CLASSES 4" in path.with_suffix(".h").read_text()


def test_loaded_models_need_an_out(models, tmp_path):
    model = load_model(models / "binary")
    with pytest.raises(UsageError, match="give out"):
        export(model)
    assert export(model, out=tmp_path / "net.packed").is_file()


@pytest.mark.parametrize("format", ["packed", "c"])
def test_full_precision_goes_to_onnx_only(models, tmp_path, format):
    with pytest.raises(UsageError, match="--format onnx"):
        export(models / "flat", format, tmp_path / f"net.{format}")
    assert list(tmp_path.iterdir()) == []


def test_unhappy_paths(models, tmp_path):
    with pytest.raises(UsageError, match="did you mean 'onnx'"):
        export(models / "binary", "onx")
    with pytest.raises(ModelFileError, match="no such run or model"):
        export(tmp_path / "nothing")
    with pytest.raises(ModelFileError, match="no trained winner yet"):
        export(tmp_path)


def test_the_commands(models, tmp_path):
    done = pronas("export", models / "run", "--format", "packed", "--out", tmp_path / "net.packed")
    assert done.returncode == 0, done.stderr
    assert "bytes" in done.stdout
    bad = pronas("export", models / "flat", "--format", "c", "--out", tmp_path / "net.c")
    assert (bad.returncode, bad.stderr.count("\n")) == (2, 1)
    timed = pronas("benchmark", tmp_path / "net.packed", "--repeats", 3)
    assert timed.returncode == 0, timed.stderr
    assert "us an image" in timed.stdout


def test_measure_compares_every_form(models):
    forms = {m.name.split(" (")[0]: m for m in measure(load_model(models / "binary"), pixels(), repeats=2)}
    assert set(forms) == {"PyTorch", "packed", "ONNX Runtime"}
    assert forms["packed"].difference == 0
    assert all(m.agreement == 1 and m.microseconds > 0 for m in forms.values())
    assert forms["PyTorch"].size > 15 * forms["packed"].size
    assert json.dumps([m.size for m in forms.values()])
