"""ONNX files, compared with PyTorch before they are put in their place."""

from pronas.deploy.onnx._export import TOLERANCE, check_onnx, export_onnx, session

__all__ = ["TOLERANCE", "check_onnx", "export_onnx", "session"]
