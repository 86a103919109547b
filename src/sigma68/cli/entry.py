"""`sigma68 entry`: check an entry before it is handed in, or begin a new one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sigma68.challenge.check import Finding

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Check a challenge entry, or begin a new one.",
)

_MARKS = {"ok": "ok      ", "warning": "warning ", "error": "ERROR   "}


@app.command("check")
def check(
    entry: Annotated[Path, typer.Argument(help="A folder or a zip with model.py.")],
    data: Annotated[
        str | None, typer.Option(help="Events to check it on; the task's own if left out.")
    ] = None,
    task: Annotated[str, typer.Option(help="The task it is for.")] = "higgs",
    toys: Annotated[int, typer.Option(help="How many pseudo-experiments to ask it.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of those pseudo-experiments.")] = 0,
    fit_seconds: Annotated[float, typer.Option(help="Time limit of fit, in s.")] = 3600.0,
    predict_seconds: Annotated[float, typer.Option(help="Time limit of one predict, in s.")] = 20.0,
    sandbox: Annotated[
        bool,
        typer.Option(
            "--sandbox/--trusted",
            help="Shut the entry in, as a challenge does (anybody's), or let it do what you may "
            "do (your own).",
        ),
    ] = False,
) -> None:
    """Say on a few toys whether an entry will run.

    Each line is a finding: ok, a warning, or an error that says what to do. Exit code 0 if the
    entry will run, 2 if not. For example:

        sigma68 entry check my-entry --task gaussian

        sigma68 entry check entry.zip --data events.parquet --toys 10

        sigma68 entry check entry.zip --sandbox
    """
    from sigma68.challenge.check import check_entry
    from sigma68.cli.console import plain_steps
    from sigma68.discover import load_task

    findings = check_entry(
        entry,
        load_task(task),
        data=data,
        toys=toys,
        seed=seed,
        fit_seconds=fit_seconds,
        predict_seconds=predict_seconds,
        sandbox=sandbox,
        report=_show,
        progress=plain_steps("preparing"),
    )
    errors = sum(finding.level == "error" for finding in findings)
    if errors:
        typer.echo(f"\n{entry} will not run: {errors} error{'s' * (errors > 1)} above.")
        raise typer.Exit(2)
    typer.echo(f"\n{entry} will run.")


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="What to call it: the name of its folder.")],
    out: Annotated[Path, typer.Option(help="Where to put that folder.")] = Path(),
) -> None:
    """Write a working entry to start from.

    It is a folder with model.py and README.md. For example:

        sigma68 entry new my-entry

        sigma68 entry new my-entry --out entries
    """
    from sigma68.challenge.new import new_entry

    folder = new_entry(name, out)
    typer.echo(f"{folder} is a working entry. Check it:\n")
    typer.echo(f"    sigma68 entry check {folder} --task gaussian")


def _show(finding: Finding) -> None:
    """One finding per line, as soon as it is made."""
    first, *rest = finding.words.splitlines()
    typer.echo(f"{_MARKS[finding.level]} {finding.what:<11} {first}")
    for line in rest:
        typer.echo(f"{'':21}{line}")
