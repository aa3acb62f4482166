"""Twins across splits, and notes of them."""

import io

import numpy as np
from PIL import Image

from pronas.data import Dataset, find_duplicates


def pictures(n, seed):
    rng = np.random.default_rng(seed)
    rough = rng.integers(0, 256, (n, 6, 6, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(image).resize((32, 32), Image.BICUBIC)) for image in rough])


def saved_again(image, quality=80):
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", quality=quality)
    return np.asarray(Image.open(out))


def dataset(train, test, validation=None, labels=None):
    validation = pictures(40, 3) if validation is None else validation
    pairs = [(images, np.arange(len(images)) % 2) for images in (train, test, validation)]
    if labels is not None:
        pairs[1] = (test, labels)
    return Dataset.from_arrays(*pairs)


def test_exact_and_near_twins_are_found():
    train, test = pictures(300, 1), pictures(50, 2)
    test[10], test[20] = train[17], train[18]
    test[30] = saved_again(train[40])
    test[31] = np.clip(train[41].astype(int) + 6, 0, 255)
    test[32] = np.asarray(Image.fromarray(train[42]).resize((48, 48)).resize((32, 32)))
    found = {(entry.split, entry.other): entry for entry in find_duplicates(dataset(train, test))}
    entry = found["test", "training"]
    assert entry.exact.tolist() == [[10, 17], [20, 18]]
    assert entry.near.tolist() == [[30, 40], [31, 41], [32, 42]]
    assert all(len(other.exact) + len(other.near) == 0 for pair, other in found.items() if pair != ("test", "training"))


def test_notes_say_how_many_and_with_what_label():
    train, test = pictures(300, 1), pictures(50, 2)
    test[10], test[11] = train[10], train[30]
    notes = dataset(train, test).notes
    assert [
        note for note in notes if note.startswith("2 of 50 test images are among the training images too (2 to the")
    ]
    assert [note for note in notes if "1 of them with another label" in note]


def test_flat_and_few_images_are_no_trouble():
    flat = np.zeros((40, 8, 8), np.uint8)
    found = find_duplicates(dataset(flat, flat[:4] + 1, flat[:6] + 2))
    assert len(found[0].exact) + len(found[0].near) == 0
    tiny = dataset(pictures(4, 1), pictures(2, 2), pictures(2, 3))
    assert all(len(entry.exact) == 0 for entry in find_duplicates(tiny))
