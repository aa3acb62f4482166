"""A ``.tflite`` file that was given is run by LiteRT in a process of its own; a damaged one is refused in one line."""

import random

import numpy as np
import pytest
from integer_graphs import integer_network

from pronas.deploy import open_exported
from pronas.deploy.integer import run_integer, tflite_bytes
from pronas.errors import ModelFileError

pytest.importorskip("ai_edge_litert.interpreter")


@pytest.fixture(scope="module")
def network():
    return integer_network(1)


def test_a_given_file_is_run(network, tmp_path):
    integers, images, _ = network
    path = tmp_path / "net.tflite"
    path.write_bytes(tflite_bytes(integers))
    opened, logits = open_exported(path), integers.scales[-1]
    steps = np.rint(opened.score(images) / logits.scale) + logits.zero
    assert (opened.input_shape, opened.size) == (integers.input_shape, path.stat().st_size)
    assert np.abs(steps - run_integer(integers, images)).max() <= 1  # its own kernels round once
    assert (steps == run_integer(integers, images)).mean() > 0.8


def test_a_damaged_file_is_run_or_refused_in_one_line(network, tmp_path):
    rng, whole = random.Random(0), tflite_bytes(network[0])
    texts = [b"", b"x" * 100, whole[:-400], whole[:64]]
    for _ in range(3):
        damaged = bytearray(whole)
        for _ in range(8):
            damaged[rng.randrange(600)] = rng.randrange(256)
        texts.append(bytes(damaged))
    refused, path = [], tmp_path / "net.tflite"
    for text in texts:
        path.write_bytes(text)
        try:
            open_exported(path)
        except ModelFileError as error:
            refused.append(str(error))
    assert len(refused) >= 4
    assert all("LiteRT cannot r" in text and "\n" not in text for text in refused)
