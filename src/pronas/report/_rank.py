"""The ranking plot: every score in order, coloured by score; density where there are too many points to tell apart."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pronas.errors import DataError, UsageError
from pronas.files import write_atomic
from pronas.report._draw import picture_of
from pronas.report._scores import ScoreFile, cell_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: From here on single points are no longer drawn (a window of them would freeze) but their density.
DENSE = 20_000


@dataclass(frozen=True)
class Ranking:
    """All scores of some files in the order in which they are shown.

        >>> import tempfile
        >>> from pronas.report import read_scores
        >>> path = Path(tempfile.mkdtemp()) / "scores_1.csv"
        >>> _ = path.write_text("0.9,0,3x3 conv,0,identity")
        >>> rank_files([read_scores(path)]).scores.tolist()
        [0.9]

    Attributes:
        files: where they are from.
        scores: (n,) float64.
        file: (n,) index into ``files``.
        row: (n,) index into that file's rows.
    """

    files: Sequence[ScoreFile]
    scores: npt.NDArray[np.float64]
    file: npt.NDArray[np.intp]
    row: npt.NDArray[np.intp]

    def cell(self, index: int) -> str:
        """Text form of the cell at a place."""
        return cell_text(self.files[self.file[index]].cells[self.row[index]])

    def best(self, count: int) -> list[int]:
        """Places of the highest scores, best first; ties keep their order."""
        count = min(count, len(self.scores))
        if count <= 0:
            return []
        top = np.argpartition(-self.scores, count - 1)[:count]
        worst = self.scores[top].min()
        top = np.flatnonzero(self.scores >= worst)  # all that tie with the last one, so that the order decides
        return [int(i) for i in top[np.argsort(-self.scores[top], kind="stable")][:count]]


def rank_files(files: Sequence[ScoreFile], sort: bool = False) -> Ranking:
    """Put the files' scores one after the other; with ``sort`` each file's best first.

        >>> import tempfile
        >>> from pronas.report import read_scores
        >>> path = Path(tempfile.mkdtemp()) / "scores_1.csv"
        >>> _ = path.write_text("0.9,0,3x3 conv,0,identity")
        >>> ranking = rank_files([read_scores(path)])
        >>> ranking.cell(0), ranking.best(1)
        ('0:3x3 conv + 0:identity', [0])

    Args:
        files: from `read_scores`.
        sort: each file's best first; else in its own order.

    Returns:
        Scores float64 (n,) of all files, each with its file and row.

    Raises:
        DataError: no file has a readable line.
    """
    orders = [np.argsort(-f.scores, kind="stable") if sort else np.arange(len(f.scores)) for f in files]
    if not any(map(len, orders)):
        raise DataError(f"no readable line in {', '.join(str(f.path) for f in files)}")
    return Ranking(
        files,
        np.concatenate([f.scores[order] for f, order in zip(files, orders, strict=True)]),
        np.concatenate([np.full(len(order), i, np.intp) for i, order in enumerate(orders)]),
        np.concatenate(orders),
    )


def draw_ranking(figure: Figure, ranking: Ranking) -> Any:
    """Draw the plot on a figure; returns the scatter artist, or None where density is drawn."""
    axes = figure.add_subplot()
    points = np.arange(len(ranking.scores))
    artist = None
    if len(points) > DENSE:
        size = (min(220, len(points) // 50), 90)
        shown: Any = axes.hexbin(
            points, ranking.scores, gridsize=size, bins="log", mincnt=1, cmap="viridis", linewidths=0.1
        )
        label = "cells in a hexagon"
    else:
        shown = artist = axes.scatter(points, ranking.scores, c=ranking.scores, s=22, cmap="viridis", linewidths=0)
        label = "score"
    figure.colorbar(shown, ax=axes, label=label, pad=0.02)
    _mark_files(axes, ranking)
    axes.set(xlabel="cell", ylabel="score")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    axes.set_title(f"{len(points):,} cells", loc="left")
    axes.xaxis.set_major_formatter(lambda value, _place: f"{value:,.0f}")
    return artist


def _mark_files(axes: Any, ranking: Ranking) -> None:
    start = 0
    for index, file in enumerate(ranking.files):
        if index:
            axes.axvline(start - 0.5, color="0.5", linewidth=0.8, linestyle=":")
        if len(ranking.files) > 1:
            axes.annotate(
                file.path.name.replace("$", r"\$"), (start, 1), xycoords=("data", "axes fraction"), fontsize=8,
                rotation=0, xytext=(3, -9), textcoords="offset points", color="0.35",
            )  # fmt: skip
        start += len(file.scores)


def save_ranking(ranking: Ranking, path: Path) -> None:
    """Write the plot to a file of the kind its ending says (png, svg, pdf, jpg).

        >>> import tempfile
        >>> from pronas.report import read_scores
        >>> path = Path(tempfile.mkdtemp()) / "scores_1.csv"
        >>> _ = path.write_text("0.9,0,3x3 conv,0,identity")
        >>> picture = path.with_suffix(".svg")
        >>> save_ranking(rank_files([read_scores(path)]), picture)
        >>> picture.stat().st_size > 1000
        True

    Args:
        ranking: from `rank_files`.
        path: the picture.

    Raises:
        UsageError: an ending that cannot be written.
        OSError: it cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5.6), dpi=140, layout="constrained")
    known = sorted(set(figure.canvas.get_supported_filetypes()) - {"pgf"})  # which needs LaTeX
    if path.suffix[1:].lower() not in known:
        raise UsageError(f"cannot write {path.name!r}: the ending should be one of {', '.join(known)}")
    draw_ranking(figure, ranking)
    write_atomic(path, picture_of(figure, path.suffix[1:].lower()))


def show_ranking(ranking: Ranking) -> None:
    """Open a window with the plot, until it is closed; pointing at a cell names it where mplcursors is installed.

    Args:
        ranking: from `rank_files`.
    """
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(10, 5.6), layout="constrained")
    artist = draw_ranking(figure, ranking)
    cursor = add_hover(artist, ranking)
    plt.show()
    del cursor  # kept until the window closes: mplcursors holds no strong reference


def add_hover(artist: Any, ranking: Ranking) -> Any:
    """Show a cell's text at the point under the mouse; without mplcursors says so and returns None."""
    if artist is None:
        print(f"more than {DENSE:,} cells: density is shown, and no cell under the mouse", file=sys.stderr)
        return None
    try:
        import mplcursors
    except ImportError:
        print("pip install 'pronas[plot]' brings mplcursors, which shows the cell under the mouse", file=sys.stderr)
        return None
    cursor = mplcursors.cursor(artist, hover=True)

    @cursor.connect("add")  # type: ignore[untyped-decorator]
    def _annotate(selection: Any) -> None:
        index = int(selection.index)
        text = f"{ranking.scores[index]:.4f}\n" + ranking.cell(index).replace(" | ", "\n")
        selection.annotation.set_text(text.replace("$", r"\$"))

    return cursor


def has_display() -> bool:
    """Whether matplotlib can open a window here.

        >>> has_display() in (True, False)
        True

    Returns:
        False without a screen, or where matplotlib has no way to one.
    """
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    import matplotlib.pyplot as plt
    from matplotlib.backends.registry import BackendFilter, backend_registry

    builtin: list[str] = backend_registry.list_builtin(BackendFilter.INTERACTIVE)  # type: ignore[no-untyped-call]
    interactive = {name.lower() for name in builtin}
    return plt.get_backend().lower() in interactive
