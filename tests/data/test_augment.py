"""Augmentation, expansion and pixel statistics."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from pronas.data import (
    AUGMENTATIONS,
    Augmentation,
    Split,
    augmentation,
    augmentation_names,
    default_augmentation,
    expand,
    load_dataset,
    scale_of,
)
from pronas.errors import UsageError


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(n=64, channels=3, height=12, width=10, seed=1):
    return torch.randint(1, 256, (n, channels, height, width), generator=generator(seed), dtype=torch.uint8)


def windows(image, pad, fill=0, reflect=False):
    """Every crop of one (C, H, W) image, the slow and obvious way."""
    sides = ((0, 0), (pad, pad), (pad, pad))
    array = image.numpy()
    padded = np.pad(array, sides, mode="reflect") if reflect else np.pad(array, sides, constant_values=fill)
    _, height, width = array.shape
    for y in range(2 * pad + 1):
        for x in range(2 * pad + 1):
            yield padded[:, y : y + height, x : x + width]


@pytest.mark.parametrize("reflect", [False, True])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_crop_is_a_window_of_the_padded_image(channels, reflect):
    images = batch(channels=channels)
    out = Augmentation(crop=2, reflect=reflect, fill=(7,)).apply(images, generator())
    seen = set()
    for image, result in zip(images, out, strict=True):
        hits = [i for i, w in enumerate(windows(image, 2, 7, reflect)) if np.array_equal(w, result.numpy())]
        assert len(hits) == 1
        seen.update(hits)
    assert len(seen) > 15  # of 25: images move by themselves


def test_flip_mirrors_about_half():
    images = batch(400)
    out = Augmentation(flip=True).apply(images, generator())
    same = (out == images).flatten(1).all(1)
    mirrored = (out == images.flip(3)).flatten(1).all(1)
    assert bool((same ^ mirrored).all())
    assert 150 < int(mirrored.sum()) < 250


def test_cutout_paints_a_square_that_may_leave_the_image():
    images = batch(300)
    out = Augmentation(cutout=4, fill=(0, 9, 0)).apply(images, generator())
    painted = (out != images).any(1)
    rows, columns = painted.any(2).sum(1), painted.any(1).sum(1)
    assert int(rows.max()) == 4
    assert int(columns.max()) == 4
    assert int(rows.min()) < 4
    assert torch.equal((rows * columns), painted.flatten(1).sum(1))
    assert bool((out[:, 1][painted] == 9).all())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_memory_format_and_type_are_kept_and_do_not_matter(dtype, channels):
    augmentation = Augmentation(crop=3, flip=True, cutout=5, fill=(3,))
    images = batch(channels=channels).to(dtype)
    plain = augmentation.apply(images, generator(4))
    last = augmentation.apply(images.contiguous(memory_format=torch.channels_last), generator(4))
    assert torch.equal(plain, last)
    assert plain.dtype == last.dtype == dtype
    assert plain.is_contiguous()
    assert last.is_contiguous(memory_format=torch.channels_last)


def test_argument_is_not_changed_and_seed_decides():
    augmentation = Augmentation(crop=1, flip=True, cutout=3)
    images = batch()
    before = images.clone()
    first, again, other = (augmentation.apply(images, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(images, before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_nothing_asked_nothing_done():
    images = batch()
    assert Augmentation().apply(images, generator()) is images


def test_empty_batch():
    assert Augmentation(crop=1, flip=True, cutout=2).apply(batch(0), generator()).shape == (0, 3, 12, 10)


@pytest.mark.parametrize("options", [{"crop": -1}, {"cutout": -1}, {"fill": (300,)}, {"fill": ()}])
def test_bad_augmentation(options):
    with pytest.raises(UsageError):
        Augmentation(**options)


def test_fill_must_fit_the_channels_and_reflection_the_side():
    with pytest.raises(UsageError, match="3 channels"):
        Augmentation(crop=1, fill=(1, 2)).apply(batch(), generator())
    with pytest.raises(UsageError, match="reflect"):
        Augmentation(crop=10, reflect=True).apply(batch(), generator())


def test_default_augmentation_of_digits_does_not_flip():
    augmentation = default_augmentation(load_dataset("digits"), strength="strong")
    assert augmentation == Augmentation(crop=1, cutout=2)


def test_scale_is_the_training_pixels_mean_and_deviation():
    dataset = load_dataset("digits")
    scale = scale_of(dataset)
    assert scale.mean == pytest.approx((dataset.train.images.mean(dtype=np.float64),), abs=1e-9)
    assert scale.std == pytest.approx((dataset.train.images.std(dtype=np.float64),), abs=1e-9)


def test_scale_of_a_constant_channel():
    images = np.zeros((3, 2, 8, 8), np.uint8)
    images[:, 1] = 10
    assert scale_of(Split(images, np.zeros(3, np.int64))) == ((0.0, 10.0), (1.0, 1.0))


def square(background=0, height=28, width=28):
    image = np.full((1, 1, height, width), background, np.uint8)
    image[..., height // 2 - 3 : height // 2 + 3, width // 2 - 3 : width // 2 + 3] = 200
    return Split(image, np.array([4]))


def test_expand_keeps_the_originals_and_adds_four():
    split = load_dataset("digits").train
    grown = expand(split, 0)
    assert len(grown) == 5 * len(split)
    assert np.array_equal(grown.images[: len(split)], split.images)
    assert np.array_equal(grown.labels, np.tile(split.labels, 5))
    assert not np.array_equal(grown.images[len(split) : 2 * len(split)], split.images)
    assert np.array_equal(grown.images, expand(split, 0).images)
    assert not np.array_equal(grown.images, expand(split, 1).images)


@pytest.mark.parametrize("background", [0, 90])
def test_expand_fills_with_the_background(background):
    grown = expand(square(background), 0, copies=50, shift=5)
    assert grown.images.min() == background  # nothing darker came in from outside
    assert (grown.images[:, 0, 0, 0] == background).all()


@pytest.mark.parametrize(("height", "width"), [(28, 28), (20, 36)])
def test_expand_shifts_by_whole_pixels_and_rotates_by_at_most_the_angle(height, width):
    split = square(height=height, width=width)
    shifted = expand(split, 0, copies=60, degrees=0, shift=2).images
    moves = set()
    for image in shifted:
        hits = [
            (y, x)
            for y in range(-2, 3)
            for x in range(-2, 3)
            if np.array_equal(np.roll(split.images[0], (y, x), (1, 2)), image)
        ]
        assert len(hits) == 1
        moves.update(hits)
    assert len(moves) > 15
    bar = np.zeros((1, 1, height, width), np.uint8)
    bar[..., height // 2 - 1 : height // 2 + 1, 4:-4] = 255
    turned = expand(Split(bar, np.array([0])), 3, copies=200, degrees=15, shift=0).images[:, 0].astype(float)
    angles = []
    for image in turned:
        y, x = np.mgrid[:height, :width]
        y, x = y - (height - 1) / 2, x - (width - 1) / 2
        angles.append(np.degrees(np.arctan2((image * x * y).sum(), (image * (x * x - y * y)).sum())))
    assert 12 < max(angles) < 16.5  # a pixel moment over- or understates a little
    assert -16.5 < min(angles) < -12


def test_importing_data_does_not_import_torch():
    code = "import sys, pronas.data; print('torch' in sys.modules, 'sklearn' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False False"


@pytest.fixture
def registry():
    before = dict(AUGMENTATIONS)
    AUGMENTATIONS.clear()
    yield
    AUGMENTATIONS.clear()
    AUGMENTATIONS.update(before)


MORE = {
    "rotate": Augmentation(rotate=20, fill=(9,)),
    "rotate, reflect": Augmentation(rotate=20, reflect=True),
    "light": Augmentation(brightness=0.2, contrast=0.3),
    "all": Augmentation(crop=2, flip=True, rotate=5, brightness=0.1, contrast=0.1, cutout=3),
}


@pytest.mark.parametrize("kind", MORE)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("last", [False, True])
def test_later_augmentations_are_seeded_and_keep_the_form(kind, dtype, last):
    images = batch().to(dtype)
    images = images.contiguous(memory_format=torch.channels_last) if last else images
    before = images.clone()
    out = MORE[kind].apply(images, generator())
    assert torch.equal(images, before)
    assert (out.shape, out.dtype) == (images.shape, dtype)
    assert out.is_contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    assert torch.equal(out, MORE[kind].apply(images, generator()))
    other = MORE[kind].apply(images.contiguous(), generator())
    assert torch.allclose(out.float(), other.float(), atol=0 if dtype == torch.uint8 else 1e-3)
    assert not torch.equal(out, MORE[kind].apply(images, generator(1)))
    assert not torch.equal(out, images)
    assert 0 <= float(out.min()) <= float(out.max()) <= 255


def test_light_is_one_line_an_image():
    images = torch.arange(60, 124, dtype=torch.uint8).reshape(1, 1, 8, 8).repeat(200, 1, 1, 1)
    out = Augmentation(brightness=0.1, contrast=0.2).apply(images.float(), generator())
    x, y = images[0].float().ravel(), out.flatten(1)
    gain = (y[:, -1] - y[:, 0]) / (x[-1] - x[0])
    assert torch.allclose(y, (x - x.mean()) * gain[:, None] + y.mean(1, keepdim=True), atol=1e-3)
    assert 0.8 <= float(gain.min()) < 0.85
    assert 1.15 < float(gain.max()) <= 1.2
    offset = y.mean(1) - x.mean()
    assert -25.6 <= float(offset.min()) < -20
    assert 20 < float(offset.max()) <= 25.6


def test_rotation_turns_about_the_centre():
    image = torch.zeros(100, 1, 15, 15, dtype=torch.uint8)
    image[:, :, 7, :] = 255
    out = Augmentation(rotate=30, fill=(77,)).apply(image, generator())
    assert (out[:, 0, 7, 7] > 180).all()
    assert (out == 77).any()
    assert ((out[:, 0, 7] > 200).sum(1) < 15).float().mean() > 0.8


def test_registered_augmentations(registry):
    import pronas
    from pronas.training import Recipe

    @pronas.augmentation("negative")
    def negative(images, generator):
        return 255 - images

    @pronas.augmentation("smaller")
    def smaller(images, generator):
        return images[:, :, 1:] if images.shape[3] == 10 else images

    images = batch()
    assert torch.equal(Augmentation(then="negative").apply(images, generator()), 255 - images)
    twice = Augmentation(flip=True, then=("negative", "negative"))
    assert torch.equal(twice.apply(images, generator()), Augmentation(flip=True).apply(images, generator()))
    with pytest.raises(UsageError, match=r"'smaller': images of shape \(64, 3, 12, 10\).* became \(64, 3, 11, 10\)"):
        Augmentation(then=("smaller",)).apply(images, generator())
    with pytest.raises(UsageError, match="'negativ'; did you mean 'negative'"):
        Augmentation(then=("negativ",))
    for recipe in (Recipe(augmentation="negative"), Recipe.from_dict({"augmentation": {"then": ["negative"]}})):
        assert recipe.augmentation == Augmentation(then=("negative",))
        assert Recipe.from_dict(recipe.to_dict()) == recipe
    with pytest.raises(UsageError, match="augmentation 'negatve'; did you mean 'negative'"):
        Recipe(augmentation="negatve")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images, generator: images[:, :, 1:], r"images of shape \(2, 3, 8, 8\).* became \(2, 3, 7, 8\)"),
        (
            lambda images, generator: images.float(),
            r"images .* became .*, torch.float32 on cpu; they must stay",
        ),
        (lambda images, generator: None, "images became NoneType; they must stay a tensor"),
    ],
)
def test_an_augmentation_is_tried_when_it_is_registered(registry, change, message):
    with pytest.raises(UsageError, match=f"'tried': {message}"):
        augmentation("tried")(change)
    assert "tried" not in augmentation_names()


def larger(images, generator):
    if images.shape[2] < 24:
        raise ValueError("24 rows or more")
    return images


@pytest.mark.parametrize(
    "change",
    [
        larger,
        lambda images, generator: images.new_zeros(len(images), 1, 28, 28),  # made for one size
        lambda images, generator: defined_further_down(images),  # noqa: F821
        lambda images, generator: images.view(-1, 4, 64, 64),  # multispectral images alone
    ],
)
def test_what_wants_other_images_than_those_tried_is_registered(registry, change):
    assert augmentation("wanting")(change) is change
    assert "wanting" in augmentation_names()


def test_plain_form_of_an_older_augmentation_is_as_it_was():
    assert set(Augmentation(crop=1).to_dict()) == {"crop", "flip", "cutout", "expansion", "reflect", "fill"}
    assert Augmentation(**MORE["all"].to_dict()) == MORE["all"]


@pytest.mark.parametrize("wrong", [{"rotate": -1}, {"rotate": 200}, {"brightness": 1.5}, {"contrast": float("nan")}])
def test_bad_sizes_of_later_augmentations(wrong):
    with pytest.raises(UsageError, match="must lie between 0 and"):
        Augmentation(**wrong)
