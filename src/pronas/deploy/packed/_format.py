"""The packed file: 64 bytes of header, then aligned sections. docs/packed.md describes every byte.

    0   "PNPACK\\r\\n"          16  five pairs (offset, size), 4 bytes each: JSON, program, thresholds, floats,
    8   version (1)               weights
    12  size of the file      56  zero
                              60  CRC-32 of the file with these four bytes zero

All numbers are little-endian; sections begin at multiples of 16. Weights are one bit each, operation after
operation, each operation's at a byte of its own.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pronas.deploy.packed._check import MAX_ITEMS, ProgramCheck
from pronas.deploy.packed._graph import KINDS, THRESHOLDED, Graph, Logits, Map, Op, inputs_of, weight_shape
from pronas.errors import ModelFileError, UsageError

MAGIC = b"PNPACK\r\n"
VERSION = 1
_HEADER = struct.Struct("<8sII10III")
_OP = struct.Struct("<8B6H")
_MAP = struct.Struct("<HHHBB")


def pack(graph: Graph) -> bytes:
    """The bytes of a packed file.

        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> binary = skeleton("binary", filters=(8,))
        >>> network = binary.build(Cell.parse("0:3x3 bconv + 0:3x3 maxpool"), (1, 8, 8), 2)
        >>> from pronas.deploy.packed import graph_of
        >>> pack(graph_of(network))[:8]
        b'PNPACK\\r\\n'

    Args:
        graph: from `graph_of` or `unpack`.

    Returns:
        The whole file: `unpack` reads it back, the compiled core and the NumPy one run it.

    Raises:
        UsageError: an operation is beyond what packed files hold, such as an output of more than 65,536 inputs.
    """
    _refuse_unreadable(graph)
    thresholds = [op.thresholds.astype(f"<i{_width(op)}") for op in graph.ops if op.thresholds is not None]
    program = struct.pack("<II", len(graph.maps), len(graph.ops))
    program += b"".join(_MAP.pack(*m.shape, m.image, 0) for m in graph.maps)
    program += b"".join(_pack_op(op) for op in graph.ops)
    numbers = b"".join(values.tobytes() for values in thresholds)
    floats = b"".join(op.logits.values.astype("<f4").tobytes() for op in graph.ops if op.logits is not None)
    bits = b"".join(
        np.packbits(op.weights.reshape(-1), bitorder="little").tobytes() for op in graph.ops if op.weights is not None
    )
    text = json.dumps(graph.info, separators=(",", ":"), ensure_ascii=False).encode()
    return _assemble([text, program, numbers, floats, bits])


def _refuse_unreadable(graph: Graph) -> None:
    """Write nothing that `unpack` would refuse."""
    check = ProgramCheck(graph.maps)
    for index, op in enumerate(graph.ops):
        problem = check.problem(op, last=index == len(graph.ops) - 1)
        if problem:
            raise UsageError(f"operation {index} ({op.kind}) cannot be packed: {problem}; export to onnx", "format")


def _width(op: Op) -> int:
    """Bytes of one threshold: the fewest that hold them all."""
    if op.thresholds is None:
        return 0
    low, high = int(op.thresholds.min()), int(op.thresholds.max())
    return next(n for n in (1, 2, 4) if -(1 << (8 * n - 1)) <= low and high < 1 << (8 * n - 1))


def _pack_op(op: Op) -> bytes:
    second = op.sources[1] if len(op.sources) > 1 else op.sources[0]
    form = op.logits.form if op.logits is not None else 0
    head = (KINDS.index(op.kind), *op.kernel, op.stride, *op.padding, form, _width(op))
    return _OP.pack(*head, op.sources[0], second, op.target, op.offset, op.channels, 0)


def _assemble(sections: list[bytes]) -> bytes:
    table, body = [], b""
    for content in sections:
        body += b"\0" * (-len(body) % 16)
        table += [_HEADER.size + len(body), len(content)]
        body += content
    size = _HEADER.size + len(body)
    crc = zlib.crc32(_HEADER.pack(MAGIC, VERSION, size, *table, 0, 0) + body)
    return _HEADER.pack(MAGIC, VERSION, size, *table, 0, crc) + body


def read_info(data: bytes, name: str = "packed network") -> dict[str, Any]:
    """The JSON of a packed file, after checking the header, the checksum and the sections' places.

    Raises:
        ModelFileError: it is not a packed file, of another version, truncated or altered.
    """
    return _text(_sections(data, name)[0], name)


def unpack(data: bytes, name: str = "packed network") -> Graph:
    """Read a packed file; every size, offset and shape is checked before it is used.

        >>> from pronas.networks import skeleton
        >>> from pronas.space import Cell
        >>> binary = skeleton("binary", filters=(8,))
        >>> network = binary.build(Cell.parse("0:3x3 bconv + 0:3x3 maxpool"), (1, 8, 8), 2)
        >>> from pronas.deploy.packed import graph_of
        >>> unpack(pack(graph_of(network))).classes
        2

    Args:
        data: the file's bytes.
        name: how messages call it.

    Returns:
        The network as maps and operations.

    Raises:
        ModelFileError: what `read_info` raises, or a program that makes no sense.
    """
    text, program, numbers, floats, bits = _sections(data, name)
    maps, records = _program(program, name)
    reader = _Reader(name, numbers, floats, bits)
    check, ops = ProgramCheck(maps), []
    for index, record in enumerate(records):
        op = _read_op(record, name)
        problem = check.problem(op, last=index == len(records) - 1)
        if problem:
            raise ModelFileError(f"{name}: operation {index} ({op.kind or 'unknown'}): {problem}")
        ops.append(reader.fill(op, maps[op.sources[0]], record[6], record[7]))
    reader.finish()
    return Graph(tuple(maps), tuple(ops), _text(text, name))


def _sections(data: bytes, name: str) -> list[bytes]:
    if len(data) < _HEADER.size or data[:8] != MAGIC:
        raise ModelFileError(f"{name}: not a packed pronas network")
    _, version, size, *table, _flags, crc = _HEADER.unpack_from(data)
    if version != VERSION:
        raise ModelFileError(f"{name}: packed format version {version}; this pronas reads version {VERSION}")
    if size != len(data):
        raise ModelFileError(
            f"{name}: it has {len(data)} bytes and should have {size}: it is truncated or has something appended"
        )
    if zlib.crc32(data[:60] + b"\0\0\0\0" + data[64:]) != crc:
        raise ModelFileError(f"{name}: its checksum is wrong: the file was altered")
    sections, end = [], _HEADER.size
    for at, length in zip(table[::2], table[1::2], strict=True):
        if at % 16 or at < end or at + length > len(data):
            raise ModelFileError(f"{name}: a section lies outside the file")
        sections.append(data[at : at + length])
        end = at + length
    return sections


def _text(content: bytes, name: str) -> dict[str, Any]:
    try:
        info = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{name}: its JSON header is malformed ({error})") from error
    if not isinstance(info, dict) or not all(isinstance(c, str) for c in _strings(info.get("classes", []))):
        raise ModelFileError(f"{name}: its JSON header is not an object with class names")
    return info


def _strings(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [None]


def _program(program: bytes, name: str) -> tuple[list[Map], list[tuple[int, ...]]]:
    maps, ops = struct.unpack_from("<II", program) if len(program) >= 8 else (0, 0)
    if not 0 < maps <= MAX_ITEMS or not 0 < ops <= MAX_ITEMS or len(program) != 8 + 8 * maps + 20 * ops:
        raise ModelFileError(f"{name}: its program has a bad size")
    records = list(_MAP.iter_unpack(program[8 : 8 + 8 * maps]))
    shapes = [Map(c, h, w, bool(image)) for c, h, w, image, _ in records]
    bad = any(
        image > 1 or zero or not 0 < m.size <= 1 << 26 for (*_, image, zero), m in zip(records, shapes, strict=True)
    )
    if bad or sum(-(-m.channels // 8) * m.height * m.width for m in shapes) > 1 << 28 or not shapes[0].image:
        raise ModelFileError(f"{name}: it has a map of a bad shape")
    return shapes, list(_OP.iter_unpack(program[8 + 8 * maps :]))


def _read_op(record: tuple[int, ...], name: str) -> Op:
    kind, kh, kw, stride, ph, pw, _form, _, first, second, target, offset, channels, _ = record
    if not 0 < kind < len(KINDS):
        raise ModelFileError(f"{name}: an operation is of an unknown kind {kind}")
    sources = (first, second) if KINDS[kind] == "add" else (first,)
    return Op(KINDS[kind], sources, target, offset, channels, (kh, kw), stride, (ph, pw))


class _Reader:
    """Hands out the sections' contents, operation after operation."""

    def __init__(self, name: str, numbers: bytes, floats: bytes, bits: bytes) -> None:
        self.name = name
        self.numbers, self.floats, self.bits = memoryview(numbers), memoryview(floats), memoryview(bits)

    def fill(self, op: Op, source: Map, form: int, width: int) -> Op:
        """``op`` with its weights, thresholds and logits."""
        shape, weights, thresholds, logits = weight_shape(op, source), None, None, None
        if shape:
            count = int(np.prod(shape, dtype=np.int64))
            raw = self._take("bits", -(-count // 8))
            weights = np.unpackbits(np.frombuffer(raw, np.uint8), count=count, bitorder="little").reshape(shape)
        if op.kind in THRESHOLDED:
            if width not in (1, 2, 4):
                raise ModelFileError(f"{self.name}: an operation has thresholds of {width} bytes")
            raw = self._take("numbers", op.channels * width)
            thresholds = np.frombuffer(raw, f"<i{width}").astype(np.int32)
        if op.kind == "logits":
            logits = self._logits(op, source, form)
        return Op(
            op.kind, op.sources, op.target, op.offset, op.channels, op.kernel, op.stride, op.padding,
            None if weights is None else weights.astype(np.bool_), thresholds, logits,
        )  # fmt: skip

    def _logits(self, op: Op, source: Map, form: int) -> Logits:
        if form > 4:
            raise ModelFileError(f"{self.name}: unknown form {form} of logits")
        columns = inputs_of(op, source) + 1 if form == 2 else 2 if form < 2 else 3
        raw = self._take("floats", 4 * op.channels * columns)
        values: NDArray[np.float32] = np.frombuffer(raw, "<f4").astype(np.float32).reshape(op.channels, columns)
        return Logits(form, values)

    def _take(self, which: str, size: int) -> memoryview:
        section: memoryview = getattr(self, which)
        if size > len(section):
            raise ModelFileError(f"{self.name}: a section is too short for its operations")
        setattr(self, which, section[size:])
        return section[:size]

    def finish(self) -> None:
        """Raise if something was left over."""
        if len(self.numbers) or len(self.floats) or len(self.bits):
            raise ModelFileError(f"{self.name}: a section is longer than its operations need")
