"""The same seed gives the same rewards wherever children are trained, by how many workers, in whatever order."""

from __future__ import annotations

import pytest

from pronas.data import load_dataset
from pronas.networks import skeleton
from pronas.training import NetworkManager

CELLS = [
    "0:3x3 dconv + 0:identity",
    "0:3x3 maxpool + 0:3x3 conv",
    "0:3x3 avgpool + 0:3x3 dconv | 1:identity + 0:identity",
]


def _rewards(cells, **options):
    with NetworkManager(load_dataset("digits", limit=500), 2, 64, skeleton=SMALL, **options) as manager:
        results = list(manager.get_rewards(cells))
    assert all(result.status == "done" for result in results)
    return {str(result.cell): (result.reward, result.metrics, result.images) for result in results}


SMALL = skeleton("flat", filters=[4, 8])


@pytest.fixture(scope="module")
def expected():
    return _rewards(CELLS, execution="inline")


@pytest.mark.parametrize("workers", [1, 2])
def test_local(expected, workers):
    assert _rewards(CELLS[::-1], execution="local", workers=workers) == expected


def test_local_workers_that_live_on(expected):
    assert _rewards(CELLS[::-1], execution="local", devices=["cpu", "cpu"]) == expected


def test_ray(expected, ray_cluster):
    assert _rewards(CELLS[::-1], execution="ray") == expected
