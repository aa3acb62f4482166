"""`export`: a trained model in the forms it is shipped in, each with a small text beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from pronas.deploy._exported import PT2_FACTS, label_onnx, metadata
from pronas.errors import ModelFileError, UsageError, nearest
from pronas.files import replacing, together, write_atomic

if TYPE_CHECKING:
    from pronas.data import Dataset
    from pronas.deploy.integer import Agreement, IntegerGraph
    from pronas.deploy.packed import Graph
    from pronas.networks import Network
    from pronas.training import Model

    Data = Dataset | str | os.PathLike[str] | Callable[[], Dataset] | None

FORMATS = {"onnx": ".onnx", "packed": ".packed", "c": ".c", "tflite": ".tflite", "pt2": ".pt2"}
"""Formats and the suffixes of their files."""


@final
@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        path: the file of the format.
        beside: further files: a header, an example, a text that says how to use them.
        facts: lines of that text, by name.
        agreement: how the integer network does beside the float one, or None where nothing was turned to integers.
    """

    path: Path
    beside: tuple[Path, ...]
    facts: dict[str, str]
    agreement: Agreement | None = None


@final
@dataclass(frozen=True)
class _Order:
    """What is to be written: the model, where to, and how it becomes integers."""

    model: Model
    target: Path
    data: Data
    int8: bool
    calibration: str
    qat: int
    seed: int = 0
    made: list[Agreement] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def binary(self) -> bool:
        return bool(self.model.network.plan.factory.binary)

    def integers(self) -> IntegerGraph:
        """The integer network; how well it does is noted."""
        from pronas.deploy.integer import compare, integer_model

        dataset = self._dataset()
        options: dict[str, Any] = {"calibration": self.calibration, "qat": self.qat, "seed": self.seed}
        network = integer_model(self.model, dataset, **options)
        self.made.append(compare(self.model, network, dataset))
        return network

    def _dataset(self) -> Dataset:
        if self.data is None:
            raise UsageError(
                "int8 needs training images to take its scales from: give data, a data set's name or path", "data"
            )
        if isinstance(self.data, str | os.PathLike):
            from pronas.data import load_dataset

            return load_dataset(self.data, image_size=self.model.spec.input_shape[1:])
        return self.data() if callable(self.data) else self.data


def export(
    model: str | os.PathLike[str] | Model | Network,
    format: str = "packed",
    out: str | os.PathLike[str] | None = None,
    *,
    data: Data = None,
    int8: bool = False,
    calibration: str = "mse",
    qat: int = 0,
    board: str | None = None,
) -> Path:
    """Write a trained model for deployment.

        >>> import pathlib, tempfile
        >>> from pronas.networks import skeleton
        >>> from pronas.training import ModelSpec, save_model
        >>> binary = skeleton("binary", filters=(8,)).to_dict()
        >>> spec = ModelSpec("0:3x3 bconv + 0:3x3 maxpool", binary, (1, 8, 8), ("even", "odd"))
        >>> path = save_model(spec.build(seed=1), pathlib.Path(tempfile.mkdtemp()) / "model", spec)
        >>> export(path, "packed").name
        'model.packed'

    Args:
        model: a run's folder (its winner is taken), a model file, what `pronas.load_model` gives, or a network:
            one that was read and trained further is exported as it is.
        format: "onnx" (any network), "packed" (binary ones: read it with `pronas.load_packed`), "c" (one C99 file, its
            header and an example: bits for binary networks, int8 for others), "tflite" (int8, full precision), "pt2"
            (any network: `torch.export`, loads in plain PyTorch).
        out: where to; by default beside the model, with the format's suffix. A text (its name and .txt), which says how
            to use the file, stands beside it.
        data: the images that the network was trained on: a data set, what `pronas.load_dataset` takes, or a function
            that gives a data set; int8 needs it.
        int8: "onnx" alone: quantize and dequantize in pairs, with the integer network's scales.
        calibration: how int8 scales are chosen: "mse", "percentile" or "minmax".
        qat: epochs of further training with fake quantization, before weights become int8.
        board: a board or processor (`target_names`) whose flash and RAM the C must fit; "c" alone.

    Returns:
        The path of the file.

    Raises:
        UsageError: an unknown format, one that the network cannot take, a layer without a packed or integer form, int8
            without data, no ``out`` for a model that is not a file, or a network beyond the board's flash or RAM (the
            message says by how much, and names the largest layer).
        ModelFileError: the model cannot be read, or ONNX Runtime's answers differ from PyTorch's.
        MissingExtraError: "onnx" or "tflite" without the extra of that name.
    """
    return export_with_facts(
        model, format, out, data=data, int8=int8, calibration=calibration, qat=qat, board=board
    ).path


