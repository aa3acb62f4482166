"""Which test images a winner gets wrong, as small pictures with probabilities, for the report."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from pronas.data import Dataset
from pronas.files import write_atomic
from pronas.runs.store import Store

MISTAKES = "mistakes.json"
_LOOKED_AT = 2_000  # test images: enough to show what goes wrong
_PAIRS, _EACH, _SUREST, _SIDE = 4, 6, 12, 96


def write_mistakes(folder: Path, network: nn.Module, dataset: Dataset) -> None:
    """Write ``mistakes.json``: the classes confused most, with pictures, and the surest of all mistakes.

    Raises:
        OSError: it cannot be written.
    """
    images, labels = dataset.test.images[:_LOOKED_AT], np.asarray(dataset.test.labels[:_LOOKED_AT])
    shares = _probabilities(network, images)
    said = shares.argmax(1)
    wrong = np.flatnonzero(said != labels)
    wrong = wrong[np.argsort(-shares[wrong, said[wrong]], kind="stable")]
    facts = _Facts(images, labels, said, shares, dataset.classes)
    kinds, counts = np.unique(np.stack([labels[wrong], said[wrong]]), axis=1, return_counts=True)
    pairs = []
    for place in np.argsort(-counts, kind="stable")[:_PAIRS]:
        true, taken = kinds[:, place].tolist()
        here = [number for number in wrong.tolist() if (labels[number], said[number]) == (true, taken)]
        names = {"true": dataset.classes[true], "said": dataset.classes[taken], "count": int(counts[place])}
        pairs.append({**names, "images": [facts.of(number) for number in here[:_EACH]]})
    surest = [facts.of(number) for number in wrong.tolist()[:_SUREST]]
    write_atomic(folder / MISTAKES, json.dumps({"pairs": pairs, "surest": surest}, ensure_ascii=False))


def keep_mistakes(folder: Path, store: Store) -> None:
    """Keep the file's text in the store, so that it can come back."""
    path = folder / MISTAKES
    if path.is_file():
        store.set_meta(mistakes=path.read_text("utf-8"))


def bring_back_mistakes(folder: Path, store: Store) -> None:
    """Write the file anew where it was deleted.

    Raises:
        OSError: it cannot be written.
    """
    text = store.meta("mistakes")
    if isinstance(text, str) and not (folder / MISTAKES).exists():
        write_atomic(folder / MISTAKES, text)


class _Facts:
    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[Any],
        said: NDArray[Any],
        shares: NDArray[Any],
        classes: Sequence[str],
    ) -> None:
        self._images, self._labels, self._said, self._shares, self._classes = images, labels, said, shares, classes

    def of(self, number: int) -> dict[str, Any]:
        true, said = int(self._labels[number]), int(self._said[number])
        return {
            "true": self._classes[true],
            "said": self._classes[said],
            "share": round(float(self._shares[number, said]), 4),
            "truth": round(float(self._shares[number, true]), 4),
            "picture": picture(np.asarray(self._images[number])),
        }


def _probabilities(network: nn.Module, images: NDArray[np.uint8]) -> NDArray[Any]:
    device, training = next(network.parameters()).device, network.training
    network.eval()
    try:
        with torch.inference_mode():
            parts = [
                network(torch.from_numpy(np.ascontiguousarray(images[first : first + 256])).to(device)).softmax(1).cpu()
                for first in range(0, len(images), 256)
            ]
    finally:
        network.train(training)
    return np.asarray(torch.cat(parts).numpy())


def picture(image: NDArray[np.uint8]) -> str:
    """Return an image (C, H, W) as a PNG in an address, at most 96 pixels a side; of not three channels the first."""
    shown = image.transpose(1, 2, 0) if image.shape[0] == 3 else image[0]
    small = Image.fromarray(np.ascontiguousarray(shown))
    small.thumbnail((_SIDE, _SIDE))
    held = io.BytesIO()
    small.save(held, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode()
