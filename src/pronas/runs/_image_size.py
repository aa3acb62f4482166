"""The size of images that a budget can afford: large photographs are brought to it."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace

from pronas.data import ImageSizes, probe_images, suggest_image_size
from pronas.errors import DataError
from pronas.runs._config import Config
from pronas.runs._duration import seconds_of

# The plan (`pronas.runs._plan`) gives a network 380 units of cost for a root of the compute that an image has; of a
# ResNet at a third of its width a pixel costs some 3,300. The speed is that of two ordinary threads, whatever machine
# this is: the same command must find its run again.
_COST_A_ROOT, _COST_A_PIXEL, _SPEED, _WINNER = 380.0, 3_300.0, 1.4e10, 0.55
_LEAST, _MOST = 32 * 32, 224 * 224
_TRAINED = 0.8  # of all images


def affordable_pixels(seconds: float, images: int) -> int:
    """Height times width that so many images may have, for a network that can learn from them in so many seconds."""
    compute = _WINNER * seconds * _SPEED / max(1.0, _TRAINED * images)
    return int(min(_MOST, max(_LEAST, _COST_A_ROOT * math.sqrt(compute) / _COST_A_PIXEL)))


def with_image_size(config: Config) -> tuple[Config, str | None]:
    """``config`` with a size for images that are larger than its budget can afford, or of several sizes, and a line
    that says so; as it is where a size was given, or there is no budget."""
    data, budget = config.data, config.search.budget
    if budget is None or data.image_size is not None:
        return config, None
    sizes: ImageSizes | None = None
    with contextlib.suppress(DataError, OSError):  # loading says what is wrong
        sizes = probe_images(data.name, data.directory)
    if sizes is None:
        return config, None
    size = suggest_image_size(
        sizes, affordable_pixels(seconds_of(budget), min(sizes.images, data.limit or sizes.images))
    )
    if size is None:
        return config, None
    height, width = sizes.median
    text = (
        f"images, most about {height}x{width}, are brought to {size[0]}x{size[1]}, for the time there is (image_size)"
    )
    return replace(config, data=replace(data, image_size=size)), text
