from __future__ import annotations

import pytest
import torch

from pronas.data import Dataset, load_dataset


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load_dataset("digits", limit=600)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def same_weights():
    """Whether two networks hold the same tensors, to the bit."""

    def equal(one: torch.nn.Module, two: torch.nn.Module) -> bool:
        pairs = zip(one.state_dict().items(), two.state_dict().items(), strict=True)
        return all(name == other and torch.equal(value, found) for (name, value), (other, found) in pairs)

    return equal
