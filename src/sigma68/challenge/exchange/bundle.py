"""What a competition bundle of Codabench (version 2) says, as plain data.

A bundle is a zip of `competition.yaml` and the files that it names: pages, a logo, and per task
an ingestion program, a scoring program and their data. Here a file or folder of the bundle is
its path relative to `competition.yaml`, with forward slashes. Times are aware and in UTC.

The names of fields are those of competition.yaml, and so are the defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = [
    "BundleChallenge",
    "BundleColumn",
    "BundleLeaderboard",
    "BundlePage",
    "BundlePhase",
    "BundleSolution",
    "BundleTask",
]


@dataclass(frozen=True)
class BundlePage:
    """A page: its text is Markdown, or HTML where the file's name says so; never run, never cleaned."""

    title: str
    file: str
    content: str

    @property
    def is_html(self) -> bool:
        """Whether the text is HTML."""
        return self.file.lower().endswith((".html", ".htm"))


@dataclass(frozen=True)
class BundlePhase:
    """A phase; `end` is None for one that never ends, `tasks` are indexes of tasks.

    `execution_time_limit` is in seconds, for everything that is done with one submission.
    """

    index: int
    name: str
    start: datetime
    end: datetime | None
    tasks: tuple[int, ...]
    description: str = ""
    max_submissions: int | None = 100
    max_submissions_per_day: int | None = 5
    execution_time_limit: int = 600
    auto_migrate_to_this_phase: bool = False
    hide_output: bool = False
    hide_prediction_output: bool = False
    hide_score_output: bool = False
    accepts_only_result_submissions: bool = False
    starting_kit: str | None = None
    public_data: str | None = None


@dataclass(frozen=True)
class BundleTask:
    """What submissions of a phase do: four files or folders (each may be a zip) and their names."""

    index: int
    name: str
    scoring_program: str
    description: str = ""
    ingestion_program: str | None = None
    input_data: str | None = None
    reference_data: str | None = None
    ingestion_only_during_scoring: bool = False


@dataclass(frozen=True)
class BundleSolution:
    """A submission that comes with the bundle, for the tasks of these indexes."""

    index: int
    path: str
    tasks: tuple[int, ...]
    name: str = ""
    description: str = ""


@dataclass(frozen=True)
class BundleColumn:
    """A column of the leaderboard; `key` is what scores.json calls it, "desc" ranks the largest first."""

    index: int
    title: str
    key: str
    sorting: str = "desc"
    precision: int = 2
    hidden: bool = False
    computation: str | None = None
    computation_indexes: tuple[int, ...] = ()


@dataclass(frozen=True)
class BundleLeaderboard:
    """A leaderboard; the column of index `primary_index` ranks."""

    title: str
    key: str
    columns: tuple[BundleColumn, ...]
    submission_rule: str = "Add"
    hidden: bool = False
    primary_index: int = 0


@dataclass(frozen=True)
class BundleChallenge:
    """All that competition.yaml says, with the texts of its pages.

    `fact_sheet` maps keys of questions to what is asked, in Codabench's own words.
    """

    title: str
    phases: tuple[BundlePhase, ...]
    tasks: tuple[BundleTask, ...]
    description: str = ""
    image: str | None = None
    terms: BundlePage | None = None
    pages: tuple[BundlePage, ...] = ()
    solutions: tuple[BundleSolution, ...] = ()
    leaderboards: tuple[BundleLeaderboard, ...] = ()
    docker_image: str = "codalab/codalab-legacy:py37"
    registration_auto_approve: bool = False
    enable_detailed_results: bool = False
    show_detailed_results_in_submission_panel: bool = True
    show_detailed_results_in_leaderboard: bool = True
    make_programs_available: bool = False
    make_input_data_available: bool = False
    auto_run_submissions: bool = True
    can_participants_make_submissions_public: bool = True
    forum_enabled: bool = True
    competition_type: str = "competition"
    contact_email: str = ""
    reward: str = ""
    fact_sheet: Mapping[str, Any] = field(default_factory=dict)

    def task(self, index: int) -> BundleTask:
        """The task of that index.

        Raises
        ------
        KeyError
            If there is none.
        """
        return {task.index: task for task in self.tasks}[index]
