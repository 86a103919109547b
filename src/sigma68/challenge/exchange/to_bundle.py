"""A challenge of ours as a bundle that Codabench takes.

Each phase becomes a task with programs of its own: the ingestion program has the submission
answer the phase's toys inside the competition's container, the scoring program writes scores.json
and detailed_results.html. The container's image must have sigma68 installed.
"""

from __future__ import annotations

import math
import secrets
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from sigma68.challenge.exchange.bundle import (
    BundleChallenge,
    BundleColumn,
    BundleLeaderboard,
    BundlePage,
    BundlePhase,
    BundleTask,
)
from sigma68.challenge.exchange.bundle_read import picture_kind
from sigma68.challenge.exchange.bundle_write import write_bundle
from sigma68.challenge.exchange.logo import draw_logo
from sigma68.challenge.exchange.phase_settings import SEED, SETTINGS, PhaseSettings
from sigma68.challenge.store.tables import Challenge, Phase
from sigma68.errors import ExchangeError
from sigma68.files import explained, make_folder

if TYPE_CHECKING:
    from sigma68.challenge.store.stores import Store

__all__ = ["QUESTIONS", "export_bundle"]

_MARGIN_SECONDS: Final = 600
_PRIVATE: Final = 0o600
_LONGEST_SECONDS: Final = 2**31 - 1
_TERMS: Final = (
    "Entries are run by the organisers, on pseudo-experiments whose truth is theirs alone. What "
    "you hand in stays yours; its fact sheet says under which licence others may use it.\n"
)
_COLUMNS: Final = (
    ("Quantiles score", "quantiles_score", "desc", 3),
    ("Mean width", "interval", "asc", 4),
    ("Coverage", "coverage", "desc", 4),
    ("RMSE", "rmse", "asc", 4),
    ("MAE", "mae", "asc", 4),
    ("Failed toys", "n_failed", "asc", 0),
    ("Time (min)", "ingestion_duration", "asc", 2),
)
QUESTIONS: Final = {
    "method": "How does your method work?",
    "code_url": "Where is its code?",
    "licence": "Under which licence?",
}
"""The fact sheet: what is asked of each submission, by the names of our columns."""


def export_bundle(
    store: Store,
    slug: str,
    out: Path,
    *,
    image: str | None = None,
    source: str | None = None,
) -> Path:
    """Write the challenge `slug` as the bundle `out`.

    Nothing secret of this server goes along. A final gets a new seed, which the bundle holds: who
    has it knows the toys.

    Parameters
    ----------
    image:
        The container's image, with sigma68 in it; that of the bundle the challenge came from if
        left out.
    source:
        Where the events are in the container, if not where the challenge has them.

    Raises
    ------
    ExchangeError
        If there is no such challenge or it takes results, Codabench would refuse it, its events are a file that a
        container has not got, or no image is named.
    OutputError
        If the bundle cannot be written.
    """
    with (
        store.read() as session,
        tempfile.TemporaryDirectory(prefix="sigma68-bundle-") as scratch,
    ):
        challenge = session.scalar(select(Challenge).where(Challenge.slug == slug))
        if challenge is None:
            raise ExchangeError(f"there is no challenge {slug!r} on this server")
        if challenge.takes != "code":
            raise ExchangeError(
                f"{slug} takes {challenge.takes}, and a bundle's programs run code: export it instead"
            )
        folder = Path(scratch)
        kept = challenge.bundle
        image = image or kept.get("docker_image")
        if not image:
            raise ExchangeError(
                "a bundle runs in a container: name an image that has sigma68 installed"
            )
        phases = sorted(challenge.phases, key=lambda phase: (phase.opens, phase.position))
        for i, phase in enumerate(phases):
            settings = _settings(challenge, phase, phases, source)
            seed = secrets.token_hex(32) if phase.kind == "final" else None
            _write_programs(folder, i, settings, seed)
        _write_starting_kit(folder)
        described = BundleChallenge(
            title=challenge.title,
            description=challenge.summary,
            image=_logo(store, challenge, folder),
            terms=_terms(challenge),
            pages=_pages(challenge),
            phases=_phases(challenge, phases),
            tasks=tuple(_task(challenge, phase, i) for i, phase in enumerate(phases)),
            leaderboards=(_leaderboard(),),
            docker_image=image,
            registration_auto_approve=bool(kept.get("registration_auto_approve", True)),
            enable_detailed_results=True,
            contact_email=str(kept.get("contact_email", "")),
            reward=str(kept.get("reward", "")),
            fact_sheet=kept.get("fact_sheet") or _fact_sheet(),
        )
        write_bundle(described, folder, out)
        with explained(out):
            out.chmod(_PRIVATE)
        return out


def _settings(
    challenge: Challenge, phase: Phase, phases: Sequence[Phase], source: str | None
) -> PhaseSettings:
    where = source or challenge.source
    if source is None and where is not None and Path(where).exists():
        raise ExchangeError(
            f"the events of the challenge are {where}, which a container has not got: put them "
            "into its image, and say where"
        )
    names = {other.id: other.name for other in phases}
    return PhaseSettings(
        task=challenge.task,
        sets=phase.sets,
        toys=phase.toys,
        source=where,
        nuisances=tuple(phase.nuisances),
        epsilon=challenge.epsilon,
        predict_seconds=challenge.predict_seconds,
        fit_seconds=challenge.fit_seconds,
        pool="final" if phase.kind == "final" else "scoring",
        server={
            "slug": challenge.slug,
            "memory_bytes": challenge.memory_bytes,
            "max_processes": challenge.max_processes,
            "disk_bytes": challenge.disk_bytes,
            "replay": challenge.replay,
            "kind": phase.kind,
            "opens": phase.opens.isoformat(),
            "closes": phase.closes.isoformat(),
            "per_day": phase.per_day,
            "total": phase.total,
            "updates": phase.updates,
            "hidden": phase.hidden,
            "parts": phase.parts,
            "draws_from": None if phase.draws_from is None else names.get(phase.draws_from),
        },
    )


