"""The page's addresses: the page itself, its files, the streams that keep it live, and dead letters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import FileResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ferry_console.page.broadcast import Broadcast
from ferry_console.page.events import OPENING
from ferry_console.page.guard import Guard
from ferry_console.page.letter_routes import letter_routes
from ferry_console.page.tracing import Traces
from ferry_shared.record import TaskId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from ferry_console.page.access import Access
    from ferry_console.page.letter_routes import Letters
    from ferry_console.page.tracing import Finder
    from ferry_console.page.watching import GroupWatch

ASSETS = Path(__file__).parent / "assets"


@dataclass(frozen=True, slots=True)
class Sources:
    """What the page shows: a group, single messages, dead letters."""

    group: GroupWatch
    finder: Callable[[TaskId], Finder]
    letters: Letters


def page_application(access: Access, sources: Sources, is_stopping: Callable[[], bool]) -> Starlette:
    """Put the page together; `is_stopping` ends its streams."""
    looks = Broadcast(sources.group.look, sources.group.greeting, is_stopping)
    traces = Traces(sources.finder, is_stopping)

    async def page(_request: Request) -> Response:
        return FileResponse(ASSETS / "index.html")

    async def events(_request: Request) -> Response:
        return _stream(looks)

    async def trace(request: Request) -> Response:
        try:
            task_id = TaskId.parse(request.query_params.get("id", ""))
        except ValueError as error:
            return PlainTextResponse(f"{error}, such as messages-0-42\n", 400)
        broadcast = traces.of(task_id)
        return (
            PlainTextResponse("too many other messages are watched\n", 503) if broadcast is None else _stream(broadcast)
        )

    return Starlette(
        routes=[
            Route("/", page),
            Route("/events", events),
            Route("/trace", trace),
            *letter_routes(sources.letters),
            Mount("/assets", StaticFiles(directory=ASSETS)),
        ],
        middleware=[Middleware(Guard, access=access)],
    )


def _stream(broadcast: Broadcast) -> StreamingResponse:
    """All that is told from now on, as server-sent events."""

    async def frames() -> AsyncIterator[bytes]:
        yield OPENING
        async for event in broadcast.watch():
            yield event.frame

    return StreamingResponse(frames(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})
