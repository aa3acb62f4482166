"""Cards, and the way to a hub and back, against a stand-in of its HTTP interface."""

import contextlib
import json
import re

import huggingface_hub
import pytest
import torch

import pronas
from pronas.errors import ModelFileError, RunError, UsageError
from pronas.networks import skeleton
from pronas.runs.store import Store
from pronas.sharing import Card, card_text, from_pretrained, push
from pronas.training import Model, ModelSpec, save_model
from sharing.hub_stand_in import Hub

CELL = "0:3x3 conv + 0:3x3 maxpool"
CLASSES = ("cat", "<script>alert(1)</script> | [x](y)")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What a finished search leaves, as far as sharing looks at it."""
    folder = tmp_path_factory.mktemp("sharing") / "my-run"
    (folder / "weights").mkdir(parents=True)
    flat = skeleton("flat", filters=(4,)).to_dict()
    spec = ModelSpec(CELL, flat, (1, 8, 8), CLASSES, metrics={"test_accuracy": 0.9})
    save_model(spec.build(), folder / "weights" / "best", spec)
    final = {
        "cell": CELL, "classes": CLASSES, "test_accuracy": 0.9, "validation_accuracy": 0.8, "parameters": 1234,
        "macs": 5678, "weight_bits": 39488, "seconds": 12.0, "confusion": [[5, 0], [1, 4]], "curves": {},
    }  # fmt: skip
    facts = {
        "name": "/home/me/pets.zip",
        "fingerprint": "0",
        "classes": list(CLASSES),
        "shape": [1, 8, 8],
        "train": 20,
        "validation": 6,
        "test": 10,
    }
    store = Store(folder)
    store.set_meta(created=1, version="0.1.0", state="done", config={"seed": 7}, dataset=facts, final=final)
    store.close()
    return pronas.Experiment(folder)


def set_address(monkeypatch, address):
    """As ``HF_ENDPOINT`` does when huggingface_hub is imported."""
    constants = "huggingface_hub.constants."
    monkeypatch.setattr(constants + "ENDPOINT", address)
    monkeypatch.setattr(constants + "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    hub = Hub()
    set_address(monkeypatch, hub.address)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY", True)
    yield hub
    hub.server.shutdown()
    hub.server.server_close()


def test_there_and_back(run, hub, tmp_path, capsys):
    address = run.push_to_hub("me/my-net", license="mit", token="hf_secret")
    assert address == f"{hub.address}/me/my-net/commit/{'a' * 40}"
    assert hub.tokens == {"Bearer hf_secret"}
    assert sorted(hub.files["me/my-net"]) == ["README.md", "cell.svg", "config.json", "model.safetensors"]
    assert json.loads(hub.files["me/my-net"]["config.json"])["classes"] == list(CLASSES)
    model = pronas.from_pretrained("me/my-net")
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    assert torch.equal(model.network(images), run.load()(images))
    best = run.path / "weights" / "best.safetensors"
    assert hub.files["me/my-net"]["model.safetensors"] == best.read_bytes()
    card = hub.files["me/my-net"]["README.md"].decode()
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)[1]
    exec(code, {})  # as its reader would
    assert capsys.readouterr().out.strip() in (f"[{name!r}]" for name in CLASSES)


def test_what_is_loaded_has_the_mixin_of_the_hub(run, hub, tmp_path):
    """Its own methods save it, push it on and load it, with a card of what a model file knows."""
    run.push_to_hub("me/my-net")
    model = pronas.from_pretrained("me/my-net")
    assert isinstance(model, huggingface_hub.ModelHubMixin)
    assert isinstance(model, Model)
    model.save_pretrained(tmp_path / "saved")
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == sorted(hub.files["me/my-net"])
    again = type(model).from_pretrained(tmp_path / "saved")
    assert again.spec == model.spec
    address = again.push_to_hub("you/their-net")
    assert address == f"{hub.address}/you/their-net/commit/{'a' * 40}"
    assert hub.files["you/their-net"]["model.safetensors"] == hub.files["me/my-net"]["model.safetensors"]
    card = hub.files["you/their-net"]["README.md"].decode()
    for part in ("# their-net", 'from_pretrained("you/their-net")', "90.00 %", "library_name: pronas", CELL):
        assert part in card
    assert "None" not in card


def test_the_description_beside_the_weights_builds_nothing(run, hub):
    run.push_to_hub("me/odd")
    for odd in (b'{"network": 1, "spec": [], "card": {}, "config": {}}', b"[1]", b"{", b"[" * 100_000):
        hub.files["me/odd"]["config.json"] = odd
        allowed = contextlib.nullcontext() if odd[:1] == b"{" and len(odd) > 1 else pytest.raises(ModelFileError)
        with allowed:
            assert from_pretrained("me/odd", cache_dir=run.path / str(len(odd))).spec.cell == CELL


def test_what_comes_from_a_hub_is_checked(run, hub):
    run.push_to_hub("me/forged")
    whole = hub.files["me/forged"]["model.safetensors"]
    hub.files["me/forged"]["model.safetensors"] = whole[:-4] + bytes(4)
    with pytest.raises(ModelFileError, match="does not match its digest"):
        from_pretrained("me/forged")
    hub.files["me/pickled"] = {"model.safetensors": b"\x80\x04\x95" + bytes(40), "pytorch_model.bin": b"x"}
    with pytest.raises(ModelFileError):
        from_pretrained("me/pickled")


def test_what_is_not_to_be_had_is_one_line(run, hub, monkeypatch, tmp_path):
    with pytest.raises(ModelFileError, match="me/nothing: cannot be had from the hub") as error:
        from_pretrained("me/nothing")
    assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match="no folder here"):
        from_pretrained("nothing")
    with pytest.raises(UsageError, match="give owner/name"):
        run.push_to_hub("nothing")
    (tmp_path / "damaged.safetensors").write_bytes(b"x")
    with pytest.raises(ModelFileError):
        push(tmp_path / "damaged", run.card(), "me/damaged")
    set_address(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(RunError, match="me/net: the hub does not take it"):
        run.push_to_hub("me/net")


def test_a_folder_with_the_same_files_will_do(run, tmp_path):
    path = run.path / "weights" / "best.safetensors"
    (tmp_path / "model.safetensors").write_bytes(path.read_bytes())
    assert from_pretrained(tmp_path).spec.cell == CELL


def test_a_card_says_everything_and_shows_names_as_they_are(run):
    text = card_text(run.card("apache-2.0"), "me/my-net")
    head = text.split("---")[1]
    assert "license: apache-2.0" in head
    assert "value: 0.9}" in head
    parsed = huggingface_hub.ModelCard(text).data
    assert (parsed.library_name, parsed.eval_results[0].metric_value) == ("pronas", 0.9)
    for part in (
        "pets.zip",
        "90.00 %",
        "80.00 %",
        "1,234",
        "4.9 kB",
        "5,678",
        "![the cell](cell.svg)",
        CELL,
        "| cat | 100.0 % |",
    ):
        assert part in text
    assert "/home/me" not in text
    assert "<script>" not in text
    assert "&lt;script&gt;alert\\(1\\)&lt;/script&gt; \\| \\[x\\]\\(y\\) | 80.0 % |" in text


def test_a_licence_has_a_name():
    card = Card("net", CELL, "pets", (1, 1, 1), (1, 8, 8), ("a",), 0.5, 1, 1, 1)
    assert "Not said: ask" in card_text(card)
    with pytest.raises(UsageError, match="no name of a licence"):
        card_text(Card(**{**vars(card), "license": "mit\ntags: [x]"}))


def test_the_card_alone(run, tmp_path, monkeypatch, capsys):
    from pronas.cli import main

    monkeypatch.setattr("sys.argv", ["pronas", "card", str(run.path), "--out", str(tmp_path / "c"), "--license", "mit"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["README.md", "cell.svg"]
    assert "`mit`." in (tmp_path / "c" / "README.md").read_text("utf-8")
