"""Random full-precision networks with unruly batch norms, for the tests of the integer network."""

import numpy as np
import torch
from deploy_graphs import own_operators
from torch import nn

from pronas.deploy.integer import calibrate, lower, quantize
from pronas.networks import Flat, PnasCifar, PnasImagenet, Residual
from pronas.space import Cell


def unruly(network, rng):
    """Batch norms with statistics of real training, a few dead or negative channels; evaluation mode."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            count = layer.num_features
            scale = rng.normal(1, 0.4, count)
            scale[rng.random(count) < 0.05] = 0
            for target, values in (
                (layer.weight.data, scale), (layer.bias.data, rng.normal(0, 0.5, count)),
                (layer.running_mean, rng.normal(0, 0.3, count)), (layer.running_var, rng.uniform(0.2, 3, count)),
            ):  # fmt: skip
                target.copy_(torch.from_numpy(values.astype(np.float32)))
    return network.eval()


def random_cell(rng):
    names = own_operators(False)
    flat, blocks = bool(rng.random() < 0.5), []
    for index in range(int(rng.integers(1, 4))):
        values = [0, *range(1, index + 1)] if flat else [-2, -1, *range(index)]
        (i, j), (a, b) = rng.choice(values, 2), rng.choice(names, 2)
        if index == 0:
            i, j = (0, 0) if flat else (-1, j if j < 0 else -2)
        blocks.append(f"{i}:{a} + {j}:{b}")
    return Cell.parse(" | ".join(blocks))


def random_skeleton(rng):
    draw = rng.random()
    if draw < 0.5:
        return Flat(
            filters=tuple(int(x) for x in rng.choice([3, 4, 6, 8, 12], 2)),
            strides=(int(rng.choice([1, 2])), 2),
            combine=str(rng.choice(["concat", "add"])),
            stem=int(rng.choice([0, 5, 8])),
        )
    if draw < 0.75:
        return Residual(
            filters=(4, 8), strides=(1, 2), stem=4, linear=bool(rng.random() < 0.5), head=int(rng.choice([0, 6]))
        )
    outputs = str(rng.choice(["unused", "all"]))
    if draw < 0.9:
        return PnasCifar(N=1, F=int(rng.choice([3, 4])), outputs=outputs)
    return PnasImagenet(N=1, F=4, stem=int(rng.choice([4, 6])), outputs=outputs)


def drawn(seed):
    """(random numbers, skeleton, cell, image shape, scale of the images)."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.choice([1, 3])), int(rng.integers(8, 18)), int(rng.integers(8, 18)))
    scale = rng.uniform(90, 140, shape[0]).tolist(), rng.uniform(40, 80, shape[0]).tolist()
    return rng, random_skeleton(rng), random_cell(rng), shape, scale


def random_model(seed):
    """(network, images): any full-precision skeleton, any operators, odd sizes."""
    rng, skeleton, cell, shape, scale = drawn(seed)
    network = skeleton.build(cell, shape, 5, seed=seed, scale=scale)
    flat = np.broadcast_to(rng.integers(0, 256, (16, shape[0], 1, 1)), (16, *shape))
    return unruly(network, rng), np.concatenate([rng.integers(0, 256, (16, *shape)), flat]).astype(np.uint8)


def integer_network(seed):
    """(integer network, images, float network)."""
    network, images = random_model(seed)
    graph = lower(network)
    return quantize(graph, calibrate(graph, images)), images, network
