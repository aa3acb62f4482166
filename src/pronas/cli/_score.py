"""``pronas score``: a run's controller scores every candidate of a level, also beyond the run's own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pronas.errors import UsageError


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder with a fitted controller.")],
    blocks: Annotated[
        int | None, typer.Option("--blocks", "-B", help="Blocks of the cells to score; one more than were trained.")
    ] = None,
    children: Annotated[
        str, typer.Option("--children", "-K", help="Cells of each level whose extensions are scored, or all.")
    ] = "256",
    top: Annotated[int, typer.Option(help="How many of the best to write.")] = 1000,
    every: Annotated[bool, typer.Option("--all", help="Write every candidate's score, in no order.")] = False,
    form: Annotated[str, typer.Option("--format", help="Of --all: csv, or parquet (needs pyarrow).")] = "csv",
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
) -> None:
    """Score every candidate of a level with the controller of a search, and write scores_B.csv, best first.

    Candidates are the cells that the search evaluated (or, beyond its last level, the best that were scored) with one
    more block; with --children all, every cell there is. Interrupted, the same command goes on where it stopped.
    """
    from pronas.runs import LevelScorer, Request

    if form not in ("csv", "parquet"):
        raise UsageError(f"--format {form}: it is csv or parquet")
    output = form if every else "top"
    scorer = LevelScorer(Request(run, blocks, _children(children), top, output, workers))  # type: ignore[arg-type]
    parents = None
    for level in scorer.levels():
        plan = scorer.plan(level, parents)
        estimate = scorer.estimate(level, plan)
        typer.echo(
            f"level {level}: {estimate.candidates:,} candidates ({estimate.parents:,} parents x {len(plan.blocks):,} "
            f"blocks), about {_time(estimate.seconds)}, {_size(estimate.bytes)}"
        )
        scorer.check_disk(estimate)
        best = scorer.score(level, plan, _progress)
        parents = best.rows[: scorer.request.children]
        if len(best.rows):
            cell = scorer.space.decode(best.rows[:1])[0]
            typer.echo(f"best of level {level}: {best.scores[0]:.4f}  {cell}")
    suffix = "parquet" if output == "parquet" else "csv"
    typer.echo(f"written: {run / f'scores_{scorer.blocks}.{suffix}'}")


def _children(text: str) -> int | None:
    if text == "all":
        return None
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"--children {text!r}: a number, or all") from None


def _progress(done: int, everything: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if done >= everything else ""
        print(f"\r{done:,} of {everything:,} ({100 * done / everything:.0f} %)", end=end, file=sys.stderr, flush=True)


def _time(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(1, round(seconds))} s"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.0f} PB"
