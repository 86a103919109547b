"""Bundles made for tests, from a dictionary as competition.yaml would give it."""

from __future__ import annotations

import copy
import zipfile
from pathlib import Path
from typing import Any

import yaml

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000 1f15c489".replace(" ", "")
    + "0000000d49444154789c6360f8cf500f0003860180 5a347d6b0000000049454e44ae426082".replace(" ", "")
)

SMALL: dict[str, Any] = {
    "version": 2,
    "title": "Compute something",
    "description": "As well as you can.",
    "image": "logo.png",
    "terms": "pages/terms.md",
    "pages": [{"title": "Overview", "file": "pages/overview.md"}],
    "tasks": [
        {
            "index": 0,
            "name": "The task",
            "scoring_program": "scoring_program/",
            "ingestion_program": "ingestion_program",
        }
    ],
    "phases": [
        {
            "index": 0,
            "name": "Development",
            "start": "2026-01-31 12:00:00",
            "end": "2026-03-01",
            "tasks": [0],
        },
        {
            "index": 1,
            "name": "Final",
            "start": "2026-03-02",
            "auto_migrate_to_this_phase": True,
            "tasks": [0],
        },
    ],
    "leaderboards": [
        {
            "title": "Results",
            "key": "main",
            "columns": [
                {"index": 0, "title": "Quantiles score", "key": "quantiles_score"},
                {"index": 1, "title": "Mean width", "key": "interval", "sorting": "asc"},
            ],
        }
    ],
}

FILES: dict[str, bytes] = {
    "logo.png": PNG,
    "pages/terms.md": b"# Terms\n\nBe fair.\n",
    "pages/overview.md": "# Overview\r\n\r\nµ <script>alert(1)</script>\n".encode(),
    "scoring_program/metadata.yaml": b"command: python3 score.py\n",
    "scoring_program/score.py": b"raise SystemExit('never run')\n",
    "ingestion_program/metadata.yaml": b"command: python3 run.py --codabench\n",
}


def small() -> dict[str, Any]:
    """A copy of the small description, to be changed."""
    return copy.deepcopy(SMALL)


def write_folder(
    folder: Path, document: dict[str, Any] | str | None = None, **files: bytes
) -> Path:
    """Write a bundle as a folder, with `files` beside or in place of the usual ones."""
    text = document if isinstance(document, str) else yaml.safe_dump(document or SMALL)
    everything = {"competition.yaml": text.encode(), **FILES, **files}
    for name, content in everything.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_zip(path: Path, document: dict[str, Any] | None = None, prefix: str = "") -> Path:
    """Write a bundle as a zip, below `prefix`."""
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(f"{prefix}competition.yaml", yaml.safe_dump(document or SMALL))
        for name, content in FILES.items():
            made.writestr(prefix + name, content)
    return path
