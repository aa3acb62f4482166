"""``pronas benchmark``: latency, size and agreement of a model in the forms it can be shipped in."""

from pathlib import Path
from typing import Annotated

import typer

from pronas.errors import UsageError


def command(
    model: Annotated[Path, typer.Argument(help="A run's folder (its winner is taken), a model or a packed file.")],
    images: Annotated[int, typer.Option("--images", "-n", help="Images for the agreement (random pixels).")] = 200,
    repeats: Annotated[int, typer.Option(help="Rounds of the timing; the median counts.")] = 30,
) -> None:
    """Print latency (one image, one thread), size and agreement with PyTorch of every form of a model."""
    if images < 1 or repeats < 1:
        raise UsageError("images and repeats must be 1 or more")
    from pronas.deploy import is_packed

    if is_packed(model):
        _packed(model, repeats)
    else:
        _all_forms(model, images, repeats)


def _all_forms(path: Path, images: int, repeats: int) -> None:
    import numpy as np

    from pronas.deploy import find_model, measure
    from pronas.training import load_model

    model = load_model(find_model(path))
    pixels = np.random.default_rng(0).integers(0, 256, (images, *model.spec.input_shape), dtype=np.uint8)
    results = measure(model, pixels, repeats)
    first = results[0]
    typer.echo(f"{'':24}{'latency':>12}{'':>8}{'size':>14}{'':>8}{'same class':>12}{'logits differ by':>18}")
    for r in results:
        faster, smaller = first.microseconds / r.microseconds, first.size / r.size
        typer.echo(
            f"{r.name:24}{r.microseconds:>9.1f} us{faster:>7.1f}x{r.size:>12,} B{smaller:>7.1f}x"
            f"{r.agreement:>11.2%} {r.difference:>17.1e}"
        )


def _packed(path: Path, repeats: int) -> None:
    import numpy as np

    from pronas.deploy import interleaved, load_packed

    network = load_packed(path)
    pixels = np.random.default_rng(0).integers(0, 256, (1, *network.input_shape), dtype=np.uint8)
    latency = interleaved({"packed": network.logits}, pixels, repeats)["packed"]
    weights = sum(op.weights.size for op in network.graph.ops if op.weights is not None)
    typer.echo(f"{path}: {latency:.1f} us an image ({network.kernel}), {network.size:,} bytes for {weights:,} weights")
