"""What is captured can be repeated with other values; what cannot be repeated is not captured."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pronas.kernels.parts import capture

Compute = Callable[[Tensor], Sequence[Tensor]]


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


WEIGHT = nn.Parameter(numbers(5, 4))
TOTAL = torch.zeros(5)


def views(x: Tensor) -> list[Tensor]:
    left, right = x.split([1, 3], 1)
    return [left.t(), (right.transpose(0, 1).contiguous() + left.squeeze(1)).flatten()[2:]]


def in_place(x: Tensor) -> list[Tensor]:
    y = x * 2
    y[:, 1].add_(3)
    y.t()[2] *= x[:, 0]
    return [y, y[1:]]


def freed_and_taken_again(x: Tensor) -> list[Tensor]:
    for scale in range(1, 9):
        x = (x * scale).tanh() + x.abs().sqrt()
    return [x]


def many_results(x: Tensor) -> list[Tensor]:
    values, order = x.sort(1)
    return [order, *torch._foreach_mul([values, x], 2.0), torch.cat([values, x])]


def with_gradients(x: Tensor) -> list[Tensor]:
    WEIGHT.grad = None
    with torch.no_grad():
        TOTAL.add_(x.sum())
    F.linear(x, WEIGHT).square().sum().backward()
    assert WEIGHT.grad is not None
    return [WEIGHT.grad, TOTAL.clone()]


def random(x: Tensor) -> list[Tensor]:
    return [F.dropout(x, 0.5), torch.empty_like(x).bernoulli_(0.3), torch.rand(3)]


@pytest.mark.parametrize(
    "compute", [views, in_place, freed_and_taken_again, many_results, with_gradients, random], ids=lambda f: f.__name__
)
def test_a_replay_gives_what_the_function_gives(compute: Compute) -> None:
    first, second = numbers(3, 4), numbers(3, 4, seed=1)
    _, replay = capture(lambda: compute(first), [first], [WEIGHT, TOTAL])
    assert replay is not None
    for given in (second, first, second):
        TOTAL.zero_()
        torch.manual_seed(5)
        expected = [one.clone() for one in compute(given)]
        TOTAL.zero_()
        torch.manual_seed(5)
        assert replay.fits([given])
        found = replay([given])
        assert [one.stride() for one in found] == [one.stride() for one in expected] or compute is views
        assert all(torch.equal(one, two) for one, two in zip(found, expected, strict=True))


def test_results_of_earlier_replays_stay() -> None:
    first, second = numbers(3, 4), numbers(3, 4, seed=1)
    _, replay = capture(lambda: in_place(first), [first], [])
    assert replay is not None
    before = replay([first])
    kept = [one.clone() for one in before]
    replay([second])
    assert all(torch.equal(one, two) for one, two in zip(before, kept, strict=True))


def branches(x: Tensor) -> list[Tensor]:
    return [x * 2 if x.sum() > 0 else x]


ELSEWHERE = numbers(4)


def reads_what_it_was_not_given(x: Tensor) -> list[Tensor]:
    return [x + ELSEWHERE]


def reads_bytes_of_floats(x: Tensor) -> list[Tensor]:
    return [(x * 2).view(torch.int32) + 1]


def returns_what_it_was_not_given(x: Tensor) -> list[Tensor]:
    return [x * 2, ELSEWHERE]


@pytest.mark.parametrize(
    "compute", [branches, reads_what_it_was_not_given, reads_bytes_of_floats, returns_what_it_was_not_given]
)
def test_what_cannot_be_repeated_is_computed_but_not_captured(compute: Compute) -> None:
    given = numbers(3, 4)
    results, replay = capture(lambda: compute(given), [given], [])
    assert replay is None
    assert all(torch.equal(one, two) for one, two in zip(results, compute(given), strict=True))


def test_inputs_of_other_geometry_do_not_fit() -> None:
    given = numbers(6, 4)
    _, replay = capture(lambda: views(given[1:4]), [given[1:4]], [])
    assert replay is not None
    assert replay.fits([numbers(6, 4, seed=1)[1:4]])
    for other in (given[:3], given[1:5], given[1:4].double(), given.t().contiguous().t()[1:4]):
        assert not replay.fits([other])


def test_fixed_tensors_that_were_moved_are_noticed() -> None:
    weight, given = nn.Parameter(numbers(5, 4)), numbers(3, 4)
    _, replay = capture(lambda: [F.linear(given, weight).detach()], [given], [weight])
    assert replay is not None
    assert replay.valid
    weight.data = weight.data.clone()
    assert not replay.valid
