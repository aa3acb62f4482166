"""Training steps elsewhere than on the processor: on PyTorch's "meta" device, which knows shapes but no values.

A tensor left on the processor raises. (Fake tensors on a pretended GPU cannot be learnt from by a PyTorch without one.)
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pronas.kernels import accelerate
from pronas.networks import Network, skeleton
from pronas.space import Cell
from pronas.training._step import Step

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
