"""`sigma68 data validate`: simulated events against real ones, emulated against simulated ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from sigma68.tasks.higgs.validation.result import Validation

Kind = Literal["simulation", "emulator"]


def validate(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="Simulated or emulated events: Parquet file, or its folder."
        ),
    ],
    against: Annotated[
        Path,
        typer.Option(
            help="Real events, or simulated ones that the emulator was not trained on: Parquet file, "
            "or its folder."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for validation.json, index.html and figures.")],
    kind: Annotated[
        Kind | None,
        typer.Option(
            "--for",
            help="What is judged, and by which limits; if left out, the history of PATH says it.",
        ),
    ] = None,
    training: Annotated[
        Path | None,
        typer.Option(
            help="Simulated events that the emulator was trained on: Parquet file, or its folder."
        ),
    ] = None,
    yields: Annotated[
        Path | None,
        typer.Option(
            help="Expected yields: JSON or CSV file, or a Parquet file of events whose yields and "
            "responses are expected. If left out, the published yields for a simulation, those of "
            "--against for an emulator."
        ),
    ] = None,
    split_seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Says that --against is the whole simulation, of which the emulator was trained on "
            "every role but 'final' of this split.",
        ),
    ] = None,
    parts: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated: yields, distributions, response, correlations, classifier; for an "
            "emulator also separation, neighbours; all if left out."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of samples and resamples.")] = 0,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with exit code 1 if a comparison fails.")
    ] = False,
) -> None:
    """Compare simulated events with real ones, or emulated events with simulated ones.

    Compares yields, distributions of all columns, responses to tes, jes and soft_met,
    correlations, and how well a classifier tells the two apart; for an emulator also whether
    signal and background separate alike, and whether it repeats the events it was trained on. The
    files are streamed: memory grows by some 20 bytes a row. For example:

        sigma68 data validate pool.parquet --against real.parquet --out validation

        sigma68 data validate emulated.parquet --against pool.parquet --split-seed 0 --out emulated
    """
    from sigma68.cli.console import say, steps
    from sigma68.files import make_folder
    from sigma68.report.validation import write_validation_report
    from sigma68.tasks.higgs.validation.judgement import JUDGEMENTS
    from sigma68.tasks.higgs.validation.result import write_validation
    from sigma68.tasks.higgs.validation.tables import read_table
    from sigma68.tasks.higgs.validation.validate import validate as compare
    from sigma68.tasks.higgs.validation.verdict import passes

    whole = yields if yields is not None and _holds_events(yields) else None
    table = None if yields is None or whole is not None else read_table(yields)
    make_folder(out)
    with steps("validating") as progress:
        result = compare(
            source,
            against,
            table,
            judgement=None if kind is None else JUDGEMENTS[kind],
            training=training,
            whole=whole,
            split_seed=split_seed,
            parts=None if parts is None else tuple(part.strip() for part in parts.split(",")),
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


def _holds_events(path: Path) -> bool:
    return path.is_dir() or path.suffix.lower() == ".parquet"


def _print(result: Validation) -> None:
    from sigma68.cli.console import print_table, say
    from sigma68.tasks.higgs.validation.hypotheses import in_words
    from sigma68.tasks.higgs.validation.verdict import findings

    names = result.judgement.tested, result.judgement.reference
    if result.yields:
        print_table(
            ("process", "region", "expected", names[0], "ratio", "tolerance", ""),
            [
                (
                    test.process,
                    test.region,
                    f"{test.expected:,.1f}",
                    f"{test.tested:,.1f}",
                    f"{test.ratio:.3f} ± {test.error:.3f}",
                    f"{test.tolerance:.0%}",
                    {"none": f"not {names[0]}", "small": "not judged", "unsure": "not judged"}.get(
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
        title=f"{names[0].title()} events, hard events counted once",
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
                    f"{test.difference:.3g}",
                    in_words(test.p_value or 0.0),
                    in_words(test.corrected or 0.0),
                    f"{test.detectable:.3g}",
                )
                for test in made[:_SHOWN]
            ],
            title=f"Distributions against the {names[1]} events: the {min(_SHOWN, len(made))} least alike of {len(made)}",
        )
    if result.responses:
        tested = [test for test in result.responses if test.pull is not None]
        tested.sort(key=lambda test: -abs(test.pull or 0.0))
        print_table(
            ("process", "region", "shift", *names, "difference", "pull", ""),
            [
                (
                    test.process,
                    test.region,
                    test.shift,
                    f"{test.tested:+.2%} ± {test.tested_error:.2%}",
                    f"{test.reference:+.2%} ± {test.reference_error:.2%}",
                    f"{test.difference:+.2%}",
                    f"{test.pull:+.1f}",
                    {"small": "not judged", "unsure": "not judged"}.get(test.verdict, test.verdict),
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
