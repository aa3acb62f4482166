"""ONNX: float and binary networks alike, through PyTorch's exporter, then compared with PyTorch."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pronas.errors import ModelFileError, UsageError, require
from pronas.files import replacing
from pronas.networks import Network

TOLERANCE = 1e-4
"""Largest allowed difference between PyTorch's and ONNX Runtime's logits, relative to the largest logit above 1."""


class _Pixels(nn.Module):
    """The network with its input's type fixed: uint8 pixels."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images)  # type: ignore[no-any-return]


def export_onnx(network: nn.Module, input_shape: tuple[int, int, int], out: str | os.PathLike[str]) -> Path:
    """Write ``network`` as ONNX: uint8 ``images`` (batch, C, H, W) to ``logits`` (batch, classes), the batch free.

    The file is compared with PyTorch in ONNX Runtime before it is put in its place.

    Args:
        network: any that reads pixel values; left in evaluation mode.
        input_shape: (C, H, W).
        out: the file to write.

    Returns:
        The path of the file.

    Raises:
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
        ModelFileError: ONNX Runtime's answers differ from PyTorch's; nothing is written.
        OSError: it cannot be written.
    """
    for module in ("onnx", "onnxscript", "onnxruntime"):
        require(module, "onnx")
    network = network.eval()
    example = torch.from_numpy(_images(input_shape, 3))
    with replacing(out) as temporary:
        _quietly(_portable(network), example, temporary)
        check_onnx(network, input_shape, temporary, str(out))
    return Path(out)


def torch_program(
    network: nn.Module,
    input_shape: tuple[int, int, int],
    out: str | os.PathLike[str],
    extra: Mapping[str, str] | None = None,
) -> None:
    """Write ``network`` as `torch.export` gives it: it loads with ``torch.export.load`` where there is no pronas.

    uint8 images (batch, C, H, W) to logits (batch, classes), the batch free.

    Args:
        network: any that reads pixel values; left in evaluation mode.
        input_shape: (C, H, W).
        out: the file to write, not atomically.
        extra: texts kept inside, by name.

    Raises:
        OSError: it cannot be written; PyTorch's own errors where it cannot export a layer.
    """
    example = torch.from_numpy(_images(input_shape, 3))
    batch = ({0: torch.export.Dim("batch", min=1)},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(_Pixels(_portable(network.eval())), (example,), dynamic_shapes=batch)
        content = io.BytesIO()  # its own way to files has errors of its own for a full disk
        torch.export.save(program, content, extra_files=dict(extra or {}))
    Path(out).write_bytes(content.getbuffer())


def _portable(network: nn.Module) -> nn.Module:
    """Binary networks as exact integer comparisons; others, and binary ones with a layer of the user's, as they are."""
    from pronas.deploy.packed import GraphModule, graph_of

    try:
        return GraphModule(graph_of(network)).eval() if isinstance(network, Network) else network
    except UsageError:
        return network


def _quietly(network: nn.Module, example: torch.Tensor, path: Path) -> None:
    """The exporter talks on stdout, in warnings and in the log; what it has to say is said by the comparison."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _Pixels(network),
            (example,),
            dynamo=True,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            verbose=False,
        )
    assert program is not None
    program.save(str(path), external_data=False)


def session(path: str | os.PathLike[str] | bytes, threads: int = 1) -> Any:
    """An ONNX Runtime session on the processor, of a file or of its content.

    Args:
        path: of an ONNX file, or its content.
        threads: of one operator; operators run one after another.

    Returns:
        An ``onnxruntime.InferenceSession``.

    Raises:
        MissingExtraError: onnxruntime is not installed; ONNX Runtime's own errors where it cannot read the file.
    """
    runtime = require("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    source = path if isinstance(path, bytes) else str(path)
    return runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def check_onnx(network: nn.Module, input_shape: tuple[int, int, int], path: Path, name: str) -> float:
    """Compare an ONNX file with PyTorch on random images, batches of 1 and 32.

    Args:
        network: in evaluation mode.
        input_shape: (C, H, W).
        path: of the file.
        name: how messages call it.

    Returns:
        The largest difference of a logit, as a share of the largest logit where that is above 1.

    Raises:
        ModelFileError: it is above `TOLERANCE`, or a class differs.
        MissingExtraError: onnxruntime is not installed.
    """
    run, worst = session(path), 0.0
    for count in (1, 32):
        images = _images(input_shape, count)
        with torch.no_grad():
            expected = network(torch.from_numpy(images)).numpy()
        found = run.run(None, {"images": images})[0]
        worst = max(worst, float(np.abs(found - expected).max()) / max(1.0, float(np.abs(expected).max())))
        if worst > TOLERANCE or not np.array_equal(found.argmax(1), expected.argmax(1)):
            raise ModelFileError(f"{name}: ONNX Runtime's logits differ from PyTorch's by {worst:.1e}; not written")
    return worst


def _images(shape: tuple[int, int, int], count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)
