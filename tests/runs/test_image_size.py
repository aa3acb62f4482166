"""Large photographs are brought to a size that the budget can afford, unless one is given."""

import numpy as np
import pytest
from PIL import Image

import pronas
from pronas.errors import UsageError
from pronas.runs.planning import affordable_pixels
from pronas.runs.steps import parse, resolve


def photos(folder, sizes):
    rng = np.random.default_rng(0)
    for label in ("ant", "bee"):
        (folder / label).mkdir(parents=True)
        for number in range(24):
            height, width = sizes[number % len(sizes)]
            pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.jpg")
    return folder


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return photos(tmp_path_factory.mktemp("large"), [(300, 400)])


def test_what_is_afforded_follows_time_and_images():
    assert affordable_pixels(60, 50_000) == 32 * 32
    assert affordable_pixels(86_400, 1_000) == 224 * 224
    assert 36**2 < affordable_pixels(120, 2_000) < 64**2
    assert 80**2 < affordable_pixels(3_600, 5_000) < 112**2


def test_large_photographs_are_brought_to_size_and_the_plan_says_so(large):
    told = pronas.plan(large, budget="10s", speed=1e9)
    assert told.lines[0].startswith("plan: images, most about 300x400, are brought to ")
    problem = resolve(parse(large, {"budget": "10s"}))
    _, height, width = problem.dataset.input_shape
    assert problem.config.data.image_size == (height, width)
    assert height * width <= affordable_pixels(10, 48)
    assert height / width == pytest.approx(3 / 4, abs=0.12)
    assert resolve(parse(large, {"budget": "10s"})).config == problem.config  # the same command finds its run


@pytest.mark.parametrize(("given", "shape"), [(64, (3, 64, 64)), ("40,24", (3, 40, 24)), ((24, 40), (3, 24, 40))])
def test_a_size_that_is_given_is_obeyed(large, given, shape):
    problem = resolve(parse(large, {"budget": "10s", "image_size": given}))
    assert problem.dataset.input_shape == shape
    assert problem.notes == ()


def test_sizes_that_differ_no_longer_need_a_number(tmp_path):
    mixed = photos(tmp_path / "mixed", [(20, 30), (40, 40), (24, 18)])
    assert resolve(parse(mixed, {"budget": "10s"})).dataset.input_shape[0] == 3
    with pytest.raises(pronas.errors.DataError, match="image_size"):
        resolve(parse(mixed, {"blocks": 1}))  # without a budget nobody chooses


def test_small_images_stay_as_they_are():
    assert resolve(parse("digits", {"budget": "1m"})).config.data.image_size is None


@pytest.mark.parametrize("size", [4, "4,40", "40,40,40", "wide", (8.5, 9)])
def test_sizes_that_make_no_sense_are_refused(size, tmp_path):
    with pytest.raises(UsageError, match=r"image_size"):
        pronas.search("digits", budget="10s", image_size=size, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
