"""The layers networks are made of: a small closed set, so that a network can be read without tracing it.

`QuantConv2d` and `QuantLinear` are the ordinary layers plus two quantizers (the idea of Larq); everything else is an
ordinary PyTorch layer or has no parameters.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pronas.errors import UsageError
from pronas.networks._inputs import check_shape_of
from pronas.networks._quantizers import (
    Quantizer,
    quantizer,
    quantizer_bits,
    resolve_latent_bound,
    resolve_lr_multiplier,
)

#: Input channels of a strided 1x1 convolution below which PyTorch 2.13's gradient to the kernel writes past its memory
#: (oneDNN with AVX2, even sizes, channels last; docs/experiments.md).
_FEWEST_STRIDED = 8


class _Latent:
    """What the layers with a quantized kernel share: H, the rate multiplier, initialisation, the scaled kernel."""

    weight: nn.Parameter
    kernel_quantizer: Quantizer | None
    latent_bound: float
    lr_multiplier: float
    xnor: bool

    def _set_latent(
        self,
        fan_in: int,
        fan_out: int,
        kernel: str | Quantizer | None,
        bound: float | str,
        multiplier: float | str,
        xnor: bool,
    ) -> None:
        self.kernel_quantizer = quantizer(kernel)
        self.latent_bound = resolve_latent_bound(bound, fan_in, fan_out)
        self.lr_multiplier = resolve_lr_multiplier(multiplier, fan_in, fan_out) if self.kernel_quantizer else 1.0
        self.xnor = xnor and self.kernel_quantizer is not None
        if self.kernel_quantizer is not None:
            nn.init.uniform_(self.weight, -self.latent_bound, self.latent_bound)

    def quantized_weight(self) -> Tensor:
        """The kernel as the forward pass uses it, before XNOR scaling."""
        return self.weight if self.kernel_quantizer is None else self.kernel_quantizer(self.weight)

    def xnor_scale(self) -> Tensor:
        """Mean absolute latent weight of each output channel, (out,) (Rastegari et al. 2016, XNOR-Net, section 3.1)."""
        return self.weight.abs().flatten(1).mean(1)

    @torch.no_grad()
    def clip_latent_(self) -> None:
        """Clip the latent weights to [-H, H], in place; nothing to do in full precision."""
        if self.kernel_quantizer is not None:
            self.weight.clamp_(-self.latent_bound, self.latent_bound)


class QuantConv2d(_Latent, nn.Conv2d):  # type: ignore[misc]
    """2-D convolution without bias, symmetric zero padding, and quantizers for inputs and kernel.

    Out size is ceil(in / stride): ``dilation * (kernel // 2)`` zeros on every side, so a tap outside adds nothing.

        >>> layer = QuantConv2d(8, 16, 3, stride=2, input_quantizer="ste_sign", kernel_quantizer="ste_sign")
        >>> outputs = layer(torch.randn(2, 8, 7, 7))
        >>> outputs.shape, bool((outputs == outputs.round()).all()), layer.latent_bound
        (torch.Size([2, 16, 4, 4]), True, 1.0)

    Args:
        channels, filters: input and output channels.
        kernel: odd size, or (height, width).
        stride, dilation, groups: as in `torch.nn.Conv2d`.
        input_quantizer, kernel_quantizer: a function, its name, or None for full precision.
        latent_bound: H, the bound of the latent weights, a number or "Glorot".
        lr_multiplier: what the learning rate is multiplied by, a number or "Glorot".
        xnor: multiply each output channel by its mean absolute latent weight.
    """

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        *,
        dilation: int = 1,
        groups: int = 1,
        input_quantizer: str | Quantizer | None = None,
        kernel_quantizer: str | Quantizer | None = None,
        latent_bound: float | str = 1.0,
        lr_multiplier: float | str = 1.0,
        xnor: bool = False,
    ) -> None:
        size = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (dilation * (size[0] // 2), dilation * (size[1] // 2))
        super().__init__(channels, filters, size, stride, padding, dilation, groups, bias=False)
        self.input_quantizer = quantizer(input_quantizer)
        taps = size[0] * size[1]
        self._set_latent(
            taps * channels // groups, taps * filters // groups, kernel_quantizer, latent_bound, lr_multiplier, xnor
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, filters, ceil(h / stride), ceil(w / stride))."""
        if self.input_quantizer is not None:
            inputs = self.input_quantizer(inputs)
        outputs = self.convolve(inputs)
        return outputs * self.xnor_scale()[:, None, None] if self.xnor else outputs

    def convolve(self, inputs: Tensor) -> Tensor:
        """The convolution alone, without input quantizer and scale; shapes as in `forward`."""
        kernel, stride = self.quantized_weight(), self.stride
        learns = self.weight.requires_grad and torch.is_grad_enabled()
        if learns and self.kernel_size == (1, 1) and stride != (1, 1) and self.in_channels < _FEWEST_STRIDED:
            inputs, stride = inputs[:, :, :: stride[0], :: stride[1]], (1, 1)  # the same pixels
        return F.conv2d(inputs, kernel, None, stride, self.padding, self.dilation, self.groups)


class QuantLinear(_Latent, nn.Linear):  # type: ignore[misc]
    """Dense layer without bias, with quantizers for inputs and kernel: (n, inputs) to (n, units).

        >>> QuantLinear(8, 3, kernel_quantizer="ste_sign")(torch.ones(2, 8)).shape
        torch.Size([2, 3])

    Args:
        inputs, units: sizes.
        input_quantizer, kernel_quantizer, latent_bound, lr_multiplier, xnor: as in `QuantConv2d`.
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        *,
        input_quantizer: str | Quantizer | None = None,
        kernel_quantizer: str | Quantizer | None = None,
        latent_bound: float | str = 1.0,
        lr_multiplier: float | str = 1.0,
        xnor: bool = False,
    ) -> None:
        super().__init__(inputs, units, bias=False)
        self.input_quantizer = quantizer(input_quantizer)
        self._set_latent(inputs, units, kernel_quantizer, latent_bound, lr_multiplier, xnor)

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, inputs) to (n, units)."""
        if self.input_quantizer is not None:
            inputs = self.input_quantizer(inputs)
        outputs = F.linear(inputs, self.quantized_weight())
        return outputs * self.xnor_scale() if self.xnor else outputs


class Sign(nn.Module):
    """±1 activation ("binary tanh") as a layer.

        >>> Sign()(torch.tensor([-0.5, 0.0, 2.0])).tolist()
        [-1.0, 1.0, 1.0]

    Args:
        kind: the name of a quantizer of one bit; they differ in their gradients.

    Raises:
        UsageError: no such quantizer, or one of more bits.
    """

    def __init__(self, kind: str = "ste_sign") -> None:
        super().__init__()
        found = quantizer(kind)
        if found is None or quantizer_bits(found) != 1:
            raise UsageError(f"the activation {kind!r} is not of one bit: maps between binary layers are -1 and +1")
        self.quantizer = found

    def forward(self, inputs: Tensor) -> Tensor:
        """Any shape; values -1 and +1."""
        return self.quantizer(inputs)


class MaxPool(nn.MaxPool2d):
    """Largest tap inside the image; out size ceil(in / stride).

        >>> image = torch.arange(9.0).view(1, 1, 3, 3)
        >>> MaxPool(3, 2)(image).flatten().tolist()
        [4.0, 5.0, 7.0, 8.0]

    Args:
        kernel: side of the window, odd.
        stride: step of the window; out size is ceil(in / stride).
    """

    def __init__(self, kernel: int, stride: int = 1) -> None:
        super().__init__(kernel, stride, kernel // 2)


class AveragePool(nn.AvgPool2d):
    """Mean of the taps inside the image (taps outside are not counted); out size ceil(in / stride).

        >>> image = torch.arange(9.0).view(1, 1, 3, 3)
        >>> AveragePool(3, 2)(image).flatten().tolist()
        [2.0, 3.0, 5.0, 6.0]

    Args:
        kernel: side of the window, odd.
        stride: step of the window; out size is ceil(in / stride).
    """

    def __init__(self, kernel: int, stride: int = 1) -> None:
        super().__init__(kernel, stride, kernel // 2, count_include_pad=False)


class SumPool(nn.AvgPool2d):
    """Sum of the taps inside the image: an exact integer for ±1 inputs; out size ceil(in / stride).

        >>> image = torch.arange(9.0).view(1, 1, 3, 3)
        >>> SumPool(3, 2)(image).flatten().tolist()
        [8.0, 12.0, 20.0, 24.0]

    Args:
        kernel: side of the window, odd.
        stride: step of the window; out size is ceil(in / stride).
    """

    def __init__(self, kernel: int, stride: int = 1) -> None:
        super().__init__(kernel, stride, kernel // 2, divisor_override=1)


class DropoutNoScale(nn.Module):
    """Dropout without rescaling: while training, each value becomes 0 with probability
    ``rate``; the others stay as they are. In evaluation the inputs pass unchanged.

        >>> sorted(set(DropoutNoScale(0.5)(torch.ones(1000)).tolist()))
        [0.0, 1.0]

    Args:
        rate: 0 to below 1.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, inputs: Tensor) -> Tensor:
        """Any shape."""
        if not self.training or self.rate == 0.0:
            return inputs
        return inputs * torch.empty_like(inputs).bernoulli_(1.0 - self.rate)

    def extra_repr(self) -> str:
        """The rate."""
        return f"rate={self.rate}"


class ImageScale(nn.Module):
    """Pixel values 0…255 (uint8 or floating) to what the first layer reads, float32, channels last.

    ``gain * x + offset`` for each channel: (x - mean) / std in full precision; 2x - 255, an odd integer in
    [-255, 255], in binary networks.

        >>> binary = ImageScale(torch.full((1,), 2.0), torch.full((1,), -255.0))
        >>> binary(torch.tensor([[[[0, 128, 255]]]], dtype=torch.uint8)).flatten().tolist()
        [-255.0, 1.0, 255.0]

    Args:
        gain, offset: float, one value a channel; buffers, not trained.
    """

    gain: Tensor
    offset: Tensor

    def __init__(self, gain: Tensor, offset: Tensor) -> None:
        super().__init__()
        self.register_buffer("gain", gain.reshape(1, -1, 1, 1).float())
        self.register_buffer("offset", offset.reshape(1, -1, 1, 1).float())

    def forward(self, images: Tensor) -> Tensor:
        """(n, c, h, w) pixel values to the same shape, float32."""
        check_shape_of(images, self.gain.shape[1])
        return images.to(dtype=self.gain.dtype, memory_format=torch.channels_last) * self.gain + self.offset


class GlobalAveragePool(nn.Module):
    """Mean over the image, (n, c, h, w) to (n, c).

    >>> GlobalAveragePool()(torch.ones(2, 3, 4, 4)).shape
    torch.Size([2, 3])
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c)."""
        return inputs.mean((2, 3))


class FactorizedReduction(nn.Module):
    """Halves a map without losing half of its pixels: one half of the filters reads the even pixels, the other the odd
    ones, then batch norm (Zoph et al. 2018, NASNet, appendix A.1). Out size ceil(in / 2).

        >>> FactorizedReduction(4, 6, epsilon=1e-3)(torch.randn(2, 4, 7, 7)).shape
        torch.Size([2, 6, 4, 4])

    Args:
        channels: of the inputs, (n, channels, h, w).
        filters: of the outputs.
        epsilon: of the batch norm.
    """

    def __init__(self, channels: int, filters: int, epsilon: float) -> None:
        super().__init__()
        self.even = QuantConv2d(channels, filters // 2, 1, 2)
        self.odd = QuantConv2d(channels, filters - filters // 2, 1, 2)
        self.norm = nn.BatchNorm2d(filters, eps=epsilon)

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, filters, ceil(h / 2), ceil(w / 2))."""
        shifted = F.pad(inputs, (0, 1, 0, 1))[:, :, 1:, 1:]
        return self.norm(torch.cat((self.even(inputs), self.odd(shifted)), 1))  # type: ignore[no-any-return]


class Zeros(nn.Module):
    """A map of zeros: an operator that adds nothing (``none`` in DARTS, Liu et al. 2019).

        >>> Zeros(6, 2)(torch.ones(1, 4, 7, 7)).shape
        torch.Size([1, 6, 4, 4])

    Args:
        filters: channels of the outputs.
        stride: out size is ceil(in / stride).
    """

    def __init__(self, filters: int, stride: int) -> None:
        super().__init__()
        self.out_channels, self.stride = filters, stride

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, c, h, w) to zeros (n, filters, ceil(h / stride), ceil(w / stride))."""
        n, _, height, width = inputs.shape
        shape = (n, self.out_channels, -(-height // self.stride), -(-width // self.stride))
        zeros = torch.zeros(shape, dtype=inputs.dtype, device=inputs.device)
        return zeros.contiguous(memory_format=torch.channels_last)

    def extra_repr(self) -> str:
        """Filters and stride."""
        return f"{self.out_channels}, stride={self.stride}"


def reduce_map(stride: int) -> nn.Sequential:
    """Max pooling that makes a map ``stride`` times smaller and skips no pixel; nothing where that is 1."""
    return nn.Sequential() if stride == 1 else nn.Sequential(MaxPool(stride + 1 - stride % 2, stride))
