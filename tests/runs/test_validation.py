"""Nothing is opened before everything was checked: whatever is asked for, it makes sense or is refused in one line."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import pronas
from pronas.errors import DataError, RunError, UsageError
from pronas.runs import SETTINGS
from pronas.runs.steps import parse, resolve

BASE = {"limit": 20, "space": "flat", "operators": "3x3 maxpool,identity", "filters": "4,4", "execution": "inline"}
#: Setting, value, what is said of it.
REFUSED = [
    ({"predictor": "crystal ball"}, "search.predictor: unknown 'crystal ball'"),
    ({"acquisition": "eii"}, "did you mean 'ei'"),
    ({"objectives": "accuracy,weight"}, "search.objectives: unknown 'weight'"),
    ({"objectives": "parameters"}, "objectives are accuracy and, after it, different costs"),
    ({"strategy": "luck"}, "search.strategy: unknown 'luck'"),
    ({"execution": "cloud"}, "execution.kind: unknown 'cloud'"),
    ({"devices": "warp:9", "execution": "local"}, "there is no device .warp:9."),
    ({"devices": "cuda:99", "execution": "local"}, "device 'cuda:99'"),
    ({"devices": "cpu", "execution": "ray"}, "execution 'ray' knows no 'devices'"),
    ({"timeout": 5.0}, "execution 'inline' cannot limit"),
    ({"seed": -1}, "seed must be at least 0"),
    ({"blocks": 100_000}, "space.blocks must be at most 64"),
    ({"validation": math.inf}, "data.validation must be a finite number"),
    ({"validation": 2.5}, "data.validation must be a share below 1 or a whole number"),
    ({"image_size": 100_000}, "data.image_size must be at most 4096"),
    ({"space": "binary", "operators": "3x3 conv", "filters": None}, "the space 'binary' has no '3x3 conv'"),
    ({"operators": "3x3 bconv,3x3 conv"}, "'3x3 conv' is a full-precision operator"),
    ({"skeleton": "pnas-cifar", "operators": "3x3 bconv", "filters": None}, "'3x3 bconv' is a binary operator"),
    ({"skeleton": "flat", "filters": "-3"}, "children.skeleton.filters must be at least 1"),
    ({"max_params": 5}, r"limits.parameters: no network is within 5; the smallest network has \d+ \("),
    ({"max_macs": 1, "strategy": "random"}, r"limits.macs: no network is within 1; the smallest network has [\d,]+ \("),
    ({"max_bits": 31, "final_epochs": 0}, r"limits.bits: no network is within 31; the smallest network has [\d,]+ \("),
    ({"max_latency_us": 1e-3}, "limits.latency_us: no network is within 0"),
    ({"children": 10**9}, "K=1000000000: the largest level of this space has at most"),
    ({"final_filters": "0"}, "final.skeleton.filters must be at least 1"),
    ({"modules": "math.nothing"}, "module 'math.nothing' cannot be imported"),
]


@pytest.mark.parametrize(("asked", "words"), REFUSED, ids=lambda part: str(part)[:40])
def test_what_makes_no_sense_leaves_no_folder(tmp_path, asked, words):
    given = {name: value for name, value in {**BASE, **asked}.items() if value is not None}
    with pytest.raises(UsageError, match=words) as caught:
        pronas.search("digits", out=tmp_path / "run", **given)
    assert "--" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_all_and_0_mean_the_same():
    spelt = [{"first": "all", "children": "all"}, {"first": 0, "children": 0}, {"first": "0", "children": "0"}]
    configs = [parse("digits", {**BASE, **one}).config for one in spelt]
    assert configs[0] == configs[1] == configs[2]
    assert resolve(parse("digits", {**BASE, **spelt[0]})).config.search.children == 0


nonsense = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["", "0", "-1", "all", "nan", "inf", "1e9", "\0", "\udcff", "a/b", "é", "x" * 300, 10**40])
    | st.lists(st.integers() | st.text(max_size=5) | st.none(), max_size=3)
    | st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=3), max_size=2)
    | st.binary(max_size=3)
    | st.just(object())
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(sorted(SETTINGS)), nonsense)
@example("operators", [])
@example("filters", [])
@example("objectives", [])
@example("skeleton", {"name": "flat", "filters": "x"})
@example("recipe", {"name": "search", "epochs": 10**9})
@example("recipe", {"optimizer": 3})
@example("final_recipe", {"augmentation": {"no": 1}})
@example("filters", [4] * 10_000)
@example("lookforward", 0)
def test_every_setting_with_every_nonsense_makes_sense_or_is_refused(name, value):
    if name in ("children", "first", "blocks", "lookback", "final_filters", "filters") and _large(value):
        return  # it makes sense, and takes long
    said = _refusal(name, value)
    assert said is None or (said and "\n" not in said)


def _refusal(name, value):
    try:
        resolve(parse(None, {**BASE, name: value}))
    except (UsageError, DataError, RunError) as error:
        return str(error)
    return None


def _large(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and 12 < abs(value) < 10**6
