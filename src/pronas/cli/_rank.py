"""``pronas rank``: scores as a plot and a table."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pronas.errors import UsageError

_SHOWN_PROBLEMS = 20

Files = Annotated[
    list[str] | None,
    typer.Option("-f", "--file", metavar="FILE ...", help="Score files or globs (quoted or not)."),
]
More = Annotated[list[str] | None, typer.Argument(metavar="[FILE|RUN]...", help="More score files, or run folders.")]


def command(
    more: More = None,
    file: Files = None,
    sort: Annotated[bool, typer.Option("--sort", "-sort", help="Sort by score, best first.")] = False,
    save: Annotated[Path | None, typer.Option(help="Write the plot to FILE (png, svg, pdf), open no window.")] = None,
    top: Annotated[int, typer.Option(min=0, help="How many of the best cells to list.")] = 10,
) -> None:
    """Plot scores of cells, coloured by score, and list the best.

    Reads the files a search writes (train_history.csv, scores_B.csv), those of older systems, and run folders. The
    training history comes first, the rest by name.
    """
    from pronas.report import find_files, has_display, rank_files, read_scores, save_ranking, show_ranking

    # `-f a b c`: what follows the first name arrives as arguments
    files = [read_scores(path) for path in find_files([*(file or []), *(more or [])])]
    for score_file in files:
        _complain(score_file.malformed)
    ranking = rank_files(files, sort)
    _table(ranking, top)
    target = save if save is not None or has_display() else Path("rank.png")
    if target is None:
        show_ranking(ranking)
        return
    if target.is_dir():
        raise UsageError(f"--save {str(target)!r} is a folder; name a file, such as rank.png")
    save_ranking(ranking, target)
    typer.echo(f"plot written to {target}" + ("" if save else " (no display)"))


def _complain(malformed) -> None:  # type: ignore[no-untyped-def]
    for problem in malformed[:_SHOWN_PROBLEMS]:
        print(problem, file=sys.stderr)
    if len(malformed) > _SHOWN_PROBLEMS:
        print(f"{malformed[0].file}: {len(malformed) - _SHOWN_PROBLEMS} more malformed lines", file=sys.stderr)


def _table(ranking, top: int) -> None:  # type: ignore[no-untyped-def]
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    several = len(ranking.files) > 1
    table = Table(title=f"best of {len(ranking.scores):,} cells", title_justify="left")
    for name in ("#", "score", *(["file"] if several else []), "cell"):
        table.add_column(name, justify="right" if name in ("#", "score") else "left", overflow="fold")
    for place, index in enumerate(ranking.best(top), 1):
        source = [Text(ranking.files[ranking.file[index]].path.name)] if several else []
        table.add_row(str(place), f"{ranking.scores[index]:.4f}", *source, Text(ranking.cell(index)))
    if top:
        Console().print(table)
