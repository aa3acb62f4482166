"""The file that was given is run, or refused; networks that were trained further go back; files say what they are."""

from __future__ import annotations

import json
import shutil
import warnings

import numpy as np
import pytest
import torch

import pronas
from pronas.deploy import check_emulated, open_exported
from pronas.errors import ModelFileError, UsageError
from pronas.training import ModelSpec, spec_of

NAMES = ("zwei", "drei", "vier")


@pytest.fixture(scope="module")
def network():
    cell, skeleton = pronas.Cell.parse("0:3x3 conv + 0:identity"), pronas.skeleton("flat", filters=[4])
    spec = ModelSpec(str(cell), skeleton.to_dict(), (1, 8, 8), NAMES, ((30.0,), (40.0,)), {"test_accuracy": 0.9})
    return spec.build(seed=1).eval(), spec


@pytest.fixture
def folder(network, tmp_path):
    made, spec = network
    pronas.save_model(made, tmp_path / "net", spec)
    for format in ("onnx", "pt2"):
        pronas.export(tmp_path / "net.safetensors", format, tmp_path / f"net.{format}")
    return tmp_path


def images():
    return np.random.default_rng(0).integers(0, 256, (5, 1, 8, 8), dtype=np.uint8)


def test_a_given_file_is_run_never_the_model_beside_it(folder, network):
    made, _ = network
    other = made.__class__(made.plan, torch.ones(1), torch.zeros(1))
    pronas.save_model(other, folder / "net", network[1])  # beside it: another model of the same name
    opened = open_exported(folder / "net.onnx")
    expected = made(torch.from_numpy(images())).detach().numpy()
    assert np.allclose(opened.score(images()), expected, atol=1e-4)
    assert (opened.input_shape, opened.classes) == ((1, 8, 8), NAMES)
    (folder / "net.safetensors").unlink()
    assert open_exported(folder / "net.onnx") is not None


def test_onnx_and_pt2_say_classes_and_input_range(folder):
    import onnx

    props = {one.key: one.value for one in onnx.load(folder / "net.onnx").metadata_props}
    kept = {"pronas.json": ""}
    torch.export.load(folder / "net.pt2", extra_files=kept)
    for facts in (props, json.loads(kept["pronas.json"])):
        assert json.loads(facts["classes"]) == list(NAMES)
        assert facts["input_range"] == "[0, 255]"
        assert facts["input"] == "images: uint8 (batch, 1, 8, 8)"


@pytest.mark.parametrize("suffix", ["c", "h", "pt2"])
def test_what_cannot_be_run_here_says_what_to_do(folder, suffix):
    (folder / f"net.{suffix}").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"cannot be run here: .*; give the run or the model"):
        open_exported(folder / f"net.{suffix}")


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"PK\x03\x04" + b"x" * 50])
def test_a_damaged_file_is_one_line(folder, content):
    (folder / "net.onnx").write_bytes(content)
    with pytest.raises(ModelFileError) as caught:
        open_exported(folder / "net.onnx")
    assert "\n" not in str(caught.value)


def test_an_unknown_processor_is_told_before_anything_is_measured():
    with pytest.raises(UsageError, match="choose from cortex"):
        check_emulated("z80")


def test_other_files_are_no_models(folder):
    shutil.copy(folder / "net.safetensors", folder / "net.bin")
    with pytest.raises(ModelFileError, match=r"net\.bin: is no model of pronas"):
        pronas.export(folder / "net.bin", "onnx")


def test_a_network_that_was_trained_further_goes_back(folder, network):
    read = pronas.load_model(folder / "net").network
    with torch.no_grad():
        for parameter in read.parameters():
            parameter.add_(0.01)
    pronas.save_model(read, folder / "further")
    again = pronas.load_model(folder / "further")
    assert again.spec == ModelSpec(**{**network[1].__dict__, "scale": again.spec.scale, "metrics": {}})
    assert torch.equal(again.network(torch.from_numpy(images())), read(torch.from_numpy(images())))
    path = pronas.export(read, "onnx", folder / "further.onnx")
    assert open_exported(path).classes == NAMES
    with pytest.raises(UsageError, match="say where to write"):
        pronas.export(read, "onnx")


def test_a_network_with_other_layers_is_refused(folder):
    read = pronas.load_model(folder / "net").network
    read.head[-1] = torch.nn.Linear(read.head[-1].in_features, 7)
    with pytest.raises(UsageError, match="its layers are not those"):
        pronas.save_model(read, folder / "other")
    assert not (folder / "other.safetensors").exists()


def test_a_network_as_a_skeleton_builds_it_knows_its_kind(tmp_path):
    made = pronas.skeleton("flat", filters=[4]).build(pronas.Cell.parse("0:3x3 conv + 0:identity"), (3, 8, 8), 4)
    assert spec_of(made).classes == ("0", "1", "2", "3")
    assert (
        pronas.load_model(pronas.save_model(made, tmp_path / "m", classes=["a", "b", "c", "d"])).spec.classes[3] == "d"
    )
    with pytest.raises(UsageError, match="2 class names for 4 classes"):
        pronas.save_model(made, tmp_path / "m", classes=["a", "b"])


def test_wrong_inputs_are_refused_or_warned_of_once():
    flat, cell = pronas.skeleton("flat", filters=[4]), pronas.Cell.parse("0:3x3 conv + 0:identity")
    made, other = (flat.build(cell, (3, 8, 8), 4).eval() for _ in range(2))
    for shape in ((2, 1, 8, 8), (3, 8, 8), (2, 4, 8, 8)):
        with pytest.raises(UsageError, match=r"reads images \(n, 3, height, width\)"):
            made(torch.zeros(shape))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made(torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8))
        made(torch.rand(2, 3, 8, 8) * 255)
        made(torch.zeros(2, 3, 8, 8))
    with pytest.warns(UserWarning, match="multiply them by 255") as told:
        made(torch.rand(2, 3, 8, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made(torch.rand(2, 3, 8, 8))
    assert told[0].filename == __file__
    with pytest.warns(UserWarning, match="not normalized"):
        other(torch.randn(2, 3, 8, 8))
