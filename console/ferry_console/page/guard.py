"""Lets through what the rules allow, and puts the same headers on every answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse

from ferry_console.page.access import Asked

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ferry_console.page.access import Access

TOKEN_PARAMETER = "token"  # noqa: S105 - a name, no token
#: Scripts and styles come from the page's own files only, and no text can become HTML.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Stands before the whole application."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        asked = asked_of(scope, self._access.cookie)
        refusal = self._access.refusal(asked)
        headers = dict(HEADERS)
        if refusal is None and self._access.is_new(asked):
            headers["set-cookie"] = f"{self._access.cookie}={self._access.token}; Path=/; HttpOnly; SameSite=Strict"

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        answer = self._app if refusal is None else PlainTextResponse(f"{refusal.why}\n", refusal.status)
        await answer(scope, receive, with_headers)


def asked_of(scope: Scope, cookie: str) -> Asked:
    """What of a request decides."""
    connection = HTTPConnection(scope)
    return Asked(
        scope["method"],
        scope["path"],
        connection.headers.getlist("host"),
        connection.headers.getlist("origin"),
        connection.headers.get("sec-fetch-site"),
        connection.query_params.get(TOKEN_PARAMETER),
        connection.cookies.get(cookie),
    )
