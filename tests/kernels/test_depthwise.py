from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pronas.kernels.parts import run_layer
from pronas.networks import QuantConv2d


@pytest.mark.parametrize("size", [8, 9, 14])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [(5, 5), (7, 7), (1, 7), (3, 5)])
def test_gradients_of_wide_depthwise_kernels_are_the_library_s(size: int, stride: int, kernel: tuple[int, int]) -> None:
    layer = QuantConv2d(8, 8, kernel, stride, groups=8)
    inputs = torch.randn(3, 8, size, size + 2).to(memory_format=torch.channels_last).requires_grad_()
    outputs = run_layer(layer, inputs)
    upstream = torch.randn_like(outputs)
    gradients = torch.autograd.grad(outputs, (inputs, layer.weight), upstream)
    plain = F.conv2d(inputs, layer.weight, None, stride, layer.padding, 1, 8)
    torch.testing.assert_close(outputs, plain, rtol=1e-4, atol=1e-4)
    for found, expected in zip(gradients, torch.autograd.grad(plain, (inputs, layer.weight), upstream), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_quantized_wide_depthwise_kernel_learns() -> None:
    layer = QuantConv2d(8, 8, 5, groups=8, kernel_quantizer="ste_sign")
    run_layer(layer, torch.randn(2, 8, 8, 8)).square().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.abs().sum() > 0
