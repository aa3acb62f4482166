"""``export``, ``pronas export`` and ``pronas benchmark`` on saved models, binary and full precision."""

import contextlib
import io
import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from deploy_graphs import adversarial

from pronas.cli import main
from pronas.data import Split, dataset_from_arrays
from pronas.deploy import Measurement, export, export_with_facts, load_packed, load_targets, measure, measure_on
from pronas.deploy.integer import integer_model, run_integer
from pronas.deploy.onnx import TOLERANCE, check_onnx, export_onnx, session, torch_program
from pronas.errors import ModelFileError, UsageError
from pronas.networks import Binary, Flat, operator
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
        save_model(network.eval(), folder / name, spec)
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
    """The command in this process: (exit status, standard output, standard error)."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pronas", *map(str, arguments)])
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


@pytest.mark.parametrize("name", ["binary", "flat"])
def test_onnx_gives_pytorch_s_answers_for_any_batch(models, tmp_path, name):
    path = export(models / name, "onnx", tmp_path / "net.onnx")
    runtime = session(path)
    for count in (1, 7, 40):
        expected = torch_logits(models / name, pixels(count))
        found = runtime.run(None, {"images": pixels(count)})[0]
        assert np.abs(found - expected).max() <= 1e-4 * max(1, np.abs(expected).max())
        assert np.array_equal(found.argmax(1), expected.argmax(1))


def test_networks_that_are_not_files_are_written_too(models, tmp_path):
    network = load_model(models / "flat").network
    path = export_onnx(network, (1, 16, 16), tmp_path / "net.onnx")
    assert check_onnx(network, (1, 16, 16), path, "net") <= TOLERANCE
    torch_program(network, (1, 16, 16), tmp_path / "net.pt2")
    found = torch.export.load(tmp_path / "net.pt2").module()(torch.from_numpy(pixels(5)))
    assert np.allclose(found.detach().numpy(), torch_logits(models / "flat", pixels(5)), atol=1e-5)


def test_a_run_s_winner_is_packed_beside_it(models):
    path = export(models / "run")
    assert path == models / "run" / "weights" / "best.packed"
    network = load_packed(path)
    assert np.array_equal(network.logits(pixels()), torch_logits(models / "binary", pixels()))
    assert network.classes == ["a", "b", "c", "d"]
    assert network.info["cell"] == CELLS["binary"]
    assert not (models / "run" / "exports.json").exists()  # no run: it has no store
    path.unlink()


def test_a_run_remembers_what_was_exported_of_its_winner(models, tmp_path):
    run = models / "run"
    (run / "store.sqlite").touch()
    for name in ("one.packed", "one.packed", "net.c"):
        export(run, name.split(".")[1], tmp_path / name)
    facts = json.loads((run / "exports.json").read_text())
    assert list(facts) == ["one.packed", "net.c"]
    assert "bytes of constants" in facts["net.c"]["flash"]
    (run / "exports.json").write_text("[")
    export(run, "packed", tmp_path / "one.packed")
    assert list(json.loads((run / "exports.json").read_text())) == ["one.packed"]


def test_c_and_its_header(models, tmp_path):
    path = export(models / "binary", "c", tmp_path / "net.c")
    assert "net_classify" in path.read_text()
    assert "#define NET_CLASSES 4" in path.with_suffix(".h").read_text()


def test_c_beyond_a_board_is_not_written(models, tmp_path):
    assert export(models / "binary", "c", tmp_path / "net.c", board="pico").exists()
    (tmp_path / "tiny.toml").write_text(
        '[boards.tiny]\nprocessor = "cortex-m0plus"\nflash = 1000\nram = 100\nmegahertz = 1\n'
    )
    load_targets(tmp_path / "tiny.toml")
    for name in ("binary", "flat"):
        with pytest.raises(UsageError, match=r"bytes of flash are .* more than tiny has .* the largest layer is"):
            export(models / name, "c", tmp_path / "large.c", data=images(), board="tiny")
    with pytest.raises(UsageError, match="choose c"):
        export(models / "binary", "packed", tmp_path / "net.packed", board="pico")
    assert not list(tmp_path.glob("large*"))


def test_loaded_models_need_an_out(models, tmp_path):
    model = load_model(models / "binary")
    with pytest.raises(UsageError, match="give out"):
        export(model)
    assert export(model, out=tmp_path / "net.packed").is_file()


def test_full_precision_is_not_packed_and_int8_needs_images(models, tmp_path):
    with pytest.raises(UsageError, match="as c, tflite or onnx"):
        export(models / "flat", "packed", tmp_path / "net.packed")
    for format in ("c", "tflite"):
        with pytest.raises(UsageError, match="give data"):
            export(models / "flat", format, tmp_path / f"net.{format}")
    with pytest.raises(UsageError, match="no int8 form"):
        export(models / "binary", "tflite", tmp_path / "net.tflite")
    with pytest.raises(UsageError, match="give int8 as well"):
        export(models / "flat", "onnx", tmp_path / "net.onnx", qat=2)
    assert list(tmp_path.iterdir()) == []


def images():
    """Four classes of 16x16 pictures that a network can tell apart."""
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 4
    pictures = rng.integers(0, 80, (400, 1, 16, 16))
    for image, label in zip(pictures, labels, strict=True):
        image[:, 8 * (label // 2) : 8 * (label // 2) + 8, 8 * (label % 2) : 8 * (label % 2) + 8] += 150
    return dataset_from_arrays((pictures.astype(np.uint8), labels), (pictures[:40].astype(np.uint8), labels[:40]))


class Sine(torch.nn.Module):
    def forward(self, maps):
        return torch.sin(maps)


def test_a_user_s_operator_without_an_integer_form_is_named_and_onnx_takes_it(tmp_path):
    @operator("test sine", binary=False)
    def sine(context):
        return torch.nn.Sequential(context.factory.convolution(context, 3), Sine())

    cell, skeleton, shape = "0:test sine + 0:3x3 conv", Flat(filters=(4, 4)), (1, 16, 16)
    network = skeleton.build(Cell.parse(cell), shape, 4, seed=0).eval()
    save_model(network, tmp_path / "own", ModelSpec(cell, skeleton.to_dict(), shape, ("a", "b", "c", "d"), None))
    before = sorted(tmp_path.iterdir())
    said = "cell 0, block 0, left: a layer Sine has no integer form; register one with pronas.deploy.integer.lowering"
    for format, int8 in (("c", False), ("tflite", False), ("onnx", True)):
        with pytest.raises(UsageError, match=f"{said}, or export to onnx"):
            export(tmp_path / "own", format, tmp_path / f"net.{format}", data=images(), int8=int8)
    assert sorted(tmp_path.iterdir()) == before
    whole = export(tmp_path / "own", "onnx", tmp_path / "net.onnx")
    assert session(whole).run(None, {"images": pixels(5)})[0].shape == (5, 4)


def test_too_few_calibration_images_are_said(models, tmp_path):
    whole = images()
    few = replace(whole, train=Split(whole.train.images[:20], whole.train.labels[:20]))
    with pytest.raises(UsageError, match="20 calibration images are too few: give 32 or more"):
        export(models / "flat", "c", tmp_path / "net.c", data=few)
    assert list(tmp_path.iterdir()) == []


def test_int8_forms_and_what_stands_beside_them(models, tmp_path):
    data = images()
    made = export_with_facts(models / "flat", "c", tmp_path / "net.c", data=data, calibration="percentile")
    assert [path.name for path in made.beside] == ["net.h", "net_main.c", "net.c.txt"]
    assert made.agreement.same > 0.9
    text = (tmp_path / "net.c.txt").read_text()
    assert "net_classify(pixels)" in text
    assert "validation images" in text
    assert "bytes of constants" in made.facts["flash"]
    command = ["cc", "-O1", "-o", tmp_path / "net", tmp_path / "net_main.c", tmp_path / "net.c"]
    subprocess.run(list(map(str, command)), check=True)
    (tmp_path / "one.raw").write_bytes(data.test.images[0].tobytes())
    done = subprocess.run([tmp_path / "net", tmp_path / "one.raw"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in "abcd"
    lite = export(models / "flat", "tflite", tmp_path / "net.tflite", data=lambda: data)
    assert lite.read_bytes()[4:8] == b"TFL3"
    whole = export(models / "flat", "onnx", tmp_path / "net.onnx", data=data, int8=True)
    assert session(whole).run(None, {"images": pixels(5)})[0].shape == (5, 4)


def test_training_with_fake_quantization_keeps_to_the_float_network(models):
    data, model = images(), load_model(models / "flat")
    expected = torch_logits(models / "flat", data.validation.images)

    def distance(qat):
        one = integer_model(model, data, qat=qat, calibration="percentile")
        logits = (run_integer(one, data.validation.images).astype(np.float32) - one.scales[-1].zero) * one.scales[
            -1
        ].scale
        return float(((logits - expected) ** 2).mean()), one

    (before, first), (after, second) = distance(0), distance(4)
    assert after < 2 * before
    assert any((a.weight != b.weight).any() for a, b in zip(first.numbers, second.numbers, strict=True))
    with pytest.raises(UsageError, match="give 1 or more"):
        integer_model(model, data, qat=-1)


@pytest.mark.parametrize("images", [((4, 1, 8, 8), 4), ((4, 3, 16, 16), 4), ((6, 1, 16, 16), 3)])
def test_scales_are_taken_from_the_images_of_the_model_alone(models, images):
    shape, classes = images
    pixels = np.zeros((40, *shape[1:]), np.uint8)
    other = dataset_from_arrays((pixels, np.arange(40) % classes), layout="NCHW")
    with pytest.raises(UsageError, match="give the images that it was trained on"):
        integer_model(load_model(models / "flat"), other)


def test_pt2_loads_in_plain_pytorch(models, tmp_path):
    for name in ("binary", "flat"):
        path = export(models / name, "pt2", tmp_path / f"{name}.pt2")
        found = torch.export.load(path).module()(torch.from_numpy(pixels())).detach().numpy()
        assert np.allclose(found, torch_logits(models / name, pixels()), rtol=1e-4, atol=1e-4)
    code = (
        "import sys, torch\n"
        f"net = torch.export.load({str(path)!r}).module()\n"
        "print(net(torch.zeros(2, 1, 16, 16, dtype=torch.uint8)).shape[1], 'pronas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["4", "False"], done.stderr


def test_unhappy_paths(models, tmp_path):
    with pytest.raises(UsageError, match="did you mean 'onnx'"):
        export(models / "binary", "onx")
    with pytest.raises(ModelFileError, match="no such run or model"):
        export(tmp_path / "nothing")
    with pytest.raises(ModelFileError, match="no trained winner"):
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


def test_int8_is_measured_beside_the_others_and_counted(models):
    data, model = images(), load_model(models / "flat")
    integers = integer_model(model, data)
    forms = {m.name: m for m in measure(model, data.validation.images[:20], 2, integers)}
    assert set(forms) - {"TFLite (LiteRT)"} == {"PyTorch", "pt2", "ONNX Runtime", "ONNX Runtime int8", "int8 C"}
    assert all(form.agreement > 0.8 for form in forms.values())
    with pytest.raises(UsageError, match="give data"):
        measure_on(model, data.validation.images[0], "cortex-m4")
    if shutil.which("qemu-system-arm") and shutil.which("arm-none-eabi-gcc"):
        for name, one in (("flat", integers), ("binary", None)):
            found = measure_on(load_model(models / name), data.validation.images[0], "cortex-m4", one)
            assert 0 < found.stack < 1000 < found.instructions


def test_measure_compares_every_form(models):
    forms = {m.name.split(" (")[0]: m for m in measure(load_model(models / "binary"), pixels(), repeats=2)}
    assert isinstance(forms["PyTorch"], Measurement)
    assert set(forms) == {"PyTorch", "pt2", "packed", "C", "ONNX Runtime"}
    assert forms["packed"].difference == forms["C"].difference == 0
    assert all(m.agreement == 1 and m.microseconds > 0 for m in forms.values())
    assert forms["PyTorch"].size > 15 * forms["packed"].size
    assert json.dumps([m.size for m in forms.values()])
