"""The page's addresses: the page itself, its files, and the streams that keep it live."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import FileResponse, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ferry_console.page.broadcast import Broadcast
from ferry_console.page.events import OPENING
from ferry_console.page.guard import Guard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from ferry_console.page.access import Access
    from ferry_console.page.watching import GroupWatch

ASSETS = Path(__file__).parent / "assets"


def page_application(access: Access, group: GroupWatch, is_stopping: Callable[[], bool]) -> Starlette:
    """Put the page together; `is_stopping` ends its streams."""
    looks = Broadcast(group.look, group.greeting, is_stopping)

    async def page(_request: Request) -> Response:
        return FileResponse(ASSETS / "index.html")

    async def events(_request: Request) -> Response:
        return stream(looks)

    return Starlette(
        routes=[
            Route("/", page),
            Route("/events", events),
            Mount("/assets", StaticFiles(directory=ASSETS)),
        ],
        middleware=[Middleware(Guard, access=access)],
    )


def stream(broadcast: Broadcast) -> StreamingResponse:
    """All that is told from now on, as server-sent events."""

    async def frames() -> AsyncIterator[bytes]:
        yield OPENING
        async for event in broadcast.watch():
            yield event.frame

    return StreamingResponse(frames(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})
