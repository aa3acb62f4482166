"""``pronas show``: the best cells of a run, and how to load them."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pronas.cli._words import next_commands

if TYPE_CHECKING:
    from pronas.runs import Child, Experiment


def command(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    top: Annotated[int, typer.Option("--top", "-n", min=1, help="How many cells.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the best cells of a run, as text to copy, and how to load them. Works while the search runs."""
    from pronas.runs import Experiment

    experiment = Experiment(run)
    if as_json:
        typer.echo(json.dumps(_facts(experiment, top), indent=2, ensure_ascii=False))
    else:
        typer.echo(_text(experiment, top))


def _facts(experiment: Experiment, top: int) -> dict[str, Any]:
    children, final = experiment.children(), experiment.final
    return {
        "path": str(experiment.path),
        "state": experiment.state,
        "data": experiment.config.data.name,
        "children": len(children),
        "done": sum(child.status == "done" for child in children),
        "failed": sum(child.status == "failed" for child in children),
        "test_accuracy": experiment.test_accuracy,
        "final": {name: value for name, value in final.items() if name not in ("curves", "confusion")}
        if final
        else None,
        "comparison": asdict(experiment.comparison) if experiment.comparison else None,
        "best": [_child(child) for child in experiment.ranked()[:top]],
    }


def _child(child: Child) -> dict[str, Any]:
    names = ("id", "level", "reward", "predicted", "parameters", "macs", "binary_macs", "weight_bits", "latency_us")
    return {**{name: getattr(child, name) for name in names}, "cell": str(child.cell)}


def _text(experiment: Experiment, top: int) -> str:
    facts = _facts(experiment, top)
    trained = f"{facts['done']} of {facts['children']} children trained"
    failed = f", {facts['failed']} failed" if facts["failed"] else ""
    lines = [f"{facts['path']}: {facts['data']}, {facts['state']}, {trained}{failed}"]
    if facts["test_accuracy"] is not None:
        final = facts["final"]
        size = f"{final['parameters']:,} parameters, {final['weight_bits'] / 8000:,.1f} kB of weights"
        lines.append(f"winner: test accuracy {100 * facts['test_accuracy']:.2f} % ({size})")
        if final.get("flash") is not None:
            lines.append(f"its C, for the limits: {final['flash']:,} bytes of flash, {final['ram']:,} of RAM")
        lines += _grown(final)
    lines += _compared(experiment)
    lines += ["", *_table(facts["best"]), "", *_how(experiment, facts)]
    return "\n".join(lines)


def _grown(final: dict[str, Any]) -> list[str]:
    """What the winner and its child know of the validation images, where the winner learnt from them."""
    child, winner = final.get("trial_accuracy"), final.get("learnt_accuracy")
    if child is None or winner is None:
        return []
    kept = ": the child's weights are kept" if final.get("kept") == "child" else ""
    return [f"its child: {child:.2%} of the validation images, unseen; the winner: {winner:.2%}, learnt{kept}"]


def _compared(experiment: Experiment) -> list[str]:
    """The hand-made networks, if some were trained."""
    found = experiment.comparison
    if found is None:
        return []
    best = found.best
    size = f"{best['parameters']:,} parameters, {best['seconds']:.0f} s"
    return [f"best hand-made: {best['name']}, test accuracy {100 * best['test_accuracy']:.2f} % ({size})", found.text]


def _table(best: list[dict[str, Any]]) -> list[str]:
    if not best:
        return ["no child is trained yet"]
    rows = [("rank", "reward", "blocks", "parameters", "cell")]
    for rank, child in enumerate(best, start=1):
        blocks = child["cell"].count("|") + 1
        rows.append((str(rank), f"{child['reward']:.4f}", str(blocks), f"{child['parameters'] or 0:,}", child["cell"]))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return ["  ".join([*(row[column].rjust(widths[column]) for column in range(4)), row[4]]) for row in rows]


def _how(experiment: Experiment, facts: dict[str, Any]) -> list[str]:
    path = experiment.path
    if facts["state"] != "done":
        return [f"go on with it:  pronas search --resume {shlex.quote(str(path))}"]
    trained = bool(facts["final"])
    lines = next_commands(path, trained=trained, compared=bool(facts["comparison"]))
    return [*lines, *([f"in Python: pronas.Experiment({str(path)!r}).load()"] if trained else [])]