def export_with_facts(
    model: str | os.PathLike[str] | Model | Network,
    format: str = "packed",
    out: str | os.PathLike[str] | None = None,
    *,
    data: Data = None,
    int8: bool = False,
    calibration: str = "mse",
    qat: int = 0,
    board: str | None = None,
) -> Exported:
    """`export`, with everything that there is to say about the result.

        >>> import pathlib, tempfile
        >>> from pronas.networks import skeleton
        >>> from pronas.training import ModelSpec, save_model
        >>> binary = skeleton("binary", filters=(8,)).to_dict()
        >>> spec = ModelSpec("0:3x3 bconv + 0:3x3 maxpool", binary, (1, 8, 8), ("even", "odd"))
        >>> path = save_model(spec.build(seed=1), pathlib.Path(tempfile.mkdtemp()) / "model", spec)
        >>> made = export_with_facts(path, "c")
        >>> sorted(file.name for file in made.beside)
        ['model.c.txt', 'model.h', 'model_main.c']

    Args:
        model, format, out, data, int8, calibration, qat, board: as of `export`.

    Returns:
        The file, what stands beside it, and the lines of its text.

    Raises:
        UsageError, ModelFileError, MissingExtraError: as `export`.
    """
    if format not in FORMATS:
        raise UsageError(
            f"no format is called {format!r}{nearest(format, FORMATS)} (choose from {', '.join(FORMATS)})", "format"
        )
    loaded, path = _load(model)
    if out is None and path is None:
        raise UsageError("say where to write: give out")
    target = Path(out) if out is not None else Path(path or "").with_suffix(FORMATS[format])
    order = _Order(loaded, target, data, int8, calibration, qat)
    _check(order, format)
    if board is not None:
        _check_board(order, format, board)
    if target.is_dir():
        raise UsageError(f"{target} is a folder; name a file, such as {target / ('net' + FORMATS[format])}")
    if target.exists() and not target.is_file():  # a device or a pipe: nothing takes its place
        return _written(order, format)
    with together(target.parent) as folder:
        made = _written(replace(order, target=folder / target.name), format)
    if path is not None:
        from pronas.deploy._text import remember

        remember(path, made.facts)
    return replace(made, path=target, beside=tuple(target.with_name(one.name) for one in made.beside))


def _written(order: _Order, format: str) -> Exported:
    from pronas.deploy._text import facts_of, write_text

    beside = _WRITERS[format](order)
    agreement = order.made[0] if order.made else None
    facts = facts_of(order.model, format, order.target, agreement) | order.notes
    return Exported(order.target, (*beside, write_text(order.target, facts)), facts, agreement)


def _check(order: _Order, format: str) -> None:
    if order.binary and format == "tflite":
        raise UsageError("a binary network has no int8 form: export it as packed, c or onnx", "format")
    if not order.binary and format == "packed":
        raise UsageError(
            "only binary networks can be packed; export this full-precision network as c, tflite or onnx", "format"
        )
    if (order.int8 or order.qat) and order.binary:
        raise UsageError("a binary network has no int8 form: leave int8 and qat out")
    if order.int8 and format not in ("onnx", "c", "tflite"):
        raise UsageError(f"{format} has no int8 form: choose c, tflite or onnx", "format")
    if order.qat and format in ("onnx", "pt2") and not order.int8:
        raise UsageError("qat trains for int8: give int8 as well, or choose c or tflite", "format")


def _check_board(order: _Order, format: str, board: str) -> None:
    from pronas.deploy._footprint import check_fits

    if format != "c":
        raise UsageError(f"only the size of C is known for {board}: choose c", "format")
    check_fits(order.model.network.plan, board)


def _onnx(order: _Order) -> tuple[Path, ...]:
    from pronas.deploy.onnx import export_onnx, export_onnx_int8

    if order.int8:
        export_onnx_int8(order.integers(), order.target)
    else:
        export_onnx(order.model.network, order.model.spec.input_shape, order.target)
    label_onnx(order.target, metadata(order.model.spec))
    return ()


def _packed(order: _Order) -> tuple[Path, ...]:
    from pronas.deploy.packed import pack

    write_atomic(order.target, pack(model_graph(order.model)))
    return ()


