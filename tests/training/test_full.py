from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from pronas.data import load_dataset
from pronas.errors import ModelFileError, RunError
from pronas.networks import skeleton
from pronas.training import Recipe, evaluate, load_model, save_model, train_network

SKELETON = skeleton("flat", filters=[4, 8])
CELL = "0:3x3 dconv + 0:3x3 conv"
RECIPE = Recipe(epochs=4, batch=64, learning_rate=0.01, optimizer="adamw", weight_decay=0.01)


def _content(path: Path) -> tuple[dict[str, str], dict[str, bytes]]:
    with safe_open(path, "np") as file:
        return file.metadata(), {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("stop", [1, 3])
def test_a_resumed_training_ends_with_the_same_bits(
    tmp_path: Path, digits, same_weights, optimizer: str, stop: int
) -> None:
    recipe = RECIPE.replace(optimizer=optimizer, amsgrad=True, augmentation="standard")
    whole = train_network(CELL, digits, SKELETON, recipe, seed=3)

    class Stop(Exception):
        pass

    def stopping(epoch) -> None:
        if epoch.number == stop:
            raise Stop

    with pytest.raises(Stop):
        train_network(CELL, digits, SKELETON, recipe, seed=3, checkpoint=tmp_path / "c", on_epoch=stopping)
    seen: list[int] = []
    rest = train_network(
        CELL, digits, SKELETON, recipe, seed=3, checkpoint=tmp_path / "c", on_epoch=lambda e: seen.append(e.number)
    )
    assert seen == list(range(stop + 1, 5))
    assert same_weights(whole.network, rest.network)
    assert (whole.curves, whole.best_epoch, whole.images) == (rest.curves, rest.best_epoch, rest.images)


def test_a_binary_training_with_dropout_resumes_to_the_bit(tmp_path: Path, digits, same_weights) -> None:
    binary, cell = skeleton("binary", filters=[8], dropout=0.2, input_dropout=0.1), "0:3x3 bconv + 0:3x3 maxpool"
    whole = train_network(cell, digits, binary, RECIPE, seed=3)

    def stopping(_: object) -> None:
        raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            train_network(cell, digits, binary, RECIPE, seed=3, checkpoint=tmp_path / "c", on_epoch=stopping)
    rest = train_network(cell, digits, binary, RECIPE, seed=3, checkpoint=tmp_path / "c")
    assert same_weights(whole.network, rest.network)


_SCRIPT = """
import sys
from pronas.data import load_dataset
from pronas.networks import skeleton
from pronas.training import Recipe, train_network
train_network("0:3x3 conv + 0:identity", load_dataset("digits", limit=300), skeleton("flat", filters=[4]),
    Recipe(epochs=1000, batch=64, learning_rate=0.01, augmentation="standard"), seed=1, checkpoint=sys.argv[1],
    threads=1, on_epoch=lambda epoch: print(epoch.number, flush=True))
"""


def test_kill_9_loses_at_most_the_epoch_in_hand(tmp_path: Path) -> None:
    path = tmp_path / "c"
    process = subprocess.Popen([sys.executable, "-c", _SCRIPT, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(7):
        done = int(process.stdout.readline())
    time.sleep(0.011)
    process.send_signal(signal.SIGKILL)
    later = process.communicate()[0].split()
    done = int(later[-1]) if later else done
    recipe = Recipe(epochs=1000, batch=64, learning_rate=0.01, augmentation="standard")

    class Enough(Exception):
        pass

    def until(epoch) -> None:
        seen.append(epoch.number)
        if epoch.number == done + 3:
            raise Enough

    states = []
    small, dataset = skeleton("flat", filters=[4]), load_dataset("digits", limit=300)
    for checkpoint in (path, tmp_path / "undisturbed"):
        seen: list[int] = []
        with pytest.raises(Enough):
            train_network(
                "0:3x3 conv + 0:identity", dataset, small, recipe, seed=1, checkpoint=checkpoint, on_epoch=until
            )
        states.append(_content(checkpoint))
        assert seen[0] in ((done + 1, done + 2) if checkpoint == path else (1,))
    assert states[0] == states[1]


def test_the_best_epoch_s_weights_are_kept(digits) -> None:
    # a rate that ruins the last epochs
    recipe = Recipe(epochs=6, batch=64, optimizer="sgd", learning_rate=5.0, schedule="linear", warmup=1.0)
    trained = train_network(CELL, digits, SKELETON, recipe)
    accuracies = trained.curves["validation_accuracy"]
    assert trained.best_epoch == accuracies.index(max(accuracies)) + 1
    assert evaluate(trained.network, digits.validation).accuracy == pytest.approx(max(accuracies))


def test_validation_images_can_be_trained_on(digits) -> None:
    trained = train_network(CELL, digits, SKELETON, RECIPE, use_validation=True)
    assert trained.images == 4 * ((len(digits.train) + len(digits.validation)) // 64) * 64
    assert (trained.best_epoch, trained.validation_accuracy) == (4, 0.0)
    assert "validation_accuracy" not in trained.curves


def test_weights_to_start_from(digits) -> None:
    trained = train_network(CELL, digits, SKELETON, RECIPE)
    kept = {name: value.clone() for name, value in trained.network.state_dict().items()}
    still = RECIPE.replace(epochs=1, learning_rate=0.0)
    again = train_network(CELL, digits, SKELETON, still, init=kept)
    for name, parameter in again.network.named_parameters():
        assert torch.equal(parameter, kept[name])
    kept.pop("head.1.bias")
    with pytest.raises(ModelFileError, match=r"init: tensor 'head.1.bias' is missing"):
        train_network(CELL, digits, SKELETON, still, init=kept)


def test_a_trained_network_is_saved_with_what_it_came_with(tmp_path: Path, digits) -> None:
    trained = train_network(CELL, digits, SKELETON, RECIPE.replace(augmentation="standard"))
    save_model(trained.network, tmp_path / "best", trained.spec)
    model = load_model(tmp_path / "best")
    assert evaluate(model.network, digits.test) == evaluate(trained.network, digits.test)
    assert model.spec.classes == digits.classes
    assert Recipe.from_dict(model.spec.recipe) == trained.recipe


def test_evaluation_counts_every_image_once(digits) -> None:
    trained = train_network(CELL, digits, SKELETON, RECIPE)
    found = evaluate(trained.network, digits.test)
    assert sum(map(sum, found.confusion)) == len(digits.test)
    right = sum(row[number] for number, row in enumerate(found.confusion))
    assert found.accuracy == pytest.approx(right / len(digits.test))
    counts = [int((digits.test.labels == number).sum()) for number in range(10)]
    assert [sum(row) for row in found.confusion] == counts
    assert evaluate(trained.network, digits.test, batch=7).confusion == found.confusion


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 9}, "seed"),
        ({"recipe": RECIPE.replace(epochs=5)}, "model"),
        ({"cell": "0:3x3 conv + 0:identity"}, "model"),
        ({"use_validation": True}, "use_validation"),
    ],
)
def test_another_training_s_checkpoint_is_refused(tmp_path: Path, digits, changes, said: str) -> None:
    path = tmp_path / "c"
    settings = {"cell": CELL, "recipe": RECIPE.replace(epochs=1), "seed": 1}
    train_network(dataset=digits, skeleton=SKELETON, checkpoint=path, **settings)
    with pytest.raises(ModelFileError, match=f"another training .different: .*{said}"):
        train_network(dataset=digits, skeleton=SKELETON, checkpoint=path, **{**settings, **changes})
    train_network(dataset=digits, skeleton=SKELETON, checkpoint=path, resume=False, **{**settings, **changes})


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 100])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, digits, content: bytes) -> None:
    path = tmp_path / "c"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="delete it to start afresh"):
        train_network(CELL, digits, SKELETON, RECIPE, checkpoint=path)


