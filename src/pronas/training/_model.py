"""Model files: ``NAME.safetensors`` with the weights, ``NAME.json`` to read beside it."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pronas import files
from pronas.errors import ModelFileError, UsageError, shown
from pronas.files import replacing, together
from pronas.networks import Network, describe, skeleton_from_dict
from pronas.space import Cell
from pronas.training._tensor_files import digest_of, write_tensors

VERSION = 1
_MOST_PIXELS = 2**26  # values of an image: a larger one is a forged file
_FORMAT = "pronas-model"


@dataclass(frozen=True)
class ModelSpec:
    """All of a model but its weights, as plain data.

        >>> from pronas.networks import skeleton
        >>> flat = skeleton("flat", filters=(4,)).to_dict()
        >>> spec = ModelSpec("0:3x3 conv + 0:3x3 maxpool", flat, (1, 8, 8), ("even", "odd"))
        >>> spec.build(seed=1).plan.classes
        2

    Attributes:
        cell: the cell's text form.
        skeleton: ``Skeleton.to_dict()``.
        input_shape: (C, H, W) of an image.
        classes: the class names; logit i is for ``classes[i]``.
        scale: the statistics that the first layer scales pixels with (see ``Skeleton.build``), or None.
        metrics: whatever was measured of it, by name: plain values.
        recipe: ``Recipe.to_dict()`` of its training, or empty.
    """

    cell: str
    skeleton: dict[str, Any]
    input_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    scale: Any = None
    metrics: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)

    def build(self, seed: int = 0) -> Network:
        """Build the network, with fresh weights from ``seed``.

        Raises:
            UsageError: the cell or the skeleton names something that is not registered.
        """
        cell, skeleton = Cell.parse(self.cell), skeleton_from_dict(self.skeleton)
        return skeleton.build(cell, self.input_shape, len(self.classes), seed=seed, scale=self.scale)

    def to_dict(self) -> dict[str, Any]:
        """Give plain data that ``from_dict`` reads."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read ``to_dict``'s form.

        Raises:
            ValueError: a missing field or a wrong type; the message names it.
        """
        _check_fields(values)
        shape, classes = tuple(values["input_shape"]), tuple(values["classes"])
        return cls(**{**values, "input_shape": shape, "classes": classes})


@dataclass(frozen=True)
class Model:
    """A network ready to classify, and what it is.

    Attributes:
        network: in evaluation mode; pixel values (n, C, H, W), 0…255, uint8 or float, to float32 logits (n, classes).
        spec: cell, skeleton, shape of images, class names and figures.
    """

    network: Network
    spec: ModelSpec


def spec_of(network: Network, classes: Sequence[str] | None = None) -> ModelSpec:
    """What a network is, as far as it knows: of one that was trained or read all but the metrics, which may be those of
    other weights; of one that a skeleton built, with classes called by their numbers.

    Args:
        network: built by a skeleton, trained or read.
        classes: the names of its classes, in place of its own.

    Returns:
        The specification, with no metrics.

    Raises:
        UsageError: it was built otherwise, or the names are not as many as its classes.
    """
    count = network.plan.classes
    if network.spec is not None:
        known: ModelSpec = dataclasses.replace(network.spec, metrics={})
    elif network.origin is not None:
        own, names = network.origin, tuple(map(str, range(count)))
        known = ModelSpec(own.cell, own.skeleton, network.plan.input_shape, names, own.scale)
    else:
        raise UsageError("the network does not say what it was built from: give its ModelSpec (spec=)")
    known = known if classes is None else dataclasses.replace(known, classes=tuple(map(str, classes)))
    if len(known.classes) != count:
        raise UsageError(f"{len(known.classes)} class names for {count} classes")
    return known


def save_model(
    network: Network,
    path: str | os.PathLike[str],
    spec: ModelSpec | None = None,
    *,
    classes: Sequence[str] | None = None,
) -> Path:
    """Write ``NAME.safetensors`` and then ``NAME.json``; return the former's path.

    The weights file is whole by itself (it holds the specification and a digest of everything), and each file replaces
    its predecessor at once: whoever reads at any moment, or after a kill at any moment, has the old model or the new.

        >>> import pathlib, tempfile
        >>> from pronas.networks import skeleton
        >>> flat = skeleton("flat", filters=(4,)).to_dict()
        >>> spec = ModelSpec("0:3x3 conv + 0:3x3 maxpool", flat, (1, 8, 8), ("even", "odd"))
        >>> save_model(spec.build(), pathlib.Path(tempfile.mkdtemp()) / "model", spec).name
        'model.safetensors'

    A network that was read and trained further is written as it is, with the classes that it had and no metrics.

    Args:
        network: its weights and buffers are written.
        path: ``NAME``, with or without one of the two suffixes.
        spec: what ``network`` was built from; None: what it knows itself (`spec_of`).
        classes: the names of its classes, where it does not know them.

    Returns:
        The path of ``NAME.safetensors``.

    Raises:
        UsageError: the network does not say what it was built from, or its layers are no longer those.
        OSError: it cannot be written.
    """
    weights, text = _paths(path)
    spec = spec or spec_of(network, classes)
    _check_layers(network, spec)
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    content = _text(spec.to_dict())
    digest = digest_of(tensors, content)
    header = {"format": _FORMAT, "version": str(VERSION), "spec": content, "digest": digest}
    beside = {"format": _FORMAT, "version": VERSION, "digest": digest, **spec.to_dict()}
    with together(weights.parent) as folder:
        files.write_atomic(folder / text.name, json.dumps(beside, indent=2, ensure_ascii=False) + "\n")
        with replacing(folder / weights.name) as temporary:
            write_tensors(tensors, temporary, header)
    return weights


def _check_layers(network: Network, spec: ModelSpec) -> None:
    with torch.device("meta"):
        outline = spec.build().state_dict()
    try:
        check_tensors(outline, network.state_dict(), "the network")
    except ModelFileError as error:
        raise UsageError(
            f"{error}: its layers are not those that its cell and skeleton give; save its state_dict"
        ) from None


def load_model(path: str | os.PathLike[str]) -> Model:
    """Read a model that ``save_model`` wrote; nothing is taken on trust.

    A ``NAME.json`` of another save than the weights (its writer was killed in between) is passed over.

        >>> import pathlib, tempfile
        >>> from pronas.networks import skeleton
        >>> flat = skeleton("flat", filters=(4,)).to_dict()
        >>> spec = ModelSpec("0:3x3 conv + 0:3x3 maxpool", flat, (1, 8, 8), ("even", "odd"))
        >>> path = save_model(spec.build(), pathlib.Path(tempfile.mkdtemp()) / "model", spec)
        >>> load_model(path).spec.classes
        ('even', 'odd')

    Args:
        path: ``NAME``, ``NAME.safetensors`` or ``NAME.json``.

    Returns:
        The network on the processor, in evaluation mode, and its specification.

    Raises:
        ModelFileError: no such file, not a model, an unknown version, changed or damaged content, or tensors that are
            missing, left over or of another shape than the network's.
    """
    weights, text = _paths(path)
    if not weights.is_file():
        raise ModelFileError(f"{weights}: no such model file")
    header, tensors = _read(weights)
    content = _check_header(weights, header)
    if digest_of(tensors, content) != header.get("digest"):
        raise ModelFileError(f"{weights}: the content does not match its digest: the file is damaged, restore a copy")
    _check_text(text, header["digest"], content)
    spec, network = _built(content, tensors, weights)
    fill(network, tensors, weights)
    network.spec = spec
    return Model(network.eval(), spec)


def _built(content: str, tensors: Mapping[str, Tensor], path: Path) -> tuple[ModelSpec, Network]:
    """The network that a specification asks for, if it is that of ``tensors``: first built without memory, so that a
    forged one of a million filters costs none."""
    try:
        spec = ModelSpec.from_dict(json.loads(content))
        _check_size(spec, tensors)
        with torch.device("meta"):
            outline = spec.build().state_dict()
        check_tensors(outline, tensors, path)
        return spec, spec.build()
    except ModelFileError:
        raise
    except Exception as error:  # whatever the builders, users' among them, make of words and numbers of any kind
        reason = " ".join(str(error).split())[:300] or type(error).__name__  # a forged word may be a long one
        raise ModelFileError(f"{path}: its specification cannot be built: {reason}") from error


def _check_size(spec: ModelSpec, tensors: Mapping[str, Tensor]) -> None:
    """Refuse what asks for far more numbers than the file holds, before even an outline of it is built."""
    asked = describe(Cell.parse(spec.cell), skeleton_from_dict(spec.skeleton), spec.input_shape, len(spec.classes))
    held = sum(value.numel() for value in tensors.values())
    if asked.parameters > 2 * held + 10_000:
        raise ValueError(f"it asks for {asked.parameters:,} parameters, the file holds {held:,} numbers")


def fill(network: torch.nn.Module, tensors: Mapping[str, Tensor], path: Path | str) -> None:
    """Copy ``tensors`` into the network.

    Raises:
        ModelFileError: a tensor is missing, left over, or of another shape or type; the message names it and ``path``.
    """
    check_tensors(network.state_dict(), tensors, path)
    network.load_state_dict(dict(tensors))


def check_tensors(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], path: Path | str) -> None:
    """Compare names, shapes and types of a network's tensors with those of a file.

    Raises:
        ModelFileError: as `fill`.
    """
    for name, value in own.items():
        if name not in tensors:
            raise ModelFileError(f"{path}: tensor {name!r} is missing")
        found = tensors[name]
        if found.shape != value.shape or found.dtype != value.dtype:
            raise ModelFileError(
                f"{path}: tensor {name!r} is {found.dtype} {tuple(found.shape)}, "
                f"the network's is {value.dtype} {tuple(value.shape)}"
            )
    for name in tensors:
        if name not in own:
            raise ModelFileError(f"{path}: tensor {name!r} belongs to no layer of the network")


def _paths(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    base = Path(path)
    if base.suffix in (".safetensors", ".json"):
        base = base.with_suffix("")
    return base.with_name(base.name + ".safetensors"), base.with_name(base.name + ".json")


def _text(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, ensure_ascii=False)


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(f"{path}: not a safetensors file ({error})") from error


def _check_header(path: Path, header: Mapping[str, str]) -> str:
    if header.get("format") != _FORMAT:
        raise ModelFileError(f"{path}: not a pronas model (its format is {header.get('format')!r})")
    if header.get("version") != str(VERSION):
        raise ModelFileError(f"{path}: model version {header.get('version')!r}; this pronas reads version {VERSION}")
    return header.get("spec", "")


def _check_text(path: Path, digest: str, content: str) -> None:
    """Refuse a readable file that claims to be of this save and says something else."""
    if not path.exists():
        return
    try:
        beside = json.loads(path.read_text(encoding="utf-8"))
        version, own = beside["version"], beside["digest"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelFileError(f"{path}: not a model's JSON ({error}); delete it, the weights hold a copy") from error
    if version != VERSION:
        raise ModelFileError(f"{path}: model version {version!r}; this pronas reads version {VERSION}")
    said = {key: value for key, value in beside.items() if key not in ("format", "version", "digest")}
    if own == digest and _text(said) != content:
        raise ModelFileError(f"{path}: was edited, and no longer fits its weights; delete it, the weights hold a copy")


def _check_fields(values: Mapping[str, Any]) -> None:
    if not isinstance(values, Mapping):
        raise ValueError(f"it is {shown(values)}, not a table")
    kinds: dict[str, type | tuple[type, ...]] = {
        "cell": str,
        "skeleton": dict,
        "input_shape": (list, tuple),
        "classes": (list, tuple),
        "metrics": dict,
        "recipe": dict,
    }
    for name, kind in kinds.items():
        if not isinstance(values.get(name), kind):
            raise ValueError(f"its {name} is {shown(values.get(name))}")
    unknown = set(values) - {item.name for item in dataclasses.fields(ModelSpec)}
    if unknown:
        raise ValueError(f"unknown field {min(unknown)!r}")
    shape = values["input_shape"]
    if len(shape) != 3 or not all(type(side) is int and side > 0 for side in shape):
        raise ValueError(f"its input_shape is {shown(shape)}, not three positive integers")
    if math.prod(shape) > _MOST_PIXELS:
        raise ValueError(f"its input_shape is {shown(shape)}: more than {_MOST_PIXELS:,} values an image")
    if not all(isinstance(name, str) for name in values["classes"]):
        raise ValueError("its classes are not all text")
    _check_scale(values.get("scale"))


def _check_scale(scale: Any) -> None:
    """None, or means and deviations: what `Skeleton.build` cannot check of a file's."""
    if scale is None:
        return
    parts = scale if isinstance(scale, (list, tuple)) else ()
    fits = len(parts) == 2 and all(isinstance(part, (list, tuple)) for part in parts)
    if not fits or not all(type(value) in (int, float) and math.isfinite(value) for part in parts for value in part):
        raise ValueError(f"its scale is {shown(scale)}, not means and deviations")
