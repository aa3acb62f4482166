"""Training steps made fast: compiled kernels, fused sequences, captured steps. One door, `accelerate`, which training
opens; see ARCHITECTURE.md."""

from pronas.kernels._accelerate import Accelerated, accelerate, holds_only_ours, kernels_mode

__all__ = ["Accelerated", "accelerate", "holds_only_ours", "kernels_mode"]
