"""The LSTM while it is fitted: every member reads cells of its own, with a backward pass written out.

Between the matrix products of a step everything is one pass over the gates, compiled (csrc/fit.c) or, without the
library, in PyTorch; the gradient of the recurrent weights is one product for all steps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pronas.predictors import native


def run_members(recurrent: Tensor, table: Tensor, steps: Tensor, lengths: Tensor) -> Tensor:
    """Final h (members, n, H) where every member reads cells of its own.

    ``recurrent`` (members, H, 4H), ``table`` (members, distinct steps, 4H); ``steps`` (t, members, n) are padded at the
    start; ``lengths`` (members, n) are the steps that count: until a cell starts, its state is held at zero.
    """
    return _Run.apply(recurrent, table, steps, lengths)  # type: ignore[no-any-return, no-untyped-call]


class _Run(torch.autograd.Function):
    """The recurrence over all steps as one differentiable operation."""

    @staticmethod
    def forward(ctx: Any, recurrent: Tensor, table: Tensor, steps: Tensor, lengths: Tensor) -> Tensor:
        """Keep what the backward pass needs: activations, memory, its tanh and h of every step."""
        count, members, n = steps.shape
        cells, distinct = recurrent.shape[1], table.shape[1]
        rows = (steps + torch.arange(members)[:, None] * distinct).flatten(1)
        started = (lengths.flatten() >= torch.arange(count, 0, -1)[:, None]).to(torch.uint8)
        gates = table.flatten(0, 1).index_select(0, rows.flatten()).view(count, members, n, 4 * cells)
        states, memories, bent = (torch.empty(count + 1, members, n, cells) for _ in range(3))
        states[0], memories[0] = 0, 0
        for t in range(count):
            if t:
                gates[t].baddbmm_(states[t], recurrent)
            forward(gates[t], memories[t], started[t], memories[t + 1], bent[t], states[t + 1])
        ctx.save_for_backward(recurrent, rows, started, gates, states, memories, bent)
        ctx.distinct = distinct
        return states[count]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Gradients of the recurrent weights and of the table."""
        recurrent, rows, started, gates, states, memories, bent = ctx.saved_tensors
        count, members, width = len(gates), gates.shape[1], gates.shape[-1]
        of_gates, of_memory, of_state = torch.empty_like(gates), torch.zeros_like(states[0]), gradients[0].contiguous()
        for t in reversed(range(count)):
            backward(gates[t], memories[t], bent[t], started[t], of_state, of_memory, of_gates[t])
            if t:
                of_state = of_gates[t] @ recurrent.mT
        before = states[1:count].permute(1, 3, 0, 2).flatten(2)
        of_recurrent = before @ of_gates[1:].transpose(0, 1).reshape(members, -1, width)
        of_table = torch.zeros(members * ctx.distinct, width)
        of_table.index_add_(0, rows.flatten(), of_gates.view(-1, width))
        return of_recurrent, of_table.view(members, -1, width), None, None


def forward(gates: Tensor, before: Tensor, started: Tensor, memory: Tensor, bent: Tensor, state: Tensor) -> None:
    """One step of rows (…, 4H): ``gates`` become activations, ``memory``, its tanh and ``state`` are written."""
    if native.library() is not None:
        native.forward(*(tensor.numpy() for tensor in (gates, before, started, memory, bent, state)))
        return
    cells = gates.shape[-1] // 4
    gates[..., : 3 * cells].sigmoid_()
    gates[..., 3 * cells :].tanh_()
    i, f, o, g = torch.split(gates, cells, -1)
    torch.mul(f * before + i * g, started.view(before.shape[:-1])[..., None], out=memory)
    torch.tanh(memory, out=bent)
    torch.mul(o, bent, out=state)


def backward(
    gates: Tensor,
    before: Tensor,
    bent: Tensor,
    started: Tensor,
    of_state: Tensor,
    of_memory: Tensor,
    of_gates: Tensor,
) -> None:
    """The same backwards: ``of_gates`` is written, ``of_memory`` becomes the gradient of the memory before."""
    if native.library() is not None:
        native.backward(*(t.numpy() for t in (gates, before, bent, started, of_state, of_memory, of_gates)))
        return
    i, f, o, g = torch.split(gates, gates.shape[-1] // 4, -1)
    on = started.view(before.shape[:-1])[..., None]
    h = on * of_state
    m = on * of_memory + h * o * (1 - bent * bent)
    parts = (m * g * i * (1 - i), m * before * f * (1 - f), h * bent * o * (1 - o), m * i * (1 - g * g))
    torch.cat(parts, dim=-1, out=of_gates)
    torch.mul(m, f, out=of_memory)
