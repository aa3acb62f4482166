"""Training steps made fast: compiled kernels, fused sequences, captured steps. One door, `accelerate`, which training
opens; see ARCHITECTURE.md."""

from pronas.kernels._accelerate import Accelerated, accelerate, holds_only_ours, kernels_mode
from pronas.kernels.native import variant
from pronas.kernels.torch_internals import add_all_, copy_all_, lerp_all_

__all__ = [
    "Accelerated",
    "accelerate",
    "add_all_",
    "copy_all_",
    "holds_only_ours",
    "kernels_mode",
    "lerp_all_",
    "variant",
]
