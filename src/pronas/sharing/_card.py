"""The card of a network: what it tells apart, how well, how large it is, where it comes from, how to run it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pronas.errors import UsageError
from pronas.files import write_atomic
from pronas.networks import describe, skeleton_from_dict
from pronas.space import Cell
from pronas.version import installed_version

if TYPE_CHECKING:
    from pronas.training import Model

CARD, PICTURE = "README.md", "cell.svg"
_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,40}")
_MOST_CLASSES = 200  # named on a card


@dataclass(frozen=True)
class Card:
    """All that a card says, as plain data.

    Attributes:
        name: of the network: its title.
        cell: the cell's text form.
        data: name of the images, where it is known.
        images: how many of them for training, validation and test, where it is known.
        input_shape: (C, H, W) of an image.
        classes: the class names.
        test_accuracy: on the test images, 0 to 1, where it is known.
        validation_accuracy: the same of the validation images, where it is known.
        parameters, macs: of the network, one image.
        weight_bytes: of its weights, as they ship.
        recalls: share of each class's test images that was recognised, in the order of ``classes``, where it is known.
        search: lines on how it was found.
        license: SPDX-like name, lower case; None: not said.
        version: of pronas.
    """

    name: str
    cell: str
    data: str | None
    images: tuple[int, int, int] | None
    input_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    test_accuracy: float | None
    parameters: int
    macs: int
    weight_bytes: float
    validation_accuracy: float | None = None
    recalls: tuple[float, ...] = ()
    search: tuple[str, ...] = field(default=())
    license: str | None = None
    version: str = "unknown"

    def write(self, folder: Path) -> Path:
        """Write ``README.md`` and the cell's picture, ``cell.svg``, into a folder; return the former's path.

        Raises:
            OSError: they cannot be written.
        """
        write_picture(self.cell, folder)
        write_atomic(folder / CARD, card_text(self))
        return folder / CARD


def write_picture(cell: str, folder: Path) -> None:
    """Write a cell's picture, which the card shows, into a folder."""
    write_atomic(folder / PICTURE, Cell.parse(cell).to_svg("light"))


def card_of_model(model: Model, name: str) -> Card:
    """Return what a model file knows of itself, as a card: not the images, and not the search."""
    spec, metrics = model.spec, model.spec.metrics
    cost = describe(Cell.parse(spec.cell), skeleton_from_dict(spec.skeleton), spec.input_shape, len(spec.classes))
    return Card(
        name=name, cell=spec.cell, data=None, images=None, input_shape=spec.input_shape, classes=spec.classes,
        test_accuracy=_share(metrics.get("test_accuracy")), parameters=cost.parameters,
        macs=cost.macs + cost.binary_macs, weight_bytes=cost.weight_bits / 8,
        validation_accuracy=_share(metrics.get("validation_accuracy")), version=installed_version(),
    )  # fmt: skip


def _share(value: object) -> float | None:
    """A number from 0 to 1 of a file; None: it says something else."""
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else None


def check_license(name: str | None) -> None:
    """Refuse what is no name of a licence.

        >>> check_license("apache-2.0")
        >>> check_license("my own")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        pronas.errors.UsageError: license 'my own' is no name of a licence: give one such as mit, apache-2.0 or ...

    Args:
        name: letters, digits, points and hyphens; None: nothing is said.

    Raises:
        UsageError: it is not of letters, digits, points and hyphens.
    """
    if name is not None and not _LICENCE.fullmatch(name):
        raise UsageError(f"license {name!r} is no name of a licence: give one such as mit, apache-2.0 or cc-by-4.0")


def card_text(card: Card, repo: str | None = None) -> str:
    """Return a card as Markdown with the head that hubs read.

        >>> card = Card("net", "0:3x3 conv + 0:identity", "digits", (9, 3, 3), (1, 8, 8), ("a", "b"), 0.5, 10, 20, 40)
        >>> text = card_text(card, "me/net")
        >>> 'pronas.from_pretrained("me/net")' in text, "| Accuracy on 3 test images | 50.00 % |" in text
        (True, True)

    Args:
        card: what it says.
        repo: ``owner/name`` on the hub, for the lines on how to run it.

    Returns:
        Markdown; names from outside are escaped.

    Raises:
        UsageError: the licence has no name.
    """
    check_license(card.license)
    parts = [_head(card), f"# {_plain(card.name)}", _lead(card), _figures(card), _classes(card), _origin(card)]
    return "\n\n".join([*parts, _use(card, repo), _licence(card)]) + "\n"