def _c(order: _Order) -> tuple[Path, ...]:
    from pronas.deploy._footprint import footprint
    from pronas.deploy._text import write_example

    if order.binary:
        from pronas.deploy.packed import write_c

        write_c(model_graph(order.model), order.target)
    else:
        from pronas.deploy.integer import write_integer_c

        write_integer_c(order.integers(), order.target)
    needed = footprint(order.model.network.plan)
    order.notes["flash"] = f"{needed.constants:,} bytes of constants, about {needed.code:,} of code on a Cortex-M4"
    order.notes["ram"] = f"{needed.ram:,} bytes, and below 768 of stack"
    return order.target.with_suffix(".h"), write_example(order.target, order.model.spec)


def _tflite(order: _Order) -> tuple[Path, ...]:
    from pronas.deploy.integer import tflite_bytes
    from pronas.errors import require

    for module in ("flatbuffers", "tflite"):
        require(module, "tflite")
    write_atomic(order.target, tflite_bytes(order.integers()))
    return ()


def _pt2(order: _Order) -> tuple[Path, ...]:
    from pronas.deploy.onnx import torch_program

    with replacing(order.target) as temporary:
        facts = {PT2_FACTS: json.dumps(metadata(order.model.spec))}
        torch_program(order.model.network, order.model.spec.input_shape, temporary, facts)
    return ()


_WRITERS: dict[str, Callable[[_Order], tuple[Path, ...]]] = {
    "onnx": _onnx, "packed": _packed, "c": _c, "tflite": _tflite, "pt2": _pt2,
}  # fmt: skip


def model_graph(model: Model) -> Graph:
    """The packed form of a loaded binary model.

        >>> import pathlib, tempfile
        >>> from pronas.networks import skeleton
        >>> from pronas.training import ModelSpec, save_model
        >>> binary = skeleton("binary", filters=(8,)).to_dict()
        >>> spec = ModelSpec("0:3x3 bconv + 0:3x3 maxpool", binary, (1, 8, 8), ("even", "odd"))
        >>> path = save_model(spec.build(seed=1), pathlib.Path(tempfile.mkdtemp()) / "model", spec)
        >>> from pronas.training import load_model
        >>> model_graph(load_model(path)).classes
        2

    Args:
        model: binary; trained or not.

    Returns:
        Maps and operations; ``info`` has the model's class names, cell and number of parameters.

    Raises:
        UsageError: a full-precision network, or a layer that has no packed form; the message names it.
    """
    from pronas.deploy.packed import graph_of

    info: dict[str, Any] = {"classes": list(model.spec.classes), "cell": model.spec.cell}
    info["parameters"] = sum(p.numel() for p in model.network.parameters())
    return graph_of(model.network, **info)


def find_model(path: str | os.PathLike[str]) -> Path:
    """The weights file that ``path`` means: a run's folder, or a model with or without its suffix.

        >>> import pathlib, tempfile
        >>> from pronas.networks import skeleton
        >>> from pronas.training import ModelSpec, save_model
        >>> binary = skeleton("binary", filters=(8,)).to_dict()
        >>> spec = ModelSpec("0:3x3 bconv + 0:3x3 maxpool", binary, (1, 8, 8), ("even", "odd"))
        >>> path = save_model(spec.build(seed=1), pathlib.Path(tempfile.mkdtemp()) / "model", spec)
        >>> find_model(path).name
        'model.safetensors'

    Args:
        path: a run's folder, ``model``, ``model.safetensors`` or ``model.json``.

    Returns:
        The path of the ``.safetensors`` file; it is there, and not read yet.

    Raises:
        ModelFileError: no such run or model, a run whose winner is not trained yet, or a file of another kind.
    """
    given = Path(path)
    if given.is_dir():
        best = given / "weights" / "best.safetensors"
        if not best.is_file():
            raise ModelFileError(
                f"{given}: this run has no trained winner ({best.relative_to(given)} is missing); resume its search"
            )
        return best
    if given.suffix not in (".safetensors", ".json") and given.is_file():
        raise ModelFileError(f"{given}: is no model of pronas; give a run's folder or a .safetensors file")
    stem = given.with_suffix("") if given.suffix in (".safetensors", ".json") else given
    file = stem.with_name(stem.name + ".safetensors")
    if not file.is_file():
        raise ModelFileError(f"{given}: no such run or model")
    return file


def _load(model: str | os.PathLike[str] | Model | Network) -> tuple[Model, Path | None]:
    from pronas.training import Model, load_model, spec_of

    if isinstance(model, Model):
        return model, None
    if not isinstance(model, str | os.PathLike):
        return Model(model.eval(), spec_of(model)), None

    path = find_model(model)
    return load_model(path), path
