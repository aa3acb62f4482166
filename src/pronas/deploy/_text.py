"""What stands beside an exported file: a text that says how to use it, and for C an example program."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pronas.deploy._ctext import clean, fill, identifier
from pronas.files import write_atomic

if TYPE_CHECKING:
    from pronas.deploy.integer import Agreement
    from pronas.training import Model, ModelSpec

_CALLS = {
    "onnx": "onnxruntime.InferenceSession({file!r}).run(None, {{'images': images}})[0].argmax(1)",
    "packed": "pronas.load_packed({file!r})(images)",
    "c": "int class = {name}_classify(pixels);",
    "tflite": "Interpreter(model_path={file!r}); input = (pixels - 128) as int8; the class is the largest output",
    "pt2": "torch.export.load({file!r}).module()(images).argmax(1)",
}
_INPUTS = {
    "onnx": "uint8 images (n, {c}, {h}, {w}), pixels 0 to 255",
    "packed": "uint8 images (n, {c}, {h}, {w}), pixels 0 to 255",
    "c": "uint8 pixels 0 to 255, {c} x {h} x {w} bytes: channel after channel, row after row",
    "tflite": "int8 (1, {h}, {w}, {c}), pixel - 128, channels last",
    "pt2": "uint8 images (n, {c}, {h}, {w}), pixels 0 to 255",
}

_EXAMPLE = """/* Classifies one image: a file of @SIZE@ bytes, pixels 0 to 255, @ORDER@.
 * cc -O2 -o @STEM@ @STEM@_main.c @STEM@.c && ./@STEM@ image.raw */
#include <stdio.h>

#include "@STEM@.h"

static const char *const names[] = {@NAMES@};

int main(int count, char **words) {
  static uint8_t image[@SIZE@];
  FILE *file = count > 1 ? fopen(words[1], "rb") : NULL;
  if (file == NULL || fread(image, 1, sizeof image, file) != sizeof image) {
    fprintf(stderr, "usage: @STEM@ IMAGE (@SIZE@ bytes)\\n");
    return 2;
  }
  puts(names[@NAME@_classify(image)]);
  fclose(file);
  return 0;
}
"""


def facts_of(model: Model, format: str, path: Path, agreement: Agreement | None) -> dict[str, str]:
    """What a user of the file wants to know, by name."""
    c, h, w = model.spec.input_shape
    facts = {"file": path.name, "format": format, "input": _INPUTS[format].format(c=c, h=h, w=w)}
    facts["classes"] = ", ".join(f"{number} {clean(name)}" for number, name in enumerate(model.spec.classes))
    facts |= _accuracies(model, agreement)
    facts["bytes"] = f"{path.stat().st_size:,}"
    facts["call"] = _CALLS[format].format(file=path.name, name=identifier(path.stem))
    if format == "c":
        facts["make"] = f"{path.stem}: {path.stem}_main.c {path.name}; $(CC) -O2 -o $@ $^"
    return facts


def _accuracies(model: Model, agreement: Agreement | None) -> dict[str, str]:
    if agreement is None:
        known = model.spec.metrics
        return {
            name.replace("_", " "): f"{known[name]:.4f}"
            for name in ("test_accuracy", "validation_accuracy")
            if isinstance(known.get(name), float) and known[name] > 0  # 0: no validation images were kept
        }
    return {
        "accuracy": f"{agreement.integer_accuracy:.4f} in int8, {agreement.float_accuracy:.4f} in floats "
        f"({agreement.images:,} validation images)",
        "same class": f"{agreement.same:.4f} of these images",
    }


def write_text(path: Path, facts: dict[str, str]) -> Path:
    """The facts, a line each, in ``path`` with .txt behind its name."""
    text = path.with_name(path.name + ".txt")
    write_atomic(text, "".join(f"{name + ': ':14}{value}\n" for name, value in facts.items()))
    return text


def remember(model: Path, facts: dict[str, str]) -> None:
    """Keep the facts with the run that ``model`` is the winner of, by the file's name, for its report.

    Of a model elsewhere, or in a run that may only be read, nothing is kept.
    """
    run = model.parent.parent
    if model.parent.name != "weights" or not (run / "store.sqlite").is_file():
        return
    path, known = run / "exports.json", dict[str, Any]()
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        known = found if isinstance(found, dict) else {}
    known.pop(facts["file"], None)
    with contextlib.suppress(OSError):
        write_atomic(path, json.dumps(known | {facts["file"]: facts}, indent=2, ensure_ascii=False) + "\n")


def write_example(path: Path, spec: ModelSpec) -> Path:
    """A C program beside the C file ``path`` that classifies one image; its head says how to compile it."""
    c, h, w = spec.input_shape
    names = ", ".join('"' + clean(name) + '"' for name in spec.classes)
    parts = {
        "SIZE": str(c * h * w), "STEM": path.stem, "NAMES": names, "NAME": identifier(path.stem),
        "ORDER": "channel after channel, row after row",
    }  # fmt: skip
    example = path.with_name(f"{path.stem}_main.c")
    write_atomic(example, fill(_EXAMPLE, parts))
    return example
