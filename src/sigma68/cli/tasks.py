"""`sigma68 tasks`: which tasks there are."""

from __future__ import annotations


def tasks() -> None:
    """List the tasks, with what each says of itself.

    A task is a folder in sigma68/tasks/, or comes with another package. For example:

        sigma68 tasks
    """
    from sigma68.cli.console import print_table
    from sigma68.discover import summaries

    print_table(("task", "what is measured"), list(summaries("tasks").items()))
