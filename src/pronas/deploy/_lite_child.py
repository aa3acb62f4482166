"""A program of its own, not a module: runs one ``.tflite`` file, so that what a damaged one does to LiteRT ends here.

    python -P _lite_child.py FILE

First a line of JSON goes to standard output: ``shape``, ``output``, ``scale``, ``zero``, or ``error``. Then each image
of int8 on standard input (one after another, no separator) is answered by its int8 logits.
"""

import json
import os
import resource
import signal
import sys
from typing import Any

SECONDS, BYTES = 60, 4 << 30
"""For the start and for each image; memory that may be taken."""


def opened(path: str) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """(interpreter, input, output) of a file that holds a classifier of int8 images."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-untyped, import-not-found, unused-ignore]

    model = Interpreter(model_path=path, num_threads=1)
    model.allocate_tensors()
    inputs, outputs = model.get_input_details(), model.get_output_details()
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(f"{len(inputs)} inputs and {len(outputs)} outputs, not one of each")
    source, target = inputs[0], outputs[0]
    if source["dtype"].__name__ != "int8" or target["dtype"].__name__ != "int8":
        raise ValueError(f"it reads {source['dtype'].__name__} and gives {target['dtype'].__name__}, not int8")
    return model, source, target


def facts(source: dict[str, Any], target: dict[str, Any]) -> dict[str, Any]:
    """What the file reads and gives, as plain data."""
    scale, zero = target["quantization"]
    shapes: dict[str, Any] = {"shape": [int(n) for n in source["shape"]], "output": [int(n) for n in target["shape"]]}
    return shapes | {"scale": float(scale), "zero": int(zero)}


def main(path: str) -> None:
    """Say what the file is, then classify until there are no more images."""
    import numpy as np

    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what LiteRT prints is no answer
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    signal.alarm(SECONDS)
    try:
        model, source, target = opened(path)
        said = facts(source, target)
    except Exception as error:
        said = {"error": str(error)[:300]}
    answers.write(json.dumps(said).encode() + b"\n")
    size = 0 if "error" in said else int(np.prod(said["shape"]))
    signal.alarm(0)
    while size and len(image := sys.stdin.buffer.read(size)) == size:
        signal.alarm(SECONDS)
        model.set_tensor(source["index"], np.frombuffer(image, np.int8).reshape(said["shape"]))
        model.invoke()
        answers.write(model.get_tensor(target["index"]).tobytes())
        signal.alarm(0)


if __name__ == "__main__":
    main(sys.argv[1])
