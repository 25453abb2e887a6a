"""The page's addresses of dead letters: each question is one of its own, and one at a time is asked of Kafka."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from ferry_console.output import json_line
from ferry_console.page.letter_requests import LetterPlace, LetterQuery, ReplayRequest, query_of
from ferry_shared.errors import ConfigurationError, KafkaUnavailable, RedisUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

#: 500 places with the longest names.
LARGEST_BODY_BYTES = 262_144


class Letters(Protocol):
    """What answers. Every method raises KafkaUnavailable, RedisUnavailable or ConfigurationError."""

    def list(self, query: LetterQuery) -> dict[str, Any]:
        """The newest that are asked for."""
        ...

    def show(self, place: LetterPlace) -> dict[str, Any] | None:
        """One of them, None if there is none."""
        ...

    def replay(self, request: ReplayRequest) -> dict[str, Any]:
        """What became of those that were to be sent again."""
        ...


def letter_routes(letters: Letters) -> list[Route]:
    """The addresses under `/dead-letters`."""
    one_at_a_time = asyncio.Lock()

    async def answered(ask: Callable[[], dict[str, Any] | None]) -> Response:
        async with one_at_a_time:
            return await asyncio.to_thread(_answer, ask)

    async def listed(request: Request) -> Response:
        return await answered(lambda: letters.list(query_of(request.query_params)))

    async def shown(request: Request) -> Response:
        return await answered(lambda: letters.show(LetterPlace.model_validate(request.path_params)))

    async def replayed(request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return _json({"error": f"expected at most {LARGEST_BODY_BYTES:,} bytes"}, 413)
        return await answered(lambda: letters.replay(ReplayRequest.model_validate_json(body)))

    return [
        Route("/dead-letters", listed),
        Route("/dead-letters/replay", replayed, methods=["POST"]),
        Route("/dead-letters/{topic}/{partition}/{offset}", shown),
    ]


async def _body(request: Request) -> bytes | None:
    """The body, None if it is too long."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY_BYTES:
            return None
    return body


def _answer(ask: Callable[[], dict[str, Any] | None]) -> Response:
    try:
        told = ask()
    except ValidationError as error:
        return _json({"error": _sentence(error)}, 400)
    except (KafkaUnavailable, RedisUnavailable) as error:
        return _json({"error": str(error)}, 503)
    except ConfigurationError as error:
        return _json({"error": str(error)}, 500)
    return _json({"error": "there is no such dead letter any more"}, 404) if told is None else _json(told)


def _sentence(error: ValidationError) -> str:
    """What is wrong with which field."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return (
        f"{'.'.join(str(part) for part in first['loc']) or 'the request'}: {first['msg'].removeprefix('Value error, ')}"
    )


def _json(document: dict[str, Any], status: int = 200) -> Response:
    return Response(json_line(document), status, media_type="application/json")