def _write_programs(folder: Path, index: int, settings: PhaseSettings, seed: str | None) -> None:
    programs = resources.files("sigma68.challenge.exchange") / "programs"
    for name, arguments in (
        ("ingestion", "/app/ingested_program /app/output"),
        ("scoring", "/app/input /app/output"),
    ):
        place = folder / f"{name}_program_{index}"
        make_folder(place)
        source = (programs / f"{name}.py").read_text(encoding="utf-8")
        (place / f"{name}.py").write_text(source, encoding="utf-8")
        command = f"command: python3 {name}.py {arguments}\n"
        (place / "metadata.yaml").write_text(command, encoding="utf-8")
        (place / SETTINGS).write_text(settings.to_text(), encoding="utf-8")
        if seed is not None and name == "ingestion":
            (place / SEED).write_text(seed + "\n", encoding="utf-8")


def _write_starting_kit(folder: Path) -> None:
    make_folder(folder / "starting_kit")
    template = resources.files("sigma68.challenge") / "template"
    for name in ("model.py", "README.md"):
        text = (template / name).read_text(encoding="utf-8")
        (folder / "starting_kit" / name).write_text(text, encoding="utf-8")


def _logo(store: Store, challenge: Challenge, folder: Path) -> str:
    if challenge.logo is not None:
        with store.files.local(challenge.logo) as path:
            kind = picture_kind(path)
            if kind is not None:
                (folder / f"logo.{kind}").write_bytes(path.read_bytes())
                return f"logo.{kind}"
    (folder / "logo.png").write_bytes(draw_logo())
    return "logo.png"


def _terms(challenge: Challenge) -> BundlePage:
    texts = {page.slug: page.text for page in challenge.pages if page.text.strip()}
    return BundlePage("Terms", "pages/terms.md", texts.get("terms") or texts.get("rules") or _TERMS)


def _pages(challenge: Challenge) -> tuple[BundlePage, ...]:
    """All pages with a text; Codabench takes no empty one."""
    found = [
        BundlePage(page.title, f"pages/{page.slug}.md", page.text)
        for page in challenge.pages
        if page.text.strip() and page.slug != "terms"
    ]
    if not found:
        text = challenge.summary.strip() or challenge.title
        found.append(BundlePage("Overview", "pages/overview.md", text + "\n"))
    return tuple(found)


def _phases(challenge: Challenge, phases: Sequence[Phase]) -> tuple[BundlePhase, ...]:
    nexts = {one.id: other.opens for one, other in pairwise(phases)}
    befores = {other.id: one.id for one, other in pairwise(phases)}
    return tuple(
        BundlePhase(
            index=i,
            name=phase.name,
            description=f"{phase.sets:,} sets of {phase.toys:,} pseudo-experiments",
            start=phase.opens,
            end=_end(phase.closes, nexts.get(phase.id)),
            tasks=(i,),
            # A final's submissions come by migration: nobody hands another one in.
            max_submissions=1 if phase.kind == "final" else phase.total,
            max_submissions_per_day=1 if phase.kind == "final" else phase.per_day,
            execution_time_limit=_seconds(challenge, phase),
            auto_migrate_to_this_phase=(
                phase.kind == "final" and befores.get(phase.id) == phase.draws_from is not None
            ),
            hide_output=phase.hidden,
            # It holds the truths.
            hide_prediction_output=True,
            hide_score_output=phase.hidden,
            starting_kit="starting_kit",
        )
        for i, phase in enumerate(phases)
    )


def _end(closes: datetime, following: datetime | None) -> datetime:
    """The last moment of a phase: ours ends where the next begins, Codabench's before it."""
    if following is not None and timedelta(0) <= following - closes < timedelta(seconds=1):
        return closes - timedelta(seconds=1)
    return closes


def _seconds(challenge: Challenge, phase: Phase) -> int:
    longest = challenge.fit_seconds + phase.sets * phase.toys * challenge.predict_seconds
    return min(math.ceil(longest) + _MARGIN_SECONDS, _LONGEST_SECONDS)


def _task(challenge: Challenge, phase: Phase, index: int) -> BundleTask:
    return BundleTask(
        index=index,
        name=f"{challenge.title[:180]}: {phase.name}",
        description=f"{phase.sets:,} x {phase.toys:,} pseudo-experiments of {challenge.task}",
        ingestion_program=f"ingestion_program_{index}",
        scoring_program=f"scoring_program_{index}",
    )


def _leaderboard() -> BundleLeaderboard:
    return BundleLeaderboard(
        title="Results",
        key="main",
        submission_rule="Force_Best",
        columns=tuple(
            BundleColumn(i, title, key, sorting, precision)
            for i, (title, key, sorting, precision) in enumerate(_COLUMNS)
        ),
    )


def _fact_sheet() -> dict[str, Any]:
    return {
        key: {
            "key": key,
            "type": "text",
            "title": title,
            "selection": "",
            "is_required": "false",
            "is_on_leaderboard": "false",
        }
        for key, title in QUESTIONS.items()
    }
