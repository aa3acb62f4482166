from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from mutants import bytes_mutant, model_mutant, sealed
from pronas.errors import ModelFileError
from pronas.networks import Network, skeleton
from pronas.space import Cell
from pronas.training import ModelSpec, digest_of, load_model, read_checkpoint, save_model, write_checkpoint

SKELETON = skeleton("flat", filters=[4])


@pytest.fixture
def spec() -> ModelSpec:
    return ModelSpec(
        cell="0:3x3 conv + 0:identity",
        skeleton=SKELETON.to_dict(),
        input_shape=(1, 8, 8),
        classes=("zwei", "drei"),
        scale=((33.0,), (44.0,)),
        metrics={"test_accuracy": 0.5, "curves": {"loss": [1.0, float("nan")]}},
    )


@pytest.fixture
def network(spec: ModelSpec) -> Network:
    made = spec.build(seed=5)
    made(torch.randint(0, 256, (16, 1, 8, 8), dtype=torch.uint8))  # batch norm has seen something
    return made.eval()


@pytest.mark.parametrize("name", ["m", "m.safetensors", "m.json", "m.v2"])
def test_a_model_comes_back_as_it_was(tmp_path: Path, network: Network, spec: ModelSpec, name: str) -> None:
    written = save_model(network, tmp_path / name, spec)
    assert written.suffix == ".safetensors"
    model = load_model(tmp_path / name)
    assert model.spec.classes == spec.classes
    assert Cell.parse(model.spec.cell) == Cell.parse(spec.cell)
    images = torch.randint(0, 256, (9, 1, 8, 8), dtype=torch.uint8)
    assert torch.equal(model.network(images), network(images))
    assert not model.network.training


def test_the_json_is_readable_and_complete(tmp_path: Path, network: Network, spec: ModelSpec) -> None:
    save_model(network, tmp_path / "m", spec)
    said = json.loads((tmp_path / "m.json").read_text())
    assert said["cell"] == spec.cell
    assert said["classes"] == ["zwei", "drei"]
    assert said["metrics"]["test_accuracy"] == 0.5


def test_binary_networks_too(tmp_path: Path) -> None:
    made = ModelSpec("0:3x3 bconv + 0:linear", skeleton("binary", filters=[8]).to_dict(), (3, 8, 8), ("a", "b"))
    network = made.build().eval()
    save_model(network, tmp_path / "b", made)
    images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    assert torch.equal(load_model(tmp_path / "b").network(images), network(images))


def _rewrite(path: Path, change) -> None:
    with safe_open(path, "pt") as file:
        header, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    change(header, tensors)
    save_file(tensors, path, header)


def _sealed(change):
    """Change tensors and seal them again: what a wrong writer, not a broken disk, would leave."""

    def both(header, tensors) -> None:
        change(tensors)
        header["digest"] = digest_of(tensors, header["spec"])

    return both


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_sealed(lambda tensors: tensors.pop("head.1.weight")), "'head.1.weight' is missing"),
        (_sealed(lambda tensors: tensors.update(more=torch.ones(1))), "'more' belongs to no layer"),
        (
            _sealed(lambda tensors: tensors.update({"head.1.bias": torch.ones(3)})),
            "'head.1.bias' is torch.float32 (3,)",
        ),
        (
            _sealed(lambda t: t.update({"head.1.bias": torch.ones(2, dtype=torch.int32)})),
            "'head.1.bias' is torch.int32",
        ),
        (lambda header, tensors: tensors["head.1.bias"].add_(1), "damaged"),
        (lambda header, tensors: header.update(spec="{}"), "damaged"),
        (lambda header, tensors: header.update(version="2"), "version '2'"),
        (lambda header, tensors: header.update(format="other"), "not a pronas model"),
        (lambda header, tensors: header.clear(), "not a pronas model"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, network: Network, spec: ModelSpec, change, said: str) -> None:
    path = save_model(network, tmp_path / "m", spec)
    (tmp_path / "m.json").unlink()
    _rewrite(path, change)
    with pytest.raises(ModelFileError) as caught:
        load_model(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "spec_changes",
    [{"cell": "0:3x3 konv + 0:identity"}, {"cell": 3}, {"skeleton": {"name": "x"}}, {"input_shape": [1, 8]}, {"x": 1}],
)
def test_a_specification_that_cannot_be_built_is_refused(tmp_path, network, spec, spec_changes) -> None:
    path = save_model(network, tmp_path / "m", spec)
    (tmp_path / "m.json").unlink()

    def change(header, tensors) -> None:
        header["spec"] = json.dumps({**json.loads(header["spec"]), **spec_changes})
        header["digest"] = digest_of(tensors, header["spec"])

    _rewrite(path, change)
    with pytest.raises(ModelFileError, match="specification"):
        load_model(path)


@pytest.mark.parametrize("length", [0, 5, 200, -1])
def test_a_file_cut_short_is_refused(tmp_path: Path, network: Network, spec: ModelSpec, length: int) -> None:
    path = save_model(network, tmp_path / "m", spec)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ModelFileError, match="not a safetensors file"):
        load_model(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[:40], "not a model's JSON"),
        (lambda text: "[]", "not a model's JSON"),
        (lambda text: text.replace("zwei", "one"), "was edited"),
        (lambda text: text.replace('"version": 1', '"version": 9'), "version 9"),
    ],
)
def test_a_json_that_says_something_else_is_refused(tmp_path, network, spec, change, said) -> None:
    save_model(network, tmp_path / "m", spec)
    text = tmp_path / "m.json"
    text.write_text(change(text.read_text()))
    with pytest.raises(ModelFileError, match=said):
        load_model(tmp_path / "m")


