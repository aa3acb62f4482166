"""Training steps elsewhere than on the processor: there, a tensor left on the processor raises.

Twice: on PyTorch's "meta" device, which knows shapes but no values, and under fake tensors on a pretended GPU. PyTorch
built without CUDA aborts where autograd or an operation in place meets a fake tensor on "cuda" (it asks for a guard of
the device, which is not linked in), so the pretended GPU is a backend of our own in PyTorch's place for one
(PrivateUse1), whose guard does nothing; in a process of its own, as a backend is registered for good.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor

from pronas.kernels import accelerate
from pronas.networks import Network, skeleton
from pronas.space import Cell
from pronas.training import Step

MACROS = {
    "flat": (
        {"filters": [16, 18], "stem": 4, "drop_path": 0.2},
        "0:3x3 dconv + 0:identity | 0:3x3 maxpool + 1:5x5 conv",
    ),
    "binary": ({"filters": [16, 18], "xnor": True}, "0:3x3 bconv + 0:3x3 avgpool | 0:3x3 sep-bconv + 1:identity"),
    "residual": ({"filters": [16, 18, 20]}, "-1:3x3 conv + -1:identity"),
    "pnas-cifar": ({"N": 1, "F": 8, "auxiliary": True}, "-1:3x3 dconv + -2:identity"),
    "pnas-imagenet": ({"N": 1, "F": 8}, "-1:3x3 maxpool + -2:1x7-7x1 conv"),
}


@pytest.mark.parametrize("name", MACROS)
def test_a_step_of_every_skeleton_runs_where_its_images_are(name: str) -> None:
    options, text = MACROS[name]
    network: Network = skeleton(name, **options).build(Cell.parse(text), (3, 32, 32), 10).train().to("meta")
    network.drop_path_progress = 0.5
    images = torch.zeros(8, 3, 32, 32, dtype=torch.uint8, device="meta")
    labels = torch.zeros(8, dtype=torch.int64, device="meta")

    def learn(forward, images, labels):
        output = forward(images)
        outputs = output if isinstance(output, tuple) else (output,)
        return sum(torch.nn.functional.cross_entropy(one, labels) for one in outputs), outputs[0]

    accelerated = accelerate(network, steps=100)
    assert not accelerated.captures_update
    step = Step(network, learn, accelerated)
    for _ in range(2):
        made: list[Tensor | None] = [*step(images, labels), *(one.grad for one in network.parameters())]
        assert {one.device.type for one in made if one is not None} == {"meta"}
    network.clip_latent_weights_()
    assert {one.device.type for one in [*network.parameters(), *network.buffers()]} == {"meta"}
    assert network.eval()(images).device.type == "meta"


def test_a_tensor_left_behind_raises() -> None:
    network = skeleton("flat", filters=[16]).build(Cell.parse("0:3x3 conv + 0:identity"), (3, 32, 32), 10).to("meta")
    network.scale.gain = torch.ones(1, 3, 1, 1)
    with pytest.raises(RuntimeError, match="device"):
        accelerate(network, steps=1).forward(torch.zeros(8, 3, 32, 32, dtype=torch.uint8, device="meta"))


PRETENDED = """
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import backend_registration

backend_registration._setup_privateuseone_for_python_backend("pretended")  # before anything has used autograd

from pronas.kernels import accelerate
from pronas.networks import skeleton
from pronas.space import Cell
from pronas.training import Recipe, Stepper, make_loss, register_optimizer, total_loss

DEVICE = "pretended:0"


@register_optimizer("sgd by tensors")  # the fused one's operation is not known to fake tensors
def sgd(groups, recipe):
    return torch.optim.SGD(groups, recipe.learning_rate, momentum=recipe.momentum, foreach=True)


def moved(network):
    for part in network.modules():
        for name, one in list(part.named_parameters(recurse=False)):
            part._parameters[name] = torch.nn.Parameter(torch.empty(one.shape, device=DEVICE))
        for name, one in list(part.named_buffers(recurse=False)):
            part._buffers[name] = torch.empty(one.shape, dtype=one.dtype, device=DEVICE)
    return network


def step(name, options, text, left=False):
    network = skeleton(name, **options).build(Cell.parse(text), (3, 32, 32), 10)
    with FakeTensorMode():
        network = moved(network)
        if left:
            network.scale.gain = torch.ones(1, 3, 1, 1)
        recipe = Recipe(optimizer="sgd by tensors", clip_norm=1.0)
        stepper = Stepper(network, recipe, 4)
        images = torch.zeros(8, 3, 32, 32, dtype=torch.uint8, device=DEVICE)
        labels = torch.zeros(8, dtype=torch.int64, device=DEVICE)
        for _ in range(2):
            forward = accelerate(network, steps=4).forward
            loss, logits = total_loss(make_loss(recipe), forward(images), labels, recipe.auxiliary)
            loss.backward()
            stepper.step()
        moments = [one for one in stepper.state().values() if one.dim()]
        return {str(one.device) for one in (loss, logits, *network.parameters(), *network.buffers(), *moments)}


for name, (options, text) in MACROS.items():
    print(name, *step(name, options, text))
try:
    step("flat", {"filters": [16]}, "0:3x3 conv + 0:identity", left=True)
except Exception as error:
    print("left", "two devices" in str(error))
"""


def test_a_step_of_every_skeleton_runs_on_a_pretended_gpu() -> None:
    code = f"MACROS = {MACROS!r}\n{PRETENDED}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [*(f"{name} pretended:0" for name in MACROS), "left True"]
