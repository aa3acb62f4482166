"""``.tflite`` files, run by LiteRT in a process of their own: a damaged one may end that process, not this one."""

from __future__ import annotations

import json
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from pronas.errors import ModelFileError

_MOST = 1 << 26  # bytes of an image


class Child(Protocol):
    """What is used of a process that runs ``_lite_child.py``: `subprocess.Popen` is one."""

    stdin: IO[bytes] | None
    stdout: IO[bytes] | None

    def wait(self) -> int:
        """Its status, negative a signal that ended it."""
        ...


def started(path: Path) -> Child:
    """A process that runs a file."""
    command = [sys.executable, "-P", str(Path(__file__).with_name("_lite_child.py")), str(path.resolve())]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


@final
class LiteProcess:
    """A file that pronas wrote as ``.tflite``, ready to classify.

    Args:
        path: of the file.
        start: starts the process that runs it.

    Attributes:
        input_shape: (C, H, W) of images.
        classes: number of classes.

    Raises:
        ModelFileError: LiteRT cannot read it, or it is no classifier of one int8 image.
    """

    def __init__(self, path: Path, start: Callable[[Path], Child] = started) -> None:
        self.path = path
        self._child = start(path)
        self.close = weakref.finalize(self, _ended, self._child)
        facts = self._facts()
        shape, output = facts["shape"], facts["output"]
        if len(shape) != 4 or shape[0] != 1 or not all(0 < n <= 1 << 16 for n in shape) or np.prod(shape) > _MOST:
            raise ModelFileError(f"{path}: its input is {shape}, not one image (1, height, width, channels)")
        if len(output) != 2 or output[0] != 1 or not 0 < output[1] <= 1 << 16:
            raise ModelFileError(f"{path}: its output is {output}, not logits (1, classes)")
        self.input_shape, self.classes = (shape[3], shape[1], shape[2]), output[1]
        self._scale, self._zero = np.float32(facts["scale"]), facts["zero"]

    def _facts(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        facts = json.loads(line) if line.endswith(b"\n") else {"error": self._end()}
        if "error" in facts:
            first = (facts["error"].strip().splitlines() or ["no reason given"])[0]
            raise ModelFileError(f"{self.path}: LiteRT cannot read it ({first})")
        return dict(facts)

    def score(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """Float32 logits (n, classes) of uint8 images (n, C, H, W).

        Raises:
            ModelFileError: LiteRT ended while it ran the file.
        """
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        found = []
        for image in (images.transpose(0, 2, 3, 1).astype(np.int16) - 128).astype(np.int8):
            try:
                self._child.stdin.write(image.tobytes())
                self._child.stdin.flush()
                answer = self._child.stdout.read(self.classes)
            except BrokenPipeError:
                answer = b""
            if len(answer) != self.classes:
                raise ModelFileError(f"{self.path}: LiteRT cannot run it ({self._end()})")
            found.append(np.frombuffer(answer, np.int8))
        steps: NDArray[Any] = np.array(found, np.float32).reshape(-1, self.classes) - self._zero
        return np.asarray(steps * self._scale)

    def _end(self) -> str:
        """How the process ended, in words."""
        code = _ended(self._child)
        return f"ended by signal {-code}" if code < 0 else f"ended with status {code}"


def _ended(child: Child) -> int:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                continue
    return child.wait()
