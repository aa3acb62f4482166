"""Hand-made networks as points of the space, to start a search from and to measure it against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from pronas.errors import UsageError, nearest
from pronas.networks._binary import Binary
from pronas.networks._pnas import PnasCifar, PnasImagenet
from pronas.networks._residual import Residual
from pronas.networks._skeleton import Skeleton
from pronas.space import Cell


@final
@dataclass(frozen=True)
class Reference:
    """A network that somebody drew by hand.

    Attributes:
        name: what people call it.
        source: who published it.
        cell: its cell.
        skeleton: the network around the cell, for images of about 32x32; `Skeleton.scaled` makes its kin.
    """

    name: str
    source: str
    cell: Cell
    skeleton: Skeleton


def _reference(name: str, source: str, cell: str, skeleton: Skeleton) -> Reference:
    return Reference(name, source, Cell.parse(cell), skeleton)


_REFERENCES = (
    _reference("resnet8", "Banbury et al. 2021, MLPerf Tiny", "0:3x3-3x3 conv + 0:identity", Residual()),
    _reference(
        "resnet14", "He et al. 2016, section 4.2, n = 2", "0:3x3-3x3 conv + 0:identity", Residual(repeats=(2,))
    ),
    _reference(
        "ds-cnn", "Zhang et al. 2017, Hello Edge", "0:3x3 dconv + 0:none",
        Residual(filters=(64,), strides=(1,), repeats=(4,), stem=64, stem_stride=2),
    ),
    _reference(
        "mobilenetv2", "Sandler et al. 2018", "0:3x3 mbconv6 + 0:identity",
        Residual(filters=(16, 24, 32), strides=(1, 2, 2), repeats=(1, 2, 2), linear=True, head=128),
    ),
    _reference("binarynet", "Courbariaux et al. 2016", "0:3x3 bconv + 0:3x3 bconv", Binary()),
)  # fmt: skip


_PNASNET5 = (
    "-2:5x5 dconv + -2:3x3 maxpool | -1:7x7 dconv + -1:3x3 maxpool | -1:5x5 dconv + -1:3x3 dconv"
    " | 2:3x3 dconv + -1:3x3 maxpool | -2:3x3 dconv + -1:identity"
)
_PNAS = "Liu et al. 2018, arXiv 1712.00559"
#: Known by name, too large to start a search from.
_LARGE = (
    _reference("pnasnet5", f"{_PNAS}, table 2", _PNASNET5, PnasCifar(N=3, F=48, outputs="all")),
    _reference(
        "pnasnet5-mobile", f"{_PNAS}, table 4", _PNASNET5, PnasImagenet(N=3, F=54, stem=32, outputs="all", dropout=0.0)
    ),
    _reference("pnasnet5-large", f"{_PNAS}, table 5", _PNASNET5, PnasImagenet(N=4, F=216, stem=96, outputs="all")),
)  # fmt: skip


def references(*, binary: bool = False) -> tuple[Reference, ...]:
    """Return the hand-made networks of full precision, or the binary ones.

        >>> [one.name for one in references()]
        ['resnet8', 'resnet14', 'ds-cnn', 'mobilenetv2']

    Args:
        binary: the binary ones.

    Returns:
        Each with its cell, its skeleton and who published it.
    """
    return tuple(one for one in _REFERENCES if one.skeleton.binary == binary)


def reference(name: str) -> Reference:
    """Return a hand-made network by name.

        >>> from pronas.networks import describe
        >>> resnet8 = reference("resnet8")  # 78,042 parameters, as published
        >>> describe(resnet8.cell, resnet8.skeleton, (3, 32, 32)).parameters
        78042
        >>> mobile = reference("pnasnet5-mobile")
        >>> network = describe(mobile.cell, mobile.skeleton, (3, 224, 224), 1000)  # published: 5.1 M and 588 M
        >>> network.parameters, network.macs
        (5064487, 587578640)

    Args:
        name: for instance ``resnet8``; ``pnasnet5`` is the paper's own network for CIFAR-10.

    Returns:
        Its cell, its skeleton and who published it.

    Raises:
        UsageError: there is none of that name; the message names the nearest.
    """
    known = (*_REFERENCES, *_LARGE)
    for one in known:
        if one.name == name:
            return one
    names = [one.name for one in known]
    raise UsageError(f"no reference network is called {name!r}{nearest(name, names)} (there are {', '.join(names)})")
