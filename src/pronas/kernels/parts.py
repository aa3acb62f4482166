"""What `pronas.kernels.accelerate` puts together, piece by piece: for tests, profiles and benchmarks of one kernel."""

from pronas.kernels._capture import capture
from pronas.kernels._captured import Captured
from pronas.kernels._concat_buffer import ConcatBuffer
from pronas.kernels._convolution import convolve
from pronas.kernels._depthwise_group import begin, groups
from pronas.kernels._gradient_sum import shared
from pronas.kernels._layers import run_layer
from pronas.kernels._network import FastNetwork
from pronas.kernels._sequence import run_layers

__all__ = [
    "Captured",
    "ConcatBuffer",
    "FastNetwork",
    "begin",
    "capture",
    "convolve",
    "groups",
    "run_layer",
    "run_layers",
    "shared",
]
