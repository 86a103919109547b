"""`sigma68 submit`: hand in an entry to a challenge's server, and watch it until its score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sigma68.errors import EntryError, SubmitError

if TYPE_CHECKING:
    from sigma68.challenge.web.client import Client


def submit(
    entry: Annotated[
        Path, typer.Argument(metavar="ZIP", help="The zip to hand in: an entry, or results.")
    ],
    to: Annotated[
        str, typer.Option(metavar="URL", help="The challenge's address: https://host/c/name")
    ],
    token_file: Annotated[
        Path | None,
        typer.Option(help="A file with your token; if left out, the variable SIGMA68_TOKEN."),
    ] = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Hand it in though this very zip is being judged already."),
    ] = False,
) -> None:
    """Hand in an entry, or results, and watch it until its score.

    Stopped and given again, the command goes on watching; nothing is handed in twice. For example:

        export SIGMA68_TOKEN=...  # from the page of your account

        sigma68 submit my-entry.zip --to https://challenge.example/c/higgs-uncertainty
    """
    from sigma68.challenge.web.client import Challenge, Client, Note, read_token
    from sigma68.cli.console import say, steps, warn

    challenge = Challenge.at(to)
    note = Note.of(challenge, entry)
    with Client(challenge, read_token(token_file), say=warn) as client:
        number = None if again else _begun(client, note, entry)
        if number is not None:
            say(f"submission {number} of this zip goes on")
        else:
            with steps("uploading") as bar:
                found = client.hand_in(entry, lambda done, total: bar("", done / max(total, 1)))
            number = int(found["id"])
            say(f"submission {number}: {found['address']}")
        note.write(number)
        with steps("judging") as bar:
            found = client.watch(number, lambda one: bar(_stage(one), _fraction(one)))
    note.cross_out()
    _tell(found)


def _begun(client: Client, note: Any, entry: Path) -> int | None:
    """A submission of this zip whose score nobody has been told yet."""
    number: int | None = note.number()
    if number is not None and client.is_known(number):
        return number
    return client.unfinished(entry)


def _stage(found: dict[str, Any]) -> str:
    if found["status"] == "queued":
        return f"in the queue, behind {found['ahead']}" if found["ahead"] else "in the queue"
    if found["status"] == "running" and found["total"]:
        return f"{found['done']} of {found['total']} pseudo-experiments"
    return str(found["status"])


def _fraction(found: dict[str, Any]) -> float:
    return float(found["done"] / found["total"]) if found["total"] else 0.0


def _tell(found: dict[str, Any]) -> None:
    """What came out: the score, or the sentence that says why there is none."""
    from sigma68.cli.console import print_table, say, warn

    if found["status"] == "failed":
        raise EntryError(found["reason"] or "it could not be judged")
    if found["status"] == "cancelled":
        raise SubmitError(f"an organiser cancelled it: {found['reason'] or 'no reason was given'}")
    result = found["result"]
    if result is None:
        say(f"It has been judged. {found['hidden'] or ''}".rstrip())
        say(found["address"])
        return
    low, high = result["score_low"], result["score_high"]
    between = f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else ""
    score = "none" if result["score"] is None else f"{result['score']:.3f}{between}"
    rows = [["score", score]]
    if result["width"] is not None and result["coverage"] is not None:
        rows += [["mean width", f"{result['width']:.4f}"]]
        rows += [["coverage", f"{result['coverage']:.1%}"]]
    if result["cpu_seconds"]:  # results cost none here
        rows += [["CPU time", f"{result['cpu_seconds']:.3g} s"]]
    if result["n_failed"]:
        rows += [["no valid answer", f"{result['n_failed']} of {result['n_toys']}"]]
    print_table(["", ""], rows)
    for flag in result["flags"]:
        warn(f"flagged: {flag.replace('_', ' ')}")
    if not result["ranked"]:
        warn("too many toys got no valid answer: it is not ranked")
    say(found["address"])
