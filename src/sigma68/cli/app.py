"""The verbs put together, and what becomes of an error: one sentence and an exit code."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import traceback
import warnings
from io import TextIOWrapper
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

from sigma68 import __version__
from sigma68.cli import (
    bias,
    challenge,
    compare,
    data,
    entry,
    fit,
    methods,
    run,
    score,
    serve,
    simulate,
    submit,
    tasks,
    toys,
    train,
    worker,
)
from sigma68.errors import Sigma68Error

__all__ = ["app", "main"]


class _Group(TyperGroup):
    """Turns whatever ends a command into one sentence and an exit code.

    2: the user's input, a missing package, the disk or the memory; 130: stopped by Ctrl-C (or
    asked to end); 0: the reader of a pipe went away.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # Python flushes stdout once more on its way out; give it somewhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except (KeyboardInterrupt, Sigma68Error, OSError, MemoryError) as error:
            sentence = _sentence(error)
            if sentence is None:
                raise
            if ctx.params.get("debug"):
                traceback.print_exc()
            typer.echo(f"sigma68: {sentence}", err=True)
            raise typer.Exit(130 if isinstance(error, KeyboardInterrupt) else 2) from None
        return result


def _sentence(error: BaseException) -> str | None:
    """What to tell the user; None for an error that is not theirs."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped; run the same command again to go on"
    if isinstance(error, MemoryError):
        why = f" ({error})" if str(error) else ""
        return f"there is not enough memory{why}: ask for less, or run on a larger machine"
    if isinstance(error, OSError):
        if error.errno not in _OF_THE_DISK:
            return None
        where = f" {error.filename}" if error.filename else ""
        return f"cannot write{where}: {_OF_THE_DISK[error.errno]}"
    return str(error)


_OF_THE_DISK = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "your disk quota is used up; free some space and run the same command again",
    errno.EACCES: "permission denied; choose a folder you may write to",
    errno.EROFS: "the file system is read-only; choose another folder",
}

app = typer.Typer(
    cls=_Group,
    # Plain help: the framed one costs 100 ms of imports.
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sigma68 {__version__}")
        raise typer.Exit


@app.callback()
def sigma68(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the full traceback of an error.")
    ] = False,
) -> None:
    """Measure with imperfect simulators, and say honestly how well you know the answer.

    A first run, on emulated collisions, which are made in a minute and then kept:

        sigma68 run counting --sets 10 --toys 100 --out first-run
    """


app.command("run")(run.run)
app.command("score")(score.score)
app.command("train")(train.train)
app.command("fit")(fit.fit)
app.command("compare")(compare.compare)
app.command("methods")(methods.methods)
app.command("tasks")(tasks.tasks)
app.command("bias")(bias.bias)
app.command("toys")(toys.toys)
app.command("simulate")(simulate.simulate)
app.command("serve")(serve.serve)
app.command("submit")(submit.submit)
app.command("worker")(worker.worker)
app.add_typer(data.app, name="data")
app.add_typer(entry.app, name="entry")
app.add_typer(challenge.app, name="challenge")


def main() -> None:
    """The console script."""
    _open_standard_streams()
    for wish in (signal.SIGTERM, signal.SIGHUP):
        # As Ctrl-C does it: what is half-written is cleaned up on the way out.
        if signal.getsignal(wish) is signal.SIG_DFL:
            signal.signal(wish, signal.default_int_handler)
    for word in sys.argv[1:]:
        if not _is_utf8(word):
            typer.echo(
                f"sigma68: {word!a} is not UTF-8: rename the file, or set a UTF-8 locale "
                "(LC_ALL=C.UTF-8)",
                err=True,
            )
            sys.exit(2)
    warnings.showwarning = _show_warning
    # What it says of the time stamps in fonts is no news to anybody.
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    app(prog_name="sigma68")


def _open_standard_streams() -> None:
    """Give the program a stdin, stdout and stderr that take whatever it says.

    Closed ones would have their numbers taken by the files that are opened next, and a terminal
    or a pipe that knows no ± would end the program.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _is_utf8(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning in one line, without the line of code that gave it."""
    print(f"warning: {message}", file=file or sys.stderr)
