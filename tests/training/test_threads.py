"""Several threads train one network: what may change with their number, and what may not."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch

from pronas.data import load_dataset
from pronas.errors import ModelFileError
from pronas.kernels import accelerate
from pronas.networks import skeleton
from pronas.space import Cell
from pronas.training import Recipe, Replicas, evaluate, make_loss, total_loss, train_network

CELL = "0:3x3 dconv + 0:3x3 conv"
FLAT = skeleton("flat", filters=[4, 8])
RECIPE = Recipe(epochs=3, batch=64, learning_rate=0.05, optimizer="sgd", label_smoothing=0.1, augmentation="standard")


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize(
    "network",
    [FLAT, skeleton("flat", filters=[4], dropout=0.3), skeleton("flat", filters=[4, 8], drop_path=0.4)],
    ids=["plain", "dropout", "drop path"],
)
def test_equal_seeds_and_threads_give_equal_bits(digits, same_weights, network, threads: int) -> None:
    runs = [train_network(CELL, digits, network, RECIPE, seed=3, threads=threads) for _ in range(3)]
    assert all(same_weights(runs[0].network, run.network) and run.curves == runs[0].curves for run in runs[1:])
    assert torch.get_num_threads() == 1  # as it was before


def test_two_threads_learn_as_well_as_one(digits) -> None:
    recipe = RECIPE.replace(epochs=12, learning_rate=0.3, schedule="linear", warmup=0.2)
    wider = skeleton("flat", filters=[8, 16])
    runs = [train_network(CELL, digits, wider, recipe, seed=3, threads=threads) for threads in (1, 2)]
    found = [evaluate(run.network, digits.test).accuracy for run in runs]
    assert min(found) > 0.85
    assert abs(found[0] - found[1]) < 0.06
    assert runs[0].curves != runs[1].curves  # each thread normalised its own part


def test_a_training_of_two_threads_resumes_to_the_bit_and_with_two_only(tmp_path: Path, digits, same_weights) -> None:
    whole = train_network(CELL, digits, FLAT, RECIPE, seed=3, threads=2)

    def stopping(_: object) -> None:
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train_network(CELL, digits, FLAT, RECIPE, seed=3, threads=2, checkpoint=tmp_path / "c", on_epoch=stopping)
    with pytest.raises(ModelFileError, match="threads"):
        train_network(CELL, digits, FLAT, RECIPE, seed=3, threads=1, checkpoint=tmp_path / "c")
    rest = train_network(CELL, digits, FLAT, RECIPE, seed=3, threads=2, checkpoint=tmp_path / "c")
    assert same_weights(whole.network, rest.network)
    assert whole.curves == rest.curves


@pytest.mark.parametrize(("limit", "helpers"), [(200, {"replica_0", "replica_1"}), (40, {"replica_0"}), (20, set())])
def test_no_thread_gets_too_few_images_for_batch_norm(limit: int, helpers: set[str]) -> None:
    dataset = load_dataset("digits", limit=limit, validation=0.1)
    seen: list[set[str]] = []

    def on_epoch(_: object) -> None:
        seen.append({thread.name for thread in threading.enumerate() if thread.name.startswith("replica")})

    train_network(CELL, dataset, FLAT, RECIPE.replace(epochs=1), threads=3, on_epoch=on_epoch)
    assert seen == [helpers]


@pytest.mark.parametrize("images", [64, 65, 50])
def test_copies_leave_the_gradient_of_the_parts_together(images: int) -> None:
    """The reference normalises each part by itself in one network; parts of different sizes count by their size."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (images, 1, 8, 8), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, (images,), generator=generator)
    loss = make_loss(RECIPE)

    def compute(network, pixels, labels):
        return total_loss(loss, network(pixels), labels, 0.0)

    def fresh():
        return FLAT.build(Cell.parse(CELL), (1, 8, 8), 10, seed=5)

    shared = fresh()
    replicas = Replicas(shared, 3, compute, accelerate(shared, steps=1))
    replicas.train()
    mean, logits = replicas.learn(pixels, labels)
    alone = fresh().train()
    forward = accelerate(alone, steps=1).forward
    parts = [compute(forward, *part) for part in zip(pixels.tensor_split(3), labels.tensor_split(3), strict=True)]
    expected = sum(value * len(part) / images for (value, part) in parts)
    expected.backward()
    assert torch.allclose(mean, expected.detach(), atol=1e-6)
    assert torch.equal(logits, torch.cat([part for _, part in parts]).detach())
    for (name, one), two in zip(shared.named_parameters(), alone.parameters(), strict=True):
        assert torch.allclose(one.grad, two.grad, atol=1e-6), name