def _head(card: Card) -> str:
    """JSON values are YAML's, too."""
    lines = [
        "---",
        "library_name: pronas",
        "pipeline_tag: image-classification",
        f"license: {card.license or 'other'}",
        "tags: [pronas, neural-architecture-search, image-classification]",
        "metrics: [accuracy]",
    ]
    if card.data is not None and card.test_accuracy is not None:
        lines += [
            "model-index:",
            f"  - name: {json.dumps(card.name)}",
            "    results:",
            "      - task: {type: image-classification}",
            f"        dataset: {{name: {json.dumps(card.data)}, type: {json.dumps(card.data)}, split: test}}",
            f"        metrics: [{{type: accuracy, value: {round(card.test_accuracy, 6)}}}]",
        ]
    return "\n".join([*lines, "---"])


def _lead(card: Card) -> str:
    channels, height, width = card.input_shape
    kind = {1: "grey", 3: "colour"}.get(channels, f"{channels}-channel")
    return (
        f"A convolutional network that tells {len(card.classes)} classes of {height}x{width} {kind} images apart, "
        f"found by progressive neural architecture search (pronas {_plain(card.version)})"
        f"{'' if card.data is None else f' on {_plain(card.data)}'}."
    )


def _figures(card: Card) -> str:
    _, validation, test = (f"{count:,} " for count in card.images) if card.images else ("", "", "")
    rows = [
        (f"Accuracy on {count}{kind} images", f"{accuracy:.2%}")
        for kind, count, accuracy in (
            ("test", test, card.test_accuracy),
            ("validation", validation, card.validation_accuracy),
        )
        if accuracy is not None
    ]
    rows += [
        ("Parameters", f"{card.parameters:,}"),
        ("Weights", f"{card.weight_bytes / 1000:,.1f} kB"),
        ("Multiply-accumulates an image", f"{card.macs:,}"),
    ]
    table = "\n".join(f"| {name} | {value.replace('%', ' %')} |" for name, value in rows)
    return f"| | |\n| --- | --- |\n{table}"


def _classes(card: Card) -> str:
    shown = card.classes[:_MOST_CLASSES]
    more = f"\n\n… and {len(card.classes) - len(shown):,} more." if len(card.classes) > len(shown) else ""
    if len(card.recalls) != len(card.classes):
        return f"## Classes\n\n{', '.join(_plain(name) for name in shown)}.{more}"
    rows = "\n".join(
        f"| {_plain(name)} | {100 * recall:.1f} % |" for name, recall in zip(shown, card.recalls, strict=False)
    )
    return f"## Classes\n\n| class | recognised |\n| --- | --- |\n{rows}{more}"


def _origin(card: Card) -> str:
    lines = list(card.search)
    if card.images is not None:
        train, validation, test = card.images
        counts = f"{train:,} to learn from, {validation:,} to choose by, {test:,} to test."
        lines.insert(0, f"Images: {_plain(card.data or 'not said')}, {counts}")
    listed = "\n".join(f"- {_plain(line)}" for line in lines)
    return f"## The cell, and how it was found\n\n![the cell]({PICTURE})\n\n    {_line(card.cell)}\n\n{listed}".rstrip()


def _use(card: Card, repo: str | None) -> str:
    channels, height, width = card.input_shape
    where = json.dumps(repo or "OWNER/NAME")
    return f"""## How to run it

```python
# pip install 'pronas[hub]'
import pronas
import torch

model = pronas.from_pretrained({where})
images = torch.zeros(1, {channels}, {height}, {width}, dtype=torch.uint8)  # pixel values, 0 to 255
print([model.spec.classes[best] for best in model.network(images).argmax(1)])
```

It may also be exported (`pronas export model.safetensors --format onnx`, or c, tflite, packed). The weights are a
safetensors file without code; it holds the network's description and is checked by its digest when it is read."""


def _licence(card: Card) -> str:
    said = (
        f"`{card.license}`."
        if card.license
        else "Not said: ask whoever published it. The images may have conditions of their own."
    )
    return f"## Licence\n\n{said}"


def _line(text: str) -> str:
    return " ".join(text.split())


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]()#+!|<>~&$])", r"\\\1", _line(text)).replace("\\<", "&lt;").replace("\\>", "&gt;")
