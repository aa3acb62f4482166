"""Full-precision networks in int8: one integer network, exact to the bit; C, TensorFlow Lite and ONNX."""

from pronas.deploy.integer._builder import Builder
from pronas.deploy.integer._calibrate import METHODS, Scale, calibrate
from pronas.deploy.integer._csource import IntegerSource, integer_c, write_integer_c
from pronas.deploy.integer._float import run_float
from pronas.deploy.integer._footprint import integer_footprint, largest_node
from pronas.deploy.integer._graph import FloatGraph
from pronas.deploy.integer._lower import lower, lowering
from pronas.deploy.integer._model import Agreement, compare, integer_model
from pronas.deploy.integer._quantize import IntegerGraph, quantize
from pronas.deploy.integer._reference import integer_values, run_integer
from pronas.deploy.integer._tflite import tflite_bytes

__all__ = [
    "METHODS",
    "Agreement",
    "Builder",
    "FloatGraph",
    "IntegerGraph",
    "IntegerSource",
    "Scale",
    "calibrate",
    "compare",
    "integer_c",
    "integer_footprint",
    "integer_model",
    "integer_values",
    "largest_node",
    "lower",
    "lowering",
    "quantize",
    "run_float",
    "run_integer",
    "tflite_bytes",
    "write_integer_c",
]
