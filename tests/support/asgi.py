"""Ask an ASGI application without a network: whole answers, and streams that are left when enough was heard."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Scope

HERE = ("host", "127.0.0.1:8090")


@dataclass
class Answer:
    """What came back; `chunks` are the parts of the body in order."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)
    news: asyncio.Queue[None] = field(default_factory=asyncio.Queue)

    @property
    def text(self) -> str:
        """The body so far."""
        return b"".join(self.chunks).decode()

    @property
    def events(self) -> list[Mapping[str, str]]:
        """The body so far, as server-sent events that have a name."""
        return [event for event in of_events(self.text) if "event" in event]

    async def event(self, name: str) -> Any:
        """Wait for the first event of a name; returns its document."""
        while True:
            for event in self.events:
                if event["event"] == name:
                    return json.loads(event["data"])
            await asyncio.wait_for(self.news.get(), 10)


def scope_of(method: str, address: str, headers: Sequence[tuple[str, str]]) -> Scope:
    """A request as a server hands it over."""
    parts = urlsplit(address)
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        "client": ("127.0.0.1", 1234),
        "server": ("127.0.0.1", 8090),
    }


async def ask(
    app: ASGIApp,
    address: str,
    method: str = "GET",
    headers: Sequence[tuple[str, str]] = (HERE,),
    body: bytes = b"",
) -> Answer:
    """Ask, and wait for the whole answer."""
    async with asked(app, address, method, headers, body) as (answer, ended):
        await asyncio.wait_for(ended.wait(), 10)
        return answer


@asynccontextmanager
async def asked(
    app: ASGIApp,
    address: str,
    method: str = "GET",
    headers: Sequence[tuple[str, str]] = (HERE,),
    body: bytes = b"",
) -> AsyncIterator[tuple[Answer, asyncio.Event]]:
    """Ask, and listen inside; whoever leaves has closed the connection. The event tells that the answer has ended."""
    answer, ended, left, sent = Answer(), asyncio.Event(), asyncio.Event(), False

    async def receive() -> Message:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        _note(answer, message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            ended.set()

    running = asyncio.create_task(_run(app, scope_of(method, address, headers), receive, send))
    try:
        yield answer, ended
    finally:
        left.set()
        await asyncio.wait_for(running, 10)


async def _run(app: ASGIApp, scope: Scope, receive: Any, send: Any) -> None:
    await app(scope, receive, send)


def _note(answer: Answer, message: Message) -> None:
    if message["type"] == "http.response.start":
        answer.status = message["status"]
        answer.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
    elif message["type"] == "http.response.body":
        answer.chunks.append(message.get("body", b""))
    answer.news.put_nowait(None)


def with_headers(**more: str) -> list[tuple[str, str]]:
    """The usual host, and more headers; `_` stands for `-`."""
    return [HERE, *((name.replace("_", "-"), value) for name, value in more.items())]


def of_events(text: str) -> list[Mapping[str, str]]:
    """Read a stream of server-sent events as a browser does: one dictionary of fields an event."""
    blocks = text.split("\n\n")[:-1]
    return [dict(line.partition(": ")[::2] for line in block.split("\n")) for block in blocks]
