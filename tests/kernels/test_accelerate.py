"""The door: what is computed fast is what plain PyTorch computes; whatever stands in the way, plain PyTorch does."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pronas.errors import UsageError
from pronas.kernels import Accelerated, accelerate, kernels_mode, native
from pronas.kernels.parts import Captured, FastNetwork
from pronas.networks import Network, operators, skeleton
from pronas.space import Cell
from pronas.training import Step

FLOAT = "0:3x3 dconv + 0:5x5 dconv | 1:7x7 dconv + 0:1x7-7x1 conv | 0:3x3 maxpool + 2:3x3 avgpool"
BINARY = "0:3x3 bconv + 0:3x3 sep-bconv | 1:5x5 bconv + 0:5x5 sep-bconv | 0:3x3 maxpool + 2:linear"


def build(name: str = "flat", text: str = FLOAT, **options: object) -> Network:
    filters = {"F": 8, "N": 1} if name == "pnas-cifar" else {"filters": [16, 18]}
    made = skeleton(name, **(filters | options))
    return made.build(Cell.parse(text), (3, 16, 16), 10, seed=1).train()


def batch(seed: int, count: int = 24) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8, generator=generator)
    return images, torch.randint(0, 10, (count,), generator=generator)


def learn(forward: Callable[[Tensor], object], images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    output = forward(images)
    outputs = [output] if isinstance(output, Tensor) else list(output)  # type: ignore[call-overload]
    return sum((F.cross_entropy(one, labels) for one in outputs), start=torch.zeros(())), outputs[0]


def step_of(network: Network, kernels: str = "auto", steps: int = 100) -> tuple[Step, Accelerated]:
    accelerated = accelerate(network, steps=steps, kernels=kernels)
    return Step(network, learn, accelerated), accelerated


def gradients(network: Network) -> list[Tensor]:
    return [one.grad.clone() for one in network.parameters() if one.grad is not None]


def close(one: list[Tensor], two: list[Tensor], tolerance: float = 2e-3) -> None:
    assert len(one) == len(two) > 0
    for found, expected in zip(one, two, strict=True):
        scale = expected.abs().max().clamp_min(1e-3)
        torch.testing.assert_close(found / scale, expected / scale, rtol=tolerance, atol=tolerance)


KINDS = [("flat", name, {}) for name in operators(binary=False) if not name.startswith("test ")]
KINDS += [("binary", name, {}) for name in operators(binary=True) if not name.startswith("test ")]
KINDS += [("binary", "3x3 sep-bconv", {"xnor": True, "combine": "add"}), ("flat", "5x5 dconv", {"combine": "add"})]
KINDS += [("flat", "3x3 conv", {"stem": 4}), ("residual", "3x3 conv", {"filters": [16, 18, 20]})]
KINDS += [("residual", "3x3 maxpool", {"filters": [16, 18, 20]})]
KINDS += [("pnas-cifar", name, {"auxiliary": True}) for name in ("3x3 dconv", "identity", "1x7-7x1 conv")]


@pytest.mark.parametrize(("name", "kind", "options"), KINDS)
def test_the_second_step_is_plain_pytorch_s(name: str, kind: str, options: dict[str, object]) -> None:
    """The first one is captured, so that the second repeats it."""
    value = 0 if name in ("flat", "binary") else -1
    text = f"{value}:{kind} + {value}:3x3 maxpool"
    found, expected = build(name, text, **options), build(name, text, **options)
    (fast, accelerated), (plain, _) = step_of(found), step_of(expected, "off")
    fast(*batch(0))
    assert accelerated.repeats
    with torch.no_grad():
        for one, two in zip(found.buffers(), expected.buffers(), strict=True):
            two.copy_(one)
    loss, logits = fast(*batch(1), share=1.0)
    same_loss, same_logits = plain(*batch(1), share=1.0)
    if name != "binary":  # there rounding may turn a sign after a batch norm, so that all after it differs
        close([loss, logits, *gradients(found)], [same_loss, same_logits, *gradients(expected)])
        return
    assert torch.allclose(loss, same_loss, rtol=0.2)
    agreement = torch.cosine_similarity(*(torch.cat([g.flatten() for g in gradients(n)]) for n in (found, expected)), 0)
    assert agreement > 0.9


def test_off_is_the_network_s_own_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "call", lambda *_: pytest.fail("a kernel was called"))
    monkeypatch.setenv("PRONAS_KERNELS", "off")
    network = build()
    step, accelerated = step_of(network, None)  # type: ignore[arg-type]
    loss, _ = step(*batch(0))
    expected, _ = learn(build(), *batch(0))
    assert torch.equal(loss, expected.detach())
    assert not accelerated.captures_update


def test_the_switch_takes_two_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRONAS_KERNELS", raising=False)
    assert kernels_mode() == "auto"
    monkeypatch.setenv("PRONAS_KERNELS", "on")
    with pytest.raises(UsageError, match="PRONAS_KERNELS is 'on': give 'auto'"):
        kernels_mode()
    assert kernels_mode("off") == "off"
    with pytest.raises(UsageError, match="kernels is 'no'"):
        accelerate(build(), steps=1, kernels="no")


BREAKS = ["FastNetwork", "is_ours", "Captured.capture", "forward", "kernel"]


def break_(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("broken on purpose")

    def fail_late(self: object, images: Tensor) -> None:
        torch.rand(5)
        for buffer in self._network.buffers():  # type: ignore[attr-defined]
            buffer.zero_()
        fail()

    if what == "forward":
        monkeypatch.setattr(FastNetwork, "__call__", fail_late)
    elif what == "kernel":
        monkeypatch.setattr(native, "call", fail)
    elif what == "Captured.capture":
        monkeypatch.setattr(Captured, "capture", fail)
    elif what == "FastNetwork":
        monkeypatch.setattr(FastNetwork, "__init__", fail)


@pytest.mark.parametrize("what", BREAKS)
def test_whatever_fails_plain_pytorch_goes_on(
    what: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if what == "kernel" and native.library() is None:
        pytest.skip("there are no kernels")
    break_(what, monkeypatch)
    found, expected = build(dropout=0.3), build(dropout=0.3)
    if what == "is_ours":
        found.cells[0].__class__ = type("Theirs", (type(found.cells[0]),), {})
    with caplog.at_level(logging.INFO, "pronas"):
        fast, _ = step_of(found)
    plain, _ = step_of(expected, "off")
    for number in range(3):
        torch.manual_seed(number)
        with caplog.at_level(logging.INFO, "pronas"):
            loss, logits = fast(*batch(number))
        torch.manual_seed(number)
        same_loss, same_logits = plain(*batch(number))
        assert torch.equal(loss, same_loss)
        assert torch.equal(logits, same_logits)
        assert all(torch.equal(one, two) for one, two in zip(gradients(found), gradients(expected), strict=True))
    assert all(torch.equal(one, two) for one, two in zip(found.buffers(), expected.buffers(), strict=True))
    lines = [one.getMessage() for one in caplog.records if one.name == "pronas"]
    assert len([line for line in lines if line.startswith("training steps run in plain PyTorch: ")]) == 1
    assert what == "is_ours" or "broken on purpose" in " ".join(lines)


def test_one_line_says_what_runs(caplog: pytest.LogCaptureFixture) -> None:
    cases = [
        (build(), "auto", 100, ", captured"),
        (build(), "auto", 2, "not captured: few steps"),
        (build(drop_path=0.1), "auto", 100, "not captured: drop path"),
        (build(), "off", 100, "in plain PyTorch: kernels=off"),
    ]
    for network, kernels, steps, said in cases:
        caplog.clear()
        with caplog.at_level(logging.INFO, "pronas"):
            step, _ = step_of(network, kernels, steps)
            step(*batch(0)), step(*batch(1))
        (record,) = caplog.records
        assert record.name == "pronas"
        assert said in record.getMessage()


def hooks() -> dict[str, Callable[[Network, Callable[..., None]], object]]:
    module = nn.modules.module
    return {
        "forward": lambda n, f: n.cells[0].blocks[0].left[1].register_forward_hook(f),
        "forward pre": lambda n, f: n.cells[0].register_forward_pre_hook(f),
        "backward pre": lambda n, f: n.cells[0].blocks[0].left[2].register_full_backward_pre_hook(f),
        "backward": lambda n, f: n.cells[0].blocks[0].left[0].register_full_backward_hook(f),
        "global forward": lambda _, f: module.register_module_forward_hook(f),
        "global backward pre": lambda _, f: module.register_module_full_backward_pre_hook(f),
        "parameter": lambda n, f: next(n.parameters()).register_hook(f),
        "post accumulate": lambda n, f: next(n.parameters()).register_post_accumulate_grad_hook(f),
    }


@pytest.mark.parametrize("kind", hooks())
@pytest.mark.parametrize("when", ["before", "within an epoch"])
def test_hooks_are_called(kind: str, when: str) -> None:
    network, seen = build(), []
    step, accelerated = step_of(network)
    if when != "before":
        step(*batch(0))
        assert accelerated.repeats
    handle = hooks()[kind](network, lambda *_: seen.append(kind))
    try:
        step(*batch(1)), step(*batch(2))
    finally:
        handle.remove()  # type: ignore[attr-defined]
    assert len(seen) >= 2
    before = len(seen)
    step(*batch(3))
    assert len(seen) == before


def test_another_share_of_the_batch_is_not_the_captured_one() -> None:
    network = build()
    step, _ = step_of(network)
    step(*batch(0), share=0.5)
    repeated, _ = step(*batch(1), share=0.5)
    other, _ = step(*batch(1), share=0.25)
    torch.testing.assert_close(repeated, 2 * other)


def test_weights_moved_within_an_epoch_are_read_where_they_are() -> None:
    network = build()
    step, _ = step_of(network)
    step(*batch(0))
    for one in network.parameters():
        one.data = one.data.clone(memory_format=torch.preserve_format)
        one.data.mul_(0.5)
    halved = copy.deepcopy(network)
    loss, _ = step(*batch(1))
    expected, _ = step_of(halved, "off")[0](*batch(1))
    torch.testing.assert_close(loss, expected, rtol=1e-3, atol=1e-3)


def test_frozen_parameters_get_no_gradients() -> None:
    network = build()
    step, _ = step_of(network)
    step(*batch(0))
    frozen = next(network.parameters())
    frozen.requires_grad_(False)
    step(*batch(1))
    assert frozen.grad is None
    assert len(gradients(network)) == len(list(network.parameters())) - 1


def test_a_replaced_layer_is_used_from_the_next_epoch_on() -> None:
    network = build()
    step, accelerated = step_of(network)
    step(*batch(0))
    network.head[-1] = nn.Linear(network.head[-1].in_features, 10)
    step.begin_epoch()
    step(*batch(1))
    assert network.head[-1].weight.grad is not None
    assert accelerated.repeats


def test_a_network_that_is_not_ours_runs_as_it_is() -> None:
    network, seen = build(), []
    network.cells[0].forward = lambda states, drop=0.0: (
        seen.append(drop) or type(network.cells[0]).forward(network.cells[0], states, drop)
    )
    step, _ = step_of(network)
    step(*batch(0)), step(*batch(1))
    assert seen == [0.0, 0.0]