def test_no_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such model file"):
        load_model(tmp_path / "nothing")


def test_a_save_killed_between_its_files_leaves_a_whole_model(tmp_path, network, spec, monkeypatch) -> None:
    save_model(network, tmp_path / "m", spec)
    before = next(network.parameters()).clone()
    with torch.no_grad():
        next(network.parameters()).add_(1)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pronas.files.write_atomic", killed)
    with pytest.raises(KeyboardInterrupt):
        save_model(network, tmp_path / "m", spec)
    assert torch.equal(next(load_model(tmp_path / "m").network.parameters()), before)
    assert sorted(os.listdir(tmp_path)) == ["m.json", "m.safetensors"]


def test_a_save_that_cannot_be_written_keeps_the_old_model(tmp_path, network, spec, monkeypatch) -> None:
    path = save_model(network, tmp_path / "m", spec)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("safetensors.torch.save", full)
    with pytest.raises(OSError, match="space"):
        save_model(network, tmp_path / "m", spec)
    assert path.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["m.json", "m.safetensors"]


FORGED = [
    ({"skeleton": {"name": "flat", "filters": [10**6]}}, "none above 65,536"),
    ({"skeleton": {"name": "flat", "filters": [65_536] * 2}}, "the file holds"),
    ({"skeleton": {"name": "flat", "filters": [4] * 10**6}}, "at most 1024 numbers"),
    ({"skeleton": {"name": "residual", "repeats": [10**7]}}, "none above 1,024"),
    (
        {"skeleton": {"name": "residual", "repeats": 1024, "filters": [4] * 9, "strides": [1]}},
        "9,216 cells of 1 blocks",
    ),
    ({"skeleton": {"name": "pnas-cifar", "N": 10**7}}, "none above 1,024"),
    ({"skeleton": {"name": "pnas-imagenet", "stem": "x"}}, "stem is 'x'"),
    ({"skeleton": {"name": "flat", "stem": "x"}}, "stem is 'x'"),
    ({"cell": " | ".join(["0:3x3 conv + 0:3x3 conv"] * 5000)}, "at most 64 blocks"),
    ({"input_shape": [1, 10**5, 10**5]}, "values an image"),
    ({"input_shape": [True, 8, 8]}, "three positive integers"),
    ({"classes": ["x"] * 10**6}, "the file holds"),
    ({"classes": [1, 2]}, "not all text"),
    ({"scale": "x"}, "not means and deviations"),
    ({"scale": [["1"], ["2"]]}, "not means and deviations"),
    ({"scale": [[1, 2, 3], [1, 2, 3]]}, "does not fit"),
    (None, "it is None"),
    ("text", "it is 'text'"),
    ([], "it is []"),
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("changes", "said"), FORGED)
def test_a_forged_specification_with_its_digest_is_one_line_in_bounded_memory(
    tmp_path, network, spec, changes, said
) -> None:
    import resource

    path = save_model(network, tmp_path / "m", spec)
    (tmp_path / "m.json").unlink()

    def change(own: str) -> str:
        return json.dumps({**json.loads(own), **changes} if isinstance(changes, dict) else changes)

    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    path.write_bytes(sealed(json.loads(data[8 : 8 + size]), data[8 + size :], change))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelFileError, match=re.escape(said)) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB


@given(seed=st.integers(0, 2**32))
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
def test_mutants_are_read_or_refused(tmp_path, network, spec, seed) -> None:
    path = save_model(network, tmp_path / "m", spec)
    (tmp_path / "m.json").unlink()
    path.write_bytes(model_mutant(random.Random(seed), path.read_bytes()))
    with suppress(ModelFileError):
        load_model(path)


def test_equal_weights_give_equal_files(tmp_path) -> None:
    """In every process: the library's own order of the header is another in each."""
    code = (
        "import sys; from pronas.training import ModelSpec, save_model; from pronas.networks import skeleton;"
        "spec = ModelSpec('0:3x3 conv + 0:identity', skeleton('flat', filters=[4]).to_dict(), (1, 8, 8), ('a', 'b'));"
        "save_model(spec.build(seed=1), sys.argv[1], spec)"
    )
    for name in ("one", "two"):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=True)
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_a_damaged_checkpoint_is_one_line(tmp_path) -> None:
    path = tmp_path / "c"
    write_checkpoint(path, {"a": torch.ones(4)}, {"epoch": 1}, {"seed": 1})
    assert read_checkpoint(path, {"seed": 1})[1] == {"epoch": 1}
    data = path.read_bytes()
    refused = 0
    for seed in range(300):
        path.write_bytes(bytes_mutant(random.Random(seed), data))
        try:
            tensors, values = read_checkpoint(path, {"seed": 1})
        except ModelFileError:
            refused += 1
            continue
        assert torch.equal(tensors["a"], torch.ones(4))  # only what says nothing was changed
        assert values == {"epoch": 1}
    assert refused > 250
