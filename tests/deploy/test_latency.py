"""Latency of the form that ships, without PyTorch's exporter: the quickly written ONNX is the same network."""

import numpy as np
import pytest
import torch
from integer_graphs import random_model

from pronas.deploy import shipped_latency
from pronas.deploy.integer import lower
from pronas.deploy.onnx import float_onnx, session
from pronas.errors import UsageError
from pronas.networks import Binary, Residual
from pronas.space import Cell


@pytest.mark.parametrize("seed", range(6))
def test_the_quickly_written_file_gives_pytorchs_logits(seed):
    network, images = random_model(seed)
    found = session(float_onnx(lower(network))).run(None, {"images": np.asarray(images[:5], np.uint8)})[0]
    with torch.no_grad():
        expected = network(torch.as_tensor(images[:5])).numpy()
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-4 * max(1.0, float(abs(expected).max())))


class Own(torch.nn.Module):
    """A user's layer: no integer form is known."""

    def forward(self, maps):
        return maps * 0.5


def test_every_kind_of_network_has_a_latency():
    cell = Cell.parse("0:3x3 conv + 0:identity")
    assert shipped_latency(Residual().build(cell, (3, 16, 16), 10), 2) > 0
    assert shipped_latency(Binary().build(Cell.parse("0:3x3 bconv + 0:3x3 bconv"), (1, 16, 16), 10), 2) > 0
    small = Residual(filters=(4,), strides=(2,), stem=4, repeats=(1,)).build(cell, (3, 8, 8), 3)
    small.head.insert(0, Own())
    with pytest.raises(UsageError, match="a layer Own has no integer form"):
        lower(small.eval())
    assert shipped_latency(small, 2) > 0  # by PyTorch's exporter
