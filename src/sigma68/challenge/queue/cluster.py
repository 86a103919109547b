"""Workers on a Dask cluster: wherever a job waits and a place is free, a worker is sent.

The cluster lends places and nothing else: which job is whose stays in the table of jobs, so that
a lost machine costs no more than a lost worker does. The database and the files must be reachable
from everywhere: PostgreSQL, and a shared folder or a bucket.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from sigma68.challenge.queue import jobs
from sigma68.challenge.queue.overview import overview
from sigma68.challenge.queue.pool import WorkerSettings, start_worker
from sigma68.challenge.queue.worker import utc_now
from sigma68.challenge.rules import finals
from sigma68.errors import MissingExtraError, SettingsError

if TYPE_CHECKING:
    from sigma68.challenge.store.stores import Store

__all__ = ["send_workers", "work_off"]

_CONNECT_S: Final = 30


def send_workers(
    address: str,
    store: Store,
    settings: WorkerSettings,
    *,
    stop: Callable[[], bool],
    say: Callable[[str], None],
    poll: float = 1.0,
    until_empty: bool = False,
) -> None:
    """Send workers to the Dask scheduler at `address` until `stop` says yes.

    With `until_empty` it ends once no job waits and all that were sent are back.

    Raises
    ------
    MissingExtraError
        If Dask is not installed.
    SettingsError
        If the scheduler does not answer.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise MissingExtraError(
            f"--dask needs {error.name}, which is not installed: pip install 'sigma68[dask]'"
        ) from error
    try:
        client = distributed.Client(address, timeout=_CONNECT_S)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"no Dask scheduler answers at {address} ({error}): give the address that "
            "`dask scheduler` prints, like tcp://10.0.0.1:8786"
        ) from error
    with client:
        _send(client, store, settings, stop, say, poll, until_empty)


def work_off(given: dict[str, Any]) -> int:
    """What runs on the cluster: a worker that works until no job waits; its exit code.

    A process of its own, so that an entry cannot harm the cluster's.
    """
    settings = WorkerSettings(**given)
    worker = start_worker(settings, until_empty=True)
    try:
        return worker.wait()
    finally:
        if worker.stdin is not None:
            worker.stdin.close()
        try:
            worker.wait(20)
        except subprocess.TimeoutExpired:
            worker.kill()


def _send(
    client: Any,
    store: Store,
    settings: WorkerSettings,
    stop: Callable[[], bool],
    say: Callable[[str], None],
    poll: float,
    until_empty: bool,
) -> None:
    # A folder of work in progress is the machine's own affair.
    given = asdict(replace(settings, folder=None))
    sent: set[Any] = set()
    while not stop():
        for future in [f for f in sent if f.done()]:
            sent.discard(future)
            if future.status == "error" or future.result() != 0:
                say(f"a worker on the cluster ended badly ({future.status}): see its log")
        with store.write() as session:
            jobs.reclaim(session, utc_now())
            finals.start_due(session, utc_now())
        with store.read() as session:
            waiting = overview(session).queued
        places = sum(client.nthreads().values()) - len(sent)
        for _ in range(min(waiting, places)):
            sent.add(client.submit(work_off, given, pure=False, retries=0))
        if until_empty and not waiting and not sent:
            return
        time.sleep(poll)
    client.cancel(list(sent))
