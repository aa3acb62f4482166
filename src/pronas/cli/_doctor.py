"""``pronas doctor``: is everything here that a search needs, and does it work?"""

from typing import Annotated

import typer


def command(
    test: Annotated[bool, typer.Option("--test/--no-test", help="Search and export for some five seconds.")] = True,
) -> None:
    """Say what is installed and what it runs on, and try a tiny search. Exit code 1, and a line for each problem.

    Versions, compiled libraries found and used, cores, GPUs, the cache; send this along when you report a fault.
    """
    from pronas.cli.checks import CHECKS

    problems = []
    for name, check in CHECKS.items():
        if name == "self-test" and not test:
            continue
        facts, found = check()
        problems += found
        for what, text in facts:
            typer.echo(f"{what + ':':<11} {text}")
    for problem in problems:
        typer.echo(f"problem: {problem}")
    typer.echo("all is well" if not problems else f"{len(problems)} problem{'s' * (len(problems) > 1)}")
    if problems:
        raise typer.Exit(1)
