"""Networks made of cells: one registry of operators, quantizers, skeletons, counting. See ARCHITECTURE.md."""

from pronas.networks import _operators  # noqa: F401  (registers the built-in operators)
from pronas.networks._binary import Binary
from pronas.networks._capture import capture
from pronas.networks._describe import Description, describe
from pronas.networks._flat import Flat
from pronas.networks._layers import (
    AveragePool,
    DropoutNoScale,
    FactorizedReduction,
    Flatten,
    GlobalAveragePool,
    ImageScale,
    MaxPool,
    QuantConv2d,
    QuantLinear,
    Sign,
    SumPool,
    Zeros,
)
from pronas.networks._network import BlockModule, CellModule, InputModule, Network
from pronas.networks._plan import NetworkPlan
from pronas.networks._pnas import PnasCifar, PnasImagenet
from pronas.networks._quantizers import quantizer, ste_sign
from pronas.networks._references import Reference, reference, references
from pronas.networks._registry import LayerFactory, OperatorContext, build_operator, operator, operators
from pronas.networks._replay import Replay
from pronas.networks._residual import Residual
from pronas.networks._skeleton import Skeleton, skeleton, skeleton_from_dict

__all__ = [
    "AveragePool",
    "Binary",
    "BlockModule",
    "CellModule",
    "Description",
    "DropoutNoScale",
    "FactorizedReduction",
    "Flat",
    "Flatten",
    "GlobalAveragePool",
    "ImageScale",
    "InputModule",
    "LayerFactory",
    "MaxPool",
    "Network",
    "NetworkPlan",
    "OperatorContext",
    "PnasCifar",
    "PnasImagenet",
    "QuantConv2d",
    "QuantLinear",
    "Reference",
    "Replay",
    "Residual",
    "Sign",
    "Skeleton",
    "SumPool",
    "Zeros",
    "build_operator",
    "capture",
    "describe",
    "operator",
    "operators",
    "quantizer",
    "reference",
    "references",
    "skeleton",
    "skeleton_from_dict",
    "ste_sign",
]
