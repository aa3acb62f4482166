"""Networks made of cells: one registry of operators, quantizers, skeletons, counting. See ARCHITECTURE.md."""

from pronas.networks import _operators  # noqa: F401  (registers the built-in operators)
from pronas.networks._binary import Binary
from pronas.networks._describe import Description, describe
from pronas.networks._flat import Flat
from pronas.networks._layers import (
    AveragePool,
    DropoutNoScale,
    FactorizedReduction,
    GlobalAveragePool,
    ImageScale,
    MaxPool,
    QuantConv2d,
    QuantLinear,
    Sign,
    SumPool,
    Zeros,
)
from pronas.networks._module_spec import operator_channels
from pronas.networks._network import BlockModule, CellModule, InputModule, Network, drop_path
from pronas.networks._plan import CellPlan, NetworkPlan
from pronas.networks._pnas import PnasCifar, PnasImagenet
from pronas.networks._quantizers import (
    DoReFa,
    approx_sign,
    quantizer,
    quantizers,
    register_quantizer,
    ste_sign,
)
from pronas.networks._references import Reference, reference, references
from pronas.networks._registry import LayerFactory, OperatorContext, build_operator, operator, operators
from pronas.networks._residual import Residual
from pronas.networks._skeleton import Skeleton, register_skeleton, skeleton, skeleton_from_dict

__all__ = [
    "AveragePool",
    "Binary",
    "BlockModule",
    "CellModule",
    "CellPlan",
    "Description",
    "DoReFa",
    "DropoutNoScale",
    "FactorizedReduction",
    "Flat",
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
    "Residual",
    "Sign",
    "Skeleton",
    "SumPool",
    "Zeros",
    "approx_sign",
    "build_operator",
    "describe",
    "drop_path",
    "operator",
    "operator_channels",
    "operators",
    "quantizer",
    "quantizers",
    "reference",
    "references",
    "register_quantizer",
    "register_skeleton",
    "skeleton",
    "skeleton_from_dict",
    "ste_sign",
]
