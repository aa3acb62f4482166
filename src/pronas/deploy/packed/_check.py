"""What must hold of an operation before anything is computed with it; the C core checks the same."""

from __future__ import annotations

from collections.abc import Sequence

from pronas.deploy.packed._graph import WINDOWED, Map, Op, inputs_of, output_size

MAX_ITEMS = 4096
MAX_INPUTS = 1 << 16
MAX_PIXELS = 128  # of a depthwise window or a sum over pixels: the sum fits in 16 bits


class ProgramCheck:
    """Looks at the operations of a program one after the other, and keeps what they have written.

    Args:
        maps: all maps; the first is the image, which is there.
    """

    def __init__(self, maps: Sequence[Map]) -> None:
        self._maps = maps
        self._written = [maps[0].channels] + [0] * (len(maps) - 1)

    def problem(self, op: Op, *, last: bool) -> str:
        """What is wrong with the next operation, or the empty string; see `check_op`."""
        found = check_op(op, self._maps, self._written, last)
        if not found and op.kind != "logits":
            self._written[op.target] += op.channels
        return found


def check_op(op: Op, maps: Sequence[Map], written: Sequence[int], last: bool) -> str:
    """What is wrong with ``op``, or the empty string.

    Args:
        op: the operation; its weights need not be there yet.
        maps: all maps.
        written: for each map, how many channels earlier operations have written.
        last: whether it is the network's last operation.
    """
    if any(n >= len(maps) for n in (*op.sources, op.target)):
        return "it names an unknown map"
    if (op.kind == "logits") != last:
        return "logits must be the last operation"
    if any(written[n] != maps[n].channels for n in op.sources):
        return "it reads a map that is not complete"
    return _check_kind(op, maps) or _check_window(op, maps[op.sources[0]]) or _check_target(op, maps, written)


def _check_kind(op: Op, maps: Sequence[Map]) -> str:
    source = maps[op.sources[0]]
    if not op.channels or (op.kind not in ("conv", "dense", "logits") and op.channels != source.channels):
        return f"it writes {op.channels} channels"
    if any(maps[n].image for n in op.sources) and op.kind not in WINDOWED:
        return "it reads an image, and is for bits"
    if op.kind == "add" and maps[op.sources[0]].shape != maps[op.sources[1]].shape:
        return "it adds maps of different shapes"
    return ""


def _check_window(op: Op, source: Map) -> str:
    if op.kind in WINDOWED:
        sizes = zip((source.height, source.width), op.kernel, op.padding, strict=True)
        if not op.stride or any(not k or p >= k or k > size + 2 * p for size, k, p in sizes):
            return f"a window of {op.kernel}, stride {op.stride}, padding {op.padding}"
    if source.image and op.kind in ("depthwise", "sumpool") and inputs_of(op, source) > MAX_PIXELS:
        return f"a window of {inputs_of(op, source)} pixels, more than {MAX_PIXELS}"
    if inputs_of(op, source) > MAX_INPUTS:
        return f"an output has {inputs_of(op, source)} inputs, more than {MAX_INPUTS}"
    return ""


def _check_target(op: Op, maps: Sequence[Map], written: Sequence[int]) -> str:
    if op.kind == "logits":
        return ""
    source, target = maps[op.sources[0]], maps[op.target]
    if op.target == 0 or op.target in op.sources:
        return "it writes what it must not"
    if op.offset != written[op.target] or op.channels > target.channels - written[op.target]:
        return f"it writes channels {op.offset} to {op.offset + op.channels} of {target.channels}"
    if target.image != (op.kind == "maxpool" and source.image):
        return "it writes a map of the wrong kind"
    if output_size(op, source) != (target.height, target.width):
        return f"its output is {output_size(op, source)}, the map {(target.height, target.width)}"
    return ""
