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
