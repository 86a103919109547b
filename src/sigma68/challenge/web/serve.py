"""Serving: the store opened, an empty one begun with, workers beside it, until it is stopped."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sigma68.challenge.queue.pool import Workers, WorkerSettings
from sigma68.challenge.queue.run import refuse_without_sandbox
from sigma68.challenge.rules import challenges
from sigma68.challenge.store.stores import Store, open_store
from sigma68.challenge.web.app import create_app
from sigma68.challenge.web.demo import add_demo
from sigma68.challenge.web.house import utc_now
from sigma68.challenge.web.opening import OPENING, SignIn, add_challenges, first_organiser
from sigma68.challenge.web.settings import ServerSettings, oidc_from, secret_of
from sigma68.challenge.web.uploads import sweep_temporary
from sigma68.errors import SettingsError

__all__ = ["Options", "serve"]


@dataclass(frozen=True)
class Options:
    """What `sigma68 serve` was told; see its help."""

    folder: Path
    database: str | None = None
    files: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    address: str | None = None
    workers: int = 1
    trusted: bool = False
    demo: bool = False
    empty: bool = False
    proxy: str | None = None
    registration: bool = True
    name: str = "sigma68"

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.folder.resolve() / 'challenge.db'}"

    @property
    def files_url(self) -> str:
        return self.files or str(self.folder.resolve() / "files")


def serve(options: Options, say: Callable[[str], None]) -> None:
    """Serve until stopped; `say` gets what the machine's owner should know, line by line.

    Raises
    ------
    SettingsError
        If the address is taken, or settings contradict each other.
    IsolationError
        If workers are wanted and this machine cannot shut strangers' code in.
    """
    if options.workers:
        refuse_without_sandbox(options.trusted)
    with _listening(options) as held, contextlib.ExitStack() as open_while_serving:
        store = open_store(options.database_url, options.files_url)
        open_while_serving.callback(store.close)
        port = held.getsockname()[1]
        host = f"[{options.host}]" if ":" in options.host else options.host
        address = (options.address or f"http://{host}:{port}").rstrip("/")
        app = create_app(_settings(options, address), store)
        sign_in = _begin(store, options, say)
        sweep_temporary(utc_now())
        removed = store.sweep(utc_now())
        if removed:
            say(f"removed {len(removed)} files that nothing refers to")
        if options.workers:
            settings = WorkerSettings(
                options.database_url,
                options.files_url,
                options.folder.resolve() / "judging",
                options.trusted,
            )
            open_while_serving.enter_context(Workers(settings, options.workers, say=say))
        if sign_in is not None:
            say(f"organiser's sign-in: name {sign_in.name}, password {sign_in.password}")
        say(f"open: {address}/")
        _run(app, held, options)


def _settings(options: Options, address: str) -> ServerSettings:
    return ServerSettings(
        address=address,
        secret=secret_of(options.folder / "server.key"),
        name=options.name,
        registration=options.registration,
        oidc=oidc_from(os.environ),
    )


def _begin(store: Store, options: Options, say: Callable[[str], None]) -> SignIn | None:
    """Give an empty store an organiser and challenges; the sign-in if one was made."""
    now = utc_now()
    sign_in = first_organiser(store, now, again=options.demo)
    with store.read() as session:
        is_empty = not challenges.listing(session, hidden=True)
    if sign_in is not None and is_empty and not options.empty:
        if options.demo:
            say("making what there is to look at: challenges, entries, 200 maps")
            add_demo(store, sign_in.name, now)
        else:
            _open(store, sign_in.name)
    return sign_in


def _open(store: Store, organiser: str) -> None:
    from sigma68.challenge.rules import accounts

    with store.write() as session:
        by = accounts.find(session, organiser)
        assert by is not None  # noqa: S101 (made just before)
        add_challenges(session, OPENING, by, utc_now())


@contextlib.contextmanager
def _listening(options: Options) -> Iterator[socket.socket]:
    """The socket to be served on, known to be free before anything is begun."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        held = socket.create_server((options.host, options.port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        why = "something else listens there" if taken else str(error)
        raise SettingsError(
            f"{options.host}, port {options.port}, cannot be listened on ({why}): give another "
            "--port or --host"
        ) from error
    with held:
        yield held


def _run(app: object, held: socket.socket, options: Options) -> None:
    import uvicorn

    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        # Only what these add is believed: anybody can send such a header.
        proxy_headers=options.proxy is not None,
        forwarded_allow_ips=options.proxy,
        timeout_graceful_shutdown=10,
    )
    uvicorn.Server(config).run(sockets=[held])