def test_divergence_is_one_clear_line(digits) -> None:
    with pytest.raises(RunError, match=r"diverged: the loss became .* lower the recipe's learning_rate"):
        train_network(
            CELL, digits, SKELETON, Recipe(optimizer="sgd", learning_rate=1e6, weight_decay=1e6, schedule="constant")
        )


def test_mixed_precision_multiplies_in_bfloat16_and_keeps_all_else(digits, same_weights) -> None:
    seen: set[torch.dtype] = set()
    cell, wide = "0:3x3 conv + 0:5x5 conv", skeleton("flat", filters=[4], strides=[1])
    recipe = RECIPE.replace(mixed_precision=True, epochs=2)

    def watch(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if isinstance(module, torch.nn.Linear) and module.training:
            seen.add(output.dtype)

    with torch.nn.modules.module.register_module_forward_hook(watch):  # type: ignore[attr-defined]
        train_network(cell, digits, wide, recipe, seed=1)
    assert seen == {torch.bfloat16}
    one = train_network(cell, digits, wide, recipe, seed=1)
    assert {p.dtype for p in one.network.parameters()} == {torch.float32}
    assert same_weights(one.network, train_network(cell, digits, wide, recipe, seed=1).network)
    assert not same_weights(
        one.network, train_network(cell, digits, wide, recipe.replace(mixed_precision=False), seed=1).network
    )
