"""`sigma68 data validate`: simulated events against tables of yields and real events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sigma68.tasks.higgs.validation.result import Validation


def validate(
    source: Annotated[
        Path, typer.Argument(metavar="PATH", help="Simulated events: Parquet file, or its folder.")
    ],
    against: Annotated[Path, typer.Option(help="Real events: Parquet file, or its folder.")],
    out: Annotated[Path, typer.Option(help="Folder for validation.json, index.html and figures.")],
    yields: Annotated[
        Path | None,
        typer.Option(help="JSON or CSV file of expected yields; the published ones if left out."),
    ] = None,
    parts: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated: yields, distributions, response, correlations, classifier; all if left out."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of samples and resamples.")] = 0,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with exit code 1 if a comparison fails.")
    ] = False,
) -> None:
    """Compare simulated events with tables of yields and with real events.

    Compares yields, distributions of all columns, responses to tes, jes and soft_met,
    correlations, and how well a classifier tells simulated from real. The files are streamed:
    memory grows by some 20 bytes a row. For example:

        sigma68 data validate pool.parquet --against real.parquet --out validation
    """
    from sigma68.cli.console import say, steps
    from sigma68.files import make_folder
    from sigma68.report.validation import write_validation_report
    from sigma68.tasks.higgs.validation.result import PARTS, write_validation
    from sigma68.tasks.higgs.validation.tables import read_table
    from sigma68.tasks.higgs.validation.validate import validate as compare
    from sigma68.tasks.higgs.validation.verdict import passes

    table = None if yields is None else read_table(yields)
    chosen = PARTS if parts is None else tuple(part.strip() for part in parts.split(","))
    make_folder(out)
    with steps("validating") as progress:
        result = compare(
            source,
            against,
            table,
            parts=chosen,
            seed=seed,
            progress=lambda what, fraction: progress(what, 0.8 * fraction),
        )
        path = write_validation(result, out)
        page = write_validation_report(
            result, out, progress=lambda what, fraction: progress(what, 0.8 + 0.2 * fraction)
        )
    _print(result)
    say(f"all numbers: {path}")
    say(f"report: {page}")
    if strict and not passes(result):
        raise typer.Exit(1)


def _print(result: Validation) -> None:
    from sigma68.cli.console import print_table, say
    from sigma68.tasks.higgs.validation.hypotheses import in_words
    from sigma68.tasks.higgs.validation.verdict import findings

    if result.yields:
        print_table(
            ("process", "region", "expected", "simulated", "ratio", "tolerance", ""),
            [
                (
                    test.process,
                    test.region,
                    f"{test.expected:,.1f}",
                    f"{test.tested:,.1f}",
                    f"{test.ratio:.3f} ± {test.error:.3f}",
                    f"{test.tolerance:.0%}",
                    {"none": "not simulated", "small": "not judged"}.get(
                        test.verdict, test.verdict
                    ),
                )
                for test in result.yields
            ],
            title=f"Yields at 10 fb^-1 against the {result.table.name}",
        )
    print_table(
        ("process", "region", "rows", "effective", "effective / rows", "effective / expected"),
        [
            (
                cell.process,
                cell.region,
                f"{cell.rows:,}",
                f"{cell.effective:,.0f}",
                f"{cell.efficiency:.2f}",
                f"{cell.per_expected:.2f}",
            )
            for cell in result.numbers
        ],
        title="Simulated events, hard events counted once",
    )
    if result.distributions:
        made = [test for test in result.distributions if test.p_value is not None]
        made.sort(key=lambda test: test.p_value or 0.0)
        print_table(
            ("group", "column", "", "difference", "p", "corrected", "could have seen"),
            [
                (
                    test.group,
                    test.column,
                    test.kind,
                    f"{test.difference:.3f}",
                    in_words(test.p_value or 0.0),
                    in_words(test.corrected or 0.0),
                    f"{test.detectable:.3f}",
                )
                for test in made[:_SHOWN]
            ],
            title=f"Distributions against the real events: the {min(_SHOWN, len(made))} least alike of {len(made)}",
        )
    if result.responses:
        tested = [test for test in result.responses if test.pull is not None]
        tested.sort(key=lambda test: -abs(test.pull or 0.0))
        print_table(
            ("process", "region", "shift", "simulated", "real", "pull"),
            [
                (
                    test.process,
                    test.region,
                    test.shift,
                    f"{test.tested:+.2%} ± {test.tested_error:.2%}",
                    f"{test.reference:+.2%} ± {test.reference_error:.2%}",
                    f"{test.pull:+.1f}",
                )
                for test in tested[:_SHOWN]
            ],
            title=f"Responses of yields: the {min(_SHOWN, len(tested))} least alike of {len(tested)}",
        )
    for finding in findings(result):
        say(f"{'passes' if finding.passed else 'MISSES'}  {finding.part}: {finding.headline}")
        for detail in finding.details:
            say(f"        {detail}")


_SHOWN = 12
