"""Every setting of a search: a frozen dataclass for each table of ``config.toml``, a field for each setting.

How to declare another one is told in `pronas.runs._setting`. The tables of networks, ``[children]`` and ``[final]``,
stand in `pronas.runs._train_tables`, ``[search]`` in `pronas.runs._search_table`.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from pronas.runs._reading import flat, plain, read
from pronas.runs._search_table import SearchConfig
from pronas.runs._setting import Setting, setting, settings_of
from pronas.runs._setting_checks import regular_expression, share_or_number
from pronas.runs._train_tables import ChildrenConfig, FinalConfig, TrainConfig

__all__ = [
    "SETTINGS",
    "SPACES",
    "ChildrenConfig",
    "Config",
    "FinalConfig",
    "LimitConfig",
    "SearchConfig",
    "TrainConfig",
    "plain",
]

#: The spaces; ``custom`` is one whose parts are all given.
SPACES = ("pnas", "flat", "residual", "binary", "custom")
_RUN = "The run"
_MOST = 10**9  # of what is counted: more is a slip of the finger


@dataclass(frozen=True)
class DataConfig:
    """``[data]``: which images."""

    PANEL: ClassVar[str] = "Images"

    name: str = setting(
        "A named set (digits, mnist, …), a folder, a zip, .npz or hf:NAME", "digits", flag="data", train=True
    )
    directory: str | None = setting(
        "Where named sets are looked for first",
        flag="data_dir",
        path=True,
        chosen="the cache",
        train=True,
        example="images",
    )
    validation: float | None = setting(
        "Images held out to compare children: a share below 1, or a number",
        chosen="the data set's own, else a tenth; within a budget up to three tenths of a small one",
        above=0,
        at_most=_MOST,
        check=share_or_number,
        train=True,
        example=0.1,
    )
    limit: int | None = setting(
        "Use at most so many images (a seeded sample)",
        chosen="all",
        at_least=10,
        at_most=_MOST,
        train=True,
        example=5000,
    )
    image_size: int | tuple[int, ...] | None = setting(
        "Resize images to so many pixels square, or to a height and a width",
        chosen="as they are; within a budget no larger than it can afford",
        at_least=8,
        at_most=4096,
        unit="pixels",
        train=True,
        example=32,
    )
    group_by: str | None = setting(
        "A regular expression over file names: images in which it (or its first group) finds the same text stay on one "
        "side of every split",
        chosen="none",
        check=regular_expression,
        train=True,
        example="^[^_]+",
    )
    skip_bad: bool = setting("Leave out pictures that cannot be read, and say which", False, train=True)


@dataclass(frozen=True)
class SpaceConfig:
    """``[space]``: which cells."""

    PANEL: ClassVar[str] = "Space and choice of cells"

    kind: str = setting(
        "The search space: pnas, flat, residual, binary, or a TOML file with operators, blocks, lookback, lookforward",
        "pnas",
        flag="space",
        choices=SPACES,
        train=True,
    )
    operators: tuple[str, ...] | None = setting(
        "Operator names", chosen="the space's", train=True, example=("3x3 dconv", "3x3 maxpool", "identity")
    )
    blocks: int | None = setting(
        "Blocks in a cell", short="B", chosen="3", at_least=1, at_most=64, train=True, example=3
    )
    lookback: int | None = setting(
        "How far back cells read: -2 is the paper, 0 flat",
        chosen="the space's",
        at_least=-64,
        at_most=0,
        train=True,
        example=-2,
    )
    lookforward: int | None = setting(
        "How many earlier blocks a block may read", chosen="all", at_least=0, at_most=64, train=True, example=2
    )
    modules: tuple[str, ...] = setting(
        "Modules imported first, here and by every worker: those that register your operators",
        (),
        chosen="none",
        train=True,
        example=("my_operators",),
    )


@dataclass(frozen=True)
class LimitConfig:
    """``[limits]``: counts per image, of the winner's network, or of a child's where no winner is to be trained.

    A target's flash and RAM stand in ``flash`` and ``ram`` once they are chosen, so that a run says what it was under.
    """

    PANEL: ClassVar[str] = "Limits: cells beyond them are never proposed"

    parameters: int | None = setting(
        "Parameters: 80000, 80k, 1.5M", flag="max_params", chosen="none", at_least=1, thousand=1000, example="80k"
    )
    macs: int | None = setting(
        "Multiply-accumulates an image, full precision and binary together: 12500000, 12.5M",
        flag="max_macs",
        chosen="none",
        at_least=1,
        thousand=1000,
        example="12.5M",
    )
    bits: int | None = setting(
        "Bits of weights",
        flag="max_bits",
        chosen="none",
        at_least=1,
        unit="bits",
        thousand=1000,
        example="100k",
    )
    flash: int | None = setting(
        "Bytes of flash that code and constants of the exported C take: 262144, 256k, 1M",
        flag="max_flash",
        chosen="none",
        at_least=1,
        unit="bytes",
        thousand=1024,
        example="256k",
    )
    ram: int | None = setting(
        "Bytes of static memory that the exported C takes: activations and buffers",
        flag="max_ram",
        chosen="none",
        at_least=1,
        unit="bytes",
        thousand=1024,
        example="64k",
    )
    latency_us: float | None = setting(
        "Microseconds an image, of the form that ships, measured here on one thread; with a target estimated for it",
        flag="max_latency_us",
        chosen="none",
        above=0,
        unit="µs",
        example=1000.0,
    )
    target: str | None = setting(
        "A board, whose flash and RAM are limits then, or a processor, for which code is counted (pico, cortex-m4, …)",
        chosen="none; code is that of a cortex-m4",
        example="pico",
    )
    targets: str | None = setting(
        "A TOML file with boards and processors of your own", chosen="none", path=True, example="boards.toml"
    )


@dataclass(frozen=True)
class ExecutionConfig:
    """``[execution]``: where children are trained. Changes no result, so a run may be resumed with another.

    The exception is ``threads``, of the winner's training (a child has one): their number changes the last bits, so a
    resumed run keeps the first one's.
    """

    PANEL: ClassVar[str] = _RUN

    kind: str = setting(
        "Where children are trained: inline, local or ray",
        "local",
        flag="execution",
        choices="pronas.execution:EXECUTORS",
    )
    workers: int | None = setting(
        "Children trained at once", chosen="one a core", at_least=1, at_most=100_000, example=2
    )
    threads: int | None = setting(
        "Threads that train the winner, each learning from its part of every batch (another number, another result)",
        chosen="the cores; 1 for images under 16x16",
        at_least=1,
        at_most=4096,
        train=True,
        example=2,
    )
    timeout: float | None = setting(
        "Seconds a child may take; then it has failed", chosen="none", above=0, unit="seconds", example=600.0
    )
    memory: int | None = setting(
        "MiB a worker may hold", chosen="none", at_least=64, at_most=_MOST, unit="MiB", example=2048
    )
    address: str | None = setting("Ray cluster to join", chosen="one of its own", example="auto")
    devices: tuple[str, ...] | None = setting(
        "Devices: a local worker each (cuda:0,cuda:0), the first also trains the winner; auto: a GPU if there is one",
        chosen="the processor",
        train="device",
        example=("auto",),
    )
    baselines: bool = setting(
        "In the end, train hand-made networks for as long each, to see whether the search paid", False
    )
    track: str | None = setting(
        "A tracker told of children as nested runs: mlflow, wandb or trackio",
        chosen="TensorBoard's files alone",
        choices="pronas.tracking:TRACKERS",
        train=True,
    )
    gpus: float | None = setting(
        "Share of a GPU that a child reserves on Ray", chosen="none", at_least=0, at_most=1024, example=0.5
    )


@dataclass(frozen=True)
class Config:
    """Everything that decides a search's outcome (and ``execution``, which does not).

        >>> Config.from_dict({"search": {"children": 8}}).search.children
        8
        >>> Config.from_dict({"search": {"childrn": 8}})
        Traceback (most recent call last):
            ...
        pronas.errors.UsageError: configuration: unknown key 'search.childrn'; did you mean 'search.children'?

    Attributes:
        data, space, search, children, final, limits, execution: tables of ``config.toml``; docs/cli.md lists them.
        seed: of everything random.

    Raises:
        UsageError: (of `from_dict`) an unknown key, or a value that makes no sense.
    """

    PANEL: ClassVar[str] = _RUN

    data: DataConfig = field(default_factory=DataConfig)
    space: SpaceConfig = field(default_factory=SpaceConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    children: ChildrenConfig = field(default_factory=ChildrenConfig)
    final: FinalConfig = field(default_factory=FinalConfig)
    limits: LimitConfig = field(default_factory=LimitConfig)
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    seed: int = setting(
        "Of everything random: the split, the sample, the predictor and every child",
        0,
        at_least=0,
        at_most=2**63 - 1,
        train=True,
    )

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain data; tuples become lists."""
        return typing.cast(dict[str, Any], plain(asdict(self)))

    def flat(self) -> dict[str, Any]:
        """Return ``{"table.key": value}`` without the entries that are ``None``."""
        return dict(flat("", self.to_dict()))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "configuration") -> Config:
        """Read nested plain data.

        Raises:
            UsageError: an unknown key (the nearest known one is named), a wrong type, a value out of range.
        """
        return typing.cast(Config, read(cls, values, where, _BY_KEY))


#: Every setting by its name.
SETTINGS: dict[str, Setting] = {one.name: one for one in settings_of(Config)}
_BY_KEY: dict[str, Setting] = {one.key: one for one in SETTINGS.values()}
