from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from pronas.kernels import native

VARIANTS = ["", "_v3", "_v4", "_v5"]


@pytest.fixture(params=VARIANTS)
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels as compiled for each generation of processors."""
    variant, plain = native.load_variant(request.param), native.load_variant("")
    if variant is None or plain is None:
        _missing(f"no training kernels were compiled as {request.param or 'plain'}")
    elif VARIANTS.index(request.param) and plain.pronas_level() < int(request.param[2:]):
        pytest.skip(f"this processor cannot run {request.param}")
    monkeypatch.setattr(native, "library", lambda: variant)


@pytest.fixture
def compiled() -> None:
    """The kernels that this processor runs."""
    if native.library() is None:
        _missing("the training kernels were not compiled")


@pytest.fixture
def wide() -> None:
    """The kernels that this processor runs, where they are wide enough to be preferred."""
    if native.library() is None:
        _missing("the training kernels were not compiled")
    elif native.lanes() < 8:
        pytest.skip("with narrow vectors the library is faster")


def _missing(what: str) -> None:
    """Skip; where a clean machine is tested, fail."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(what)


@pytest.fixture
def missing() -> Callable[[str], None]:
    """To be called where something needed is not there."""
    return _missing
