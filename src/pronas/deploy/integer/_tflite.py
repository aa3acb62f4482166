"""A static int8 ``.tflite`` file: standard operators, written with the published schema (the package ``tflite``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pronas.deploy.integer._quantize import IntegerGraph
from pronas.deploy.integer._tflite_ops import LiteGraph, LiteOp, LiteTensor
from pronas.errors import require

VERSION = 3
_IDENTIFIER = b"TFL3"
_ALIGNED = 16  # bytes; runtimes read weights in place
_OP_VERSIONS = {
    "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "MAX_POOL_2D": 2, "AVERAGE_POOL_2D": 2, "ADD": 2, "CONCATENATION": 2,
    "MEAN": 2, "RELU": 2, "QUANTIZE": 2, "PAD": 2, "RESHAPE": 1,
}  # fmt: skip


def tflite_bytes(network: IntegerGraph) -> bytes:
    """The file: one image, int8 (1, H, W, C) with pixel - 128, to int8 logits (1, classes).

    Args:
        network: from `quantize` or `integer_model`.

    Returns:
        A FlatBuffer of TensorFlow Lite's schema, version 3.

    Raises:
        MissingExtraError: flatbuffers or tflite is not installed.
    """
    require("tflite", "tflite")
    return _Writer(LiteGraph(network), require("flatbuffers", "tflite"), require("tflite", "tflite")).write()


class _Writer:
    def __init__(self, graph: LiteGraph, flatbuffers: Any, schema: Any) -> None:
        self.graph, self.schema = graph, schema
        self.builder = flatbuffers.Builder(1 << 16)
        self.codes = sorted({op.name for op in graph.ops})

    def write(self) -> bytes:
        """The whole file."""
        buffers = self._offsets("Model", "Buffers", [self._buffer(None), *map(self._buffer, self.graph.tensors)])
        subgraphs = self._offsets("Model", "Subgraphs", [self._subgraph()])
        codes = self._offsets("Model", "OperatorCodes", [self._code(name) for name in self.codes])
        text = self.builder.CreateString("made by pronas")
        model = self._table(
            "Model", Version=VERSION, OperatorCodes=codes, Subgraphs=subgraphs, Description=text, Buffers=buffers
        )
        self.builder.Finish(model, file_identifier=_IDENTIFIER)
        return bytes(self.builder.Output())

    def _table(self, table: str, **fields: Any) -> int:
        """A table of the schema from values and offsets."""
        getattr(self.schema, f"{table}Start")(self.builder)
        for name, value in fields.items():
            getattr(self.schema, f"{table}Add{name}")(self.builder, value)
        return int(getattr(self.schema, f"{table}End")(self.builder))

    def _offsets(self, table: str, field: str, items: list[int]) -> int:
        getattr(self.schema, f"{table}Start{field}Vector")(self.builder, len(items))
        for item in reversed(items):
            self.builder.PrependUOffsetTRelative(item)
        return int(self.builder.EndVector())

    def _vector(self, values: Sequence[Any] | NDArray[Any], kind: type) -> int:
        return int(self.builder.CreateNumpyVector(np.asarray(values, kind)))

    def _buffer(self, tensor: LiteTensor | None) -> int:
        if tensor is None or tensor.data is None:
            return self._table("Buffer")
        data = np.frombuffer(tensor.data.astype(tensor.data.dtype.newbyteorder("<")).tobytes(), np.uint8)
        self.builder.Prep(_ALIGNED, data.size + 4)
        # the vector's length stands before its data: fill up so that the data begins at a multiple
        self.builder.StartVector(1, data.size, _ALIGNED)
        self.builder.head -= data.size
        self.builder.Bytes[self.builder.head : self.builder.head + data.size] = data.tobytes()
        return self._table("Buffer", Data=self.builder.EndVector())

    def _tensor(self, number: int, tensor: LiteTensor) -> int:
        name, shape = self.builder.CreateString(tensor.name), self._vector(tensor.shape, np.int32)
        fields: dict[str, Any] = {"Shape": shape, "Type": getattr(self.schema.TensorType, tensor.kind)}
        if tensor.scales is not None:
            scales = self._vector(tensor.scales, np.float32)
            zeros = self._vector([tensor.zero] * len(tensor.scales), np.int64)
            fields["Quantization"] = self._table(
                "QuantizationParameters", Scale=scales, ZeroPoint=zeros, QuantizedDimension=tensor.axis
            )
        return self._table("Tensor", **fields, Buffer=number + 1, Name=name)

    def _code(self, name: str) -> int:
        code = getattr(self.schema.BuiltinOperator, name)
        return self._table(
            "OperatorCode", DeprecatedBuiltinCode=min(code, 127), BuiltinCode=code, Version=_OP_VERSIONS[name]
        )

    def _op(self, op: LiteOp) -> int:
        inputs, outputs = self._vector(op.inputs, np.int32), self._vector([op.output], np.int32)
        options = {k: self._vector(v, np.int32) if isinstance(v, list) else v for k, v in op.options.items()}
        fields: dict[str, Any] = {"OpcodeIndex": self.codes.index(op.name), "Inputs": inputs, "Outputs": outputs}
        if op.table:
            fields["BuiltinOptions"] = self._table(op.table, **options)
            fields["BuiltinOptionsType"] = getattr(self.schema.BuiltinOptions, op.table)
        return self._table("Operator", **fields)

    def _subgraph(self) -> int:
        tensors = [self._tensor(number, tensor) for number, tensor in enumerate(self.graph.tensors)]
        operators = [self._op(op) for op in self.graph.ops]
        return self._table(
            "SubGraph",
            Tensors=self._offsets("SubGraph", "Tensors", tensors),
            Inputs=self._vector([0], np.int32),
            Outputs=self._vector([self.graph.ops[-1].output], np.int32),
            Operators=self._offsets("SubGraph", "Operators", operators),
        )
