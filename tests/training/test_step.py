"""Steps that repeat a captured one do to the bit what steps do that are computed anew."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pronas.kernels import Accelerated, native
from pronas.kernels.parts import Captured
from pronas.networks import OperatorContext, Skeleton, operator, skeleton
from pronas.space import Cell
from pronas.training import Recipe, Tensors, Training

FLOAT = "0:3x3 dconv + 0:5x5 dconv | 1:7x7 dconv + 0:1x7-7x1 conv | 0:3x3 maxpool + 2:3x3 avgpool"
BINARY = "0:3x3 bconv + 0:3x3 sep-bconv | 1:5x5 bconv + 0:5x5 sep-bconv | 0:3x3 maxpool + 2:linear"
PNAS = "-1:3x3 dconv + -1:1x7-7x1 conv | -1:identity + 0:3x3 avgpool"
NETWORKS = {
    "float": (skeleton("flat", filters=[16, 18]), FLOAT, {}),
    "added": (skeleton("flat", filters=[16, 18], combine="add"), FLOAT, {}),
    "dropout": (skeleton("flat", filters=[4, 18], dropout=0.3), FLOAT, {"optimizer": "sgd"}),
    "binary": (skeleton("binary", filters=[16, 18]), BINARY, {"loss": "squared-hinge"}),
    "scaled": (skeleton("binary", filters=[4, 18], xnor=True, combine="add", dropout=0.3), BINARY, {}),
    "auxiliary": (skeleton("pnas-cifar", F=4, N=1, auxiliary=True), PNAS, {"clip_norm": 1.0}),
    "weighted": (skeleton("flat", filters=[16, 18]), FLOAT, {"class_weights": "balanced"}),
    "mixed": (skeleton("flat", filters=[16, 18]), FLOAT, {"mixed_precision": True}),
}


def data(count: int = 80) -> Tensors:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8, generator=generator)
    return Tensors(images, torch.randint(0, 10, (count,), generator=generator))


def training(made: Skeleton, cell: str, *, copies: int = 1, **recipe: object) -> Training:
    how = Recipe(epochs=3, batch=24, learning_rate=0.05, augmentation="standard").replace(**recipe)
    network = made.build(Cell.parse(cell), (3, 16, 16), 10, seed=5)
    return Training(network, data(), data(10), how, seed=2, copies=copies)


def uncaptured(*arguments: object, **options: object) -> Training:
    """A training whose steps are computed anew, each of them."""
    begin = Captured.__init__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Captured, "__init__", lambda self, allowed, after=0: begin(self, False, after))
        return training(*arguments, **options)  # type: ignore[arg-type]


def passes(monkeypatch: pytest.MonkeyPatch) -> list[Accelerated]:
    """Forward passes in training from now on."""
    seen: list[Accelerated] = []
    original = Accelerated.forward

    def forward(self: Accelerated, images: Tensor) -> object:
        seen.append(self)
        return original(self, images)

    monkeypatch.setattr(Accelerated, "forward", forward)
    return seen


@pytest.fixture(params=[True, False], ids=["kernels", "no kernels"])
def _kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(native, "library", lambda: None)


@pytest.mark.usefixtures("_kernels")
@pytest.mark.parametrize("kind", NETWORKS)
def test_captured_and_computed_steps_are_equal(kind: str, same_weights, monkeypatch: pytest.MonkeyPatch) -> None:
    made, cell, recipe = NETWORKS[kind]
    seen, counts = passes(monkeypatch), []
    runs = [training(made, cell, **recipe), uncaptured(made, cell, **recipe)]
    for run in runs:
        while not run.finished:
            run.run_epoch()
        counts.append(len(seen))
    assert same_weights(runs[0].network, runs[1].network)
    assert runs[0].curves == runs[1].curves
    assert counts == [1, 1 + 9]


@pytest.mark.parametrize("kind", ["float", "binary"])
def test_copies_are_captured_each_for_itself(kind: str, same_weights, monkeypatch: pytest.MonkeyPatch) -> None:
    made, cell, recipe = NETWORKS[kind]
    runs = [training(made, cell, copies=2, **recipe), uncaptured(made, cell, copies=2, **recipe)]
    seen = passes(monkeypatch)
    for run in runs:
        while not run.finished:
            run.run_epoch()
    assert same_weights(runs[0].network, runs[1].network)
    assert runs[0].curves == runs[1].curves
    assert len(seen) == 2 + 18


def test_a_hook_set_during_training_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    run, seen = training(*NETWORKS["float"][:2]), []
    run.run_epoch()
    handle = run.network.cells[0].register_forward_hook(lambda *_: seen.append("cell"))
    run.run_epoch()
    handle.remove()
    assert seen == ["cell"] * 3 + ["cell"]  # the last one: a look at the validation images
    counted = passes(monkeypatch)
    run.run_epoch()
    assert not counted  # what was captured holds again


def test_weights_that_were_moved_are_trained_where_they_are(same_weights) -> None:
    runs = [training(*NETWORKS["float"][:2]) for _ in range(2)]
    for run, moved in zip(runs, (True, False), strict=True):
        run.run_epoch()
        for parameter in run.network.parameters() if moved else ():
            parameter.data = parameter.data.clone(memory_format=torch.preserve_format)
        run.run_epoch()
    assert same_weights(runs[0].network, runs[1].network)


class Noise(nn.Module):
    """Does something else at every step."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * (1.0 + 0.1 * torch.rand(()))


def test_a_growing_drop_path_is_computed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    run, seen = training(skeleton("flat", filters=[4, 8], drop_path=0.4), FLOAT), passes(monkeypatch)
    run.run_epoch()
    assert len(seen) == 3


def test_others_modules_are_computed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    @operator("test noise", binary=False)
    def noise(context: OperatorContext) -> nn.Module:
        return nn.Sequential(context.factory.convolution(context, 1), Noise())

    run, seen = training(NETWORKS["float"][0], "0:test noise + 0:3x3 maxpool"), passes(monkeypatch)
    run.run_epoch()
    assert len(seen) == 3


def test_a_few_steps_are_not_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    run, seen = training(*NETWORKS["float"][:2], epochs=1), passes(monkeypatch)
    run.run_epoch()
    assert len(seen) == 3
