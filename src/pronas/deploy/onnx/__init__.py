"""ONNX files, floats or int8, compared before they are put in their place; and `torch.export`'s programs."""

from pronas.deploy.onnx._export import TOLERANCE, check_onnx, export_onnx, session, torch_program
from pronas.deploy.onnx._float import float_onnx
from pronas.deploy.onnx._int8 import export_onnx_int8

__all__ = ["TOLERANCE", "check_onnx", "export_onnx", "export_onnx_int8", "float_onnx", "session", "torch_program"]
