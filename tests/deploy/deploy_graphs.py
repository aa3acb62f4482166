"""Random packed graphs and random binary networks, for the tests and the benchmarks of deployment."""

import numpy as np
import torch
from torch import nn

from pronas.deploy.packed import Builder, Logits
from pronas.networks import Binary, operators
from pronas.space import Cell

KERNELS = [(1, 1), (3, 3), (5, 5), (7, 7), (1, 7), (7, 1), (2, 2), (3, 1)]
CHANNELS = [1, 5, 8, 16, 20, 24, 32, 33, 64, 70]


def bits(rng, shape):
    return rng.integers(0, 2, shape).astype(bool)


def limits(rng, channels, reach):
    """Thresholds around zero; some channels are always or never set."""
    values = rng.normal(0, max(1, np.sqrt(reach)), channels).round().astype(np.int32)
    place = rng.random(channels)
    values[place < 0.05], values[place > 0.95] = reach + 1, -reach - 1
    return values


def random_window(builder, rng, value):
    """One windowed operation on ``value``, or None where the window drawn does not fit."""
    source = builder.map(value)
    kind = str(rng.choice(["conv", "conv", "depthwise", "sumpool", "maxpool"]))
    kh, kw = KERNELS[rng.integers(len(KERNELS))]
    padding = (kh // 2, kw // 2)
    if rng.random() < 0.2:
        padding = (int(rng.integers(0, kh)), int(rng.integers(0, kw)))
    stride = int(rng.choice([1, 1, 2, 3]))
    if kh > source.height + 2 * padding[0] or kw > source.width + 2 * padding[1]:
        return None
    if kind == "maxpool":
        return builder.window(kind, value, (kh, kw), stride, padding)
    channels = int(rng.choice(CHANNELS)) if kind == "conv" else source.channels
    shape = {
        "conv": (channels, source.channels, kh, kw),
        "depthwise": (channels, kh, kw),
        "sumpool": (channels,),
    }[kind]
    reach = kh * kw * (source.channels if kind == "conv" else 1) * (255 if source.image else 1)
    return builder.window(
        kind, value, (kh, kw), stride, padding, weights=bits(rng, shape), thresholds=limits(rng, channels, reach)
    )


def random_graph(seed):
    """(graph, images): every kind of operation, odd sizes, any number of channels; images with flat borders."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 5)), int(rng.integers(5, 20)), int(rng.integers(5, 20)))
    builder = Builder(shape)
    values = [builder.image]
    for _ in range(int(rng.integers(3, 9))):
        maps = [v for v in values if not builder.map(v).image]
        draw = rng.random()
        if draw < 0.25 and maps:
            first = builder.map(int(rng.choice(maps)))
            same = [v for v in maps if builder.map(v).shape[1:] == first.shape[1:]]
            new = builder.concat([int(v) for v in rng.choice(same, rng.integers(2, 4))])
        elif draw < 0.35 and maps:
            one = int(rng.choice(maps))
            same = [v for v in maps if builder.map(v).shape == builder.map(one).shape]
            count = builder.map(one).channels
            new = builder.add(one, int(rng.choice(same)), bits(rng, count), rng.integers(-3, 4, count).astype(np.int32))
        else:
            new = random_window(builder, rng, int(rng.choice(values[-3:])))
        values += [] if new is None else [new]
    graph = _finish(builder, rng, values)
    images = rng.integers(0, 256, (2, *shape), dtype=np.uint8)
    images[0, :, :2], images[0, :, -2:] = 0, 255
    return graph, images


def _shrunk(builder, last):
    """A map of at most 65,536 bits, as many as an output of a packed network may read."""
    while builder.map(last).size > 1 << 16:
        last = builder.window("maxpool", last, (2, 2), 2, (0, 0))
    return last


def _finish(builder, rng, values):
    maps = [v for v in values if not builder.map(v).image]
    last = maps[-1] if maps else None
    if last is None:
        shape = (9, builder.map(values[-1]).channels, 1, 1)
        last = builder.window(
            "conv", values[-1], (1, 1), 1, (0, 0), weights=bits(rng, shape), thresholds=limits(rng, 9, 255)
        )
    last = _shrunk(builder, last)
    if rng.random() < 0.6:
        inputs, units = builder.map(last).size, int(rng.choice([8, 13, 32, 70]))
        last = builder.dense(last, bits(rng, (units, inputs)), limits(rng, units, inputs))
    inputs, form = builder.map(last).size, int(rng.integers(0, 5))
    columns = {0: 2, 1: 2, 2: inputs + 1}.get(form, 3)
    logits = Logits(form, rng.normal(size=(10, columns)).astype(np.float32))
    return builder.finish(last, bits(rng, (10, inputs)), logits, classes=[f"class {i}" for i in range(10)])


def adversarial(network, rng):
    """Batch norms with negative, zero and tiny scales, means on integers and zero variance; evaluation mode."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            count = layer.num_features
            scale, place = rng.normal(size=count), rng.random(count)
            scale[place < 0.1], scale[(place >= 0.1) & (place < 0.2)] = 0, 1e-30
            shift = np.where(rng.random(count) < 0.5, 0, rng.normal(size=count))
            mean = np.where(rng.random(count) < 0.7, rng.integers(-9, 10, count), rng.normal(size=count) * 5)
            variance = rng.random(count) * 20 * (rng.random(count) < 0.8)
            for target, values in (
                (layer.weight.data, scale), (layer.bias.data, shift),
                (layer.running_mean, mean), (layer.running_var, variance),
            ):  # fmt: skip
                target.copy_(torch.from_numpy(values.astype(np.float32)))
    return network.eval()


def own_operators(binary):
    """The operators that come with pronas: those of other tests are called "test …"."""
    return [name for name in operators(binary) if not name.startswith("test ")]


def random_cell(rng, names=None):
    """A cell of one to three blocks, flat or reading earlier cells."""
    names = names or own_operators(True)
    flat, blocks = bool(rng.random() < 0.6), []
    for index in range(int(rng.integers(1, 4))):
        values = [0, *range(1, index + 1)] if flat else [-2, -1, *range(index)]
        if index == 0:
            values = [0] if flat else [-1, -2]
        (i, j), (a, b) = rng.choice(values, 2), rng.choice(names, 2)
        if index == 0 and not flat:
            i = -1
        blocks.append(f"{i}:{a} + {j}:{b}")
    return Cell.parse(" | ".join(blocks))


def random_network(seed, names=None):
    """(network, images): a binary network of random structure with adversarial batch norms, and uint8 images."""
    rng = np.random.default_rng(seed)
    skeleton = Binary(
        filters=tuple(int(x) for x in rng.choice([5, 8, 12, 16, 24, 32], 3)),
        strides=(int(rng.choice([1, 2])), 2, 2),
        combine=str(rng.choice(["concat", "add"])),
        xnor=bool(rng.random() < 0.5),
        dense=(32,) if rng.random() < 0.7 else (),
    )
    shape = (int(rng.choice([1, 3])), int(rng.integers(8, 20)), int(rng.integers(8, 20)))
    network = adversarial(skeleton.build(random_cell(rng, names), shape, 10, seed=seed), rng)
    return network, rng.integers(0, 256, (4, *shape), dtype=np.uint8)
