"""The application: routes, layers around them, and what becomes of errors."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.gzip import GZipMiddleware

from sigma68 import __version__
from sigma68.challenge.rules.refusals import RefusedError
from sigma68.challenge.web import api, pages
from sigma68.challenge.web.asking import house_of
from sigma68.challenge.web.headers import BodyLimit, SecurityHeaders
from sigma68.challenge.web.house import Clock, House, utc_now
from sigma68.challenge.web.limits import TooOftenError
from sigma68.challenge.web.settings import ServerSettings
from sigma68.challenge.web.visits import NeedsSignInError, Visit
from sigma68.errors import InputError

if TYPE_CHECKING:
    from sigma68.challenge.store.stores import Store

__all__ = ["create_app"]

log = logging.getLogger(__name__)

_FORM_BYTES = 1 << 20


def create_app(settings: ServerSettings, store: Store, *, clock: Clock = utc_now) -> Any:
    """The ASGI application of one server over `store`."""
    app = FastAPI(
        title=f"{settings.name}: the challenge",
        version=__version__,
        description=(
            "Everything a page does. Send `Authorization: Bearer TOKEN`; tokens are made on the "
            "page of your account. Times are UTC."
        ),
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.house = House(settings, store, clock=clock)
    app.add_api_route("/static/{name}", _static, include_in_schema=False)
    app.add_api_route("/health", _health, include_in_schema=False)
    for router in pages.ROUTERS:
        app.include_router(router, include_in_schema=False)
    for router in api.ROUTERS:
        app.include_router(router, prefix="/api/v1")
    app.add_exception_handler(NeedsSignInError, _to_sign_in)
    app.add_exception_handler(InputError, _refused)
    app.add_exception_handler(StarletteHTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(Exception, _broken)
    upload = settings.upload_bytes + _FORM_BYTES
    limited = BodyLimit(app, most=lambda path: upload if _takes_files(path) else _FORM_BYTES)
    packed = GZipMiddleware(limited, minimum_size=1000, compresslevel=5)
    return SecurityHeaders(packed, https=settings.is_https)


_UPLOADS = re.compile(r"/c/[^/]+/phases/\d+/submit|/api/v1/challenges/[^/]+/submissions")


def _takes_files(path: str) -> bool:
    """Whether large bodies are taken: by none but those that ask who sends them before they read."""
    return _UPLOADS.fullmatch(path) is not None


def _static(name: str, request: Request) -> Response:
    found = house_of(request).static.get(name)
    if found is None:
        raise HTTPException(404)
    lasting = {"cache-control": "public, max-age=31536000, immutable"}
    return Response(found.content, media_type=found.kind, headers=lasting)


def _health(request: Request) -> PlainTextResponse:
    """Whether the server answers and its database does."""
    from sqlalchemy import text

    with house_of(request).store.read() as session:
        session.execute(text("SELECT 1"))
    return PlainTextResponse("ok\n")


def _is_api(request: Request) -> bool:
    return request.url.path.startswith("/api/")


def _told(request: Request, status: int, sentence: str, headers: dict[str, str]) -> Response:
    """An error for people or for programs."""
    if _is_api(request):
        return JSONResponse({"error": sentence}, status, headers=headers)
    house = house_of(request)
    with house.store.read() as session:
        response = Visit(house, request, session).page("error.html", status, sentence=sentence)
    response.headers.update(headers)
    return response


def _to_sign_in(request: Request, _: Exception) -> Response:
    from urllib.parse import quote

    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = path if request.method == "GET" else "/"
    return RedirectResponse(f"/sign-in?next={quote(back, safe='')}", 303)


def _refused(request: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, RefusedError) else 422
    later = isinstance(error, TooOftenError)
    headers = {"retry-after": str(error.seconds)} if isinstance(error, TooOftenError) else {}
    if status == 401 and _is_api(request) and not later:
        headers["www-authenticate"] = "Bearer"
    return _told(request, status, str(error), headers)


_SENTENCES = {
    404: "there is no such page",
    405: "this cannot be done here",
    413: "this is too large",
}


def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, StarletteHTTPException) else 500
    return _told(request, status, _SENTENCES.get(status, "this request makes no sense"), {})


def _not_valid(request: Request, error: Exception) -> Response:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    where = "; ".join(
        f"{'.'.join(str(part) for part in one['loc'][1:]) or 'the request'}: {one['msg']}"
        for one in found[:5]
    )
    return _told(request, 422, where or "this request makes no sense", {})


def _broken(request: Request, error: Exception) -> Response:
    log.error("an unexpected error at %s", request.url.path, exc_info=error)
    return _told(request, 500, "something broke here; it has been written down", {})
