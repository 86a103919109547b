"""All that the server knows as one zip, for an organiser to take away."""

from __future__ import annotations

import shutil
import tempfile
import threading
import zipfile
from pathlib import Path

from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from sigma68.challenge.exchange.export import export_all
from sigma68.challenge.rules.audit import record
from sigma68.challenge.rules.refusals import ConflictError
from sigma68.challenge.web.asking import Asking

__all__ = ["exported"]

_ONE = threading.Lock()


def exported(asking: Asking) -> FileResponse:
    """An export without secrets, in a zip that is removed once it is sent; written in the audit log.

    Raises
    ------
    SignInError, ForbiddenError
        If it is not an organiser who asks.
    ConflictError
        If another export is being made.
    OutputError
        If there is no room for it.
    """
    by = asking.organiser()
    asking.limit("export")
    # A snapshot of the database is held open while it is read: not by many at once.
    if not _ONE.acquire(blocking=False):
        raise ConflictError("another export is being made: try again in a few minutes")
    folder = Path(tempfile.mkdtemp(prefix="sigma68-export-"))
    try:
        export_all(asking.house.store, folder / "export", asking.now)
        packed = folder / "export.zip"
        _pack(folder / "export", packed)
        shutil.rmtree(folder / "export")
        with asking.house.store.write() as session:
            record(session, by, "export", "server", asking.now)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        _ONE.release()
    return FileResponse(
        packed,
        media_type="application/zip",
        filename=f"sigma68-{asking.now:%Y-%m-%d-%H%M}.zip",
        # Packed already; this keeps it from being packed once more.
        headers={"content-encoding": "identity"},
        background=BackgroundTask(shutil.rmtree, folder, ignore_errors=True),
    )


def _pack(folder: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(path, path.relative_to(folder).as_posix())
