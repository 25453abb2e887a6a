"""The page's addresses of dead letters and traces, without a network."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.types import ASGIApp

from ferry_console.page.access import Access
from ferry_console.page.application import Sources, page_application
from ferry_console.page.letter_requests import MOST_LETTERS, LetterQuery, ReplayRequest, query_of
from ferry_console.page.letter_routes import LARGEST_BODY_BYTES
from ferry_console.page.watching import GroupWatch
from ferry_shared.errors import ConfigurationError, KafkaUnavailable
from tests.support.asgi import HERE, Answer, ask, asked, with_headers
from tests.support.page_parts import MadeUpFinder, MadeUpGroup, MadeUpLetters

REPLAY = {"letters": [{"topic": "orders.dlq", "partition": 0, "offset": 2}], "dry_run": False}


@pytest.fixture
def letters() -> MadeUpLetters:
    """Five of them."""
    return MadeUpLetters()


@pytest.fixture
def app(letters: MadeUpLetters) -> ASGIApp:
    """The application over them."""
    sources = Sources(GroupWatch(MadeUpGroup(), 300.0), MadeUpFinder, letters)
    return page_application(Access(None, frozenset(), "cookie"), sources, lambda: False)


def told(answer: Answer, status: int = 200) -> Any:
    """The document of an answer with this status."""
    assert (answer.status, answer.headers["content-type"]) == (status, "application/json"), answer.text
    return json.loads(answer.text)


async def replayed(app: ASGIApp, document: object, **headers: str) -> Answer:
    """Ask for a replay, as the page does."""
    own = {"origin": "http://127.0.0.1:8090", "content_type": "application/json"}
    given = with_headers(**(own | headers))
    return await ask(app, "/dead-letters/replay", "POST", given, json.dumps(document).encode())


async def test_the_list_is_filtered(app: ASGIApp, letters: MadeUpLetters) -> None:
    """By what the address asks for; a field that is empty asks for nothing."""
    everything = told(await ask(app, "/dead-letters?topic=&reason=%20"))
    assert [letter["offset"] for letter in everything["dead_letters"]] == [4, 3, 2, 1, 0]
    some = told(await ask(app, "/dead-letters?reason=ValueError&limit=1&text=number&group=ferry&since=2026-01-01"))
    assert ([letter["offset"] for letter in some["dead_letters"]], some["more"]) == ([3], True)
    assert letters.queries[-1].wanted.since_ms == 1_767_225_600_000


@pytest.mark.parametrize(
    ("query", "field"),
    [("since=soon", "since"), ("until=soon", "until"), ("limit=0", "limit"), ("limit=501", "limit"),
     ("limit=x", "limit"), ("topic=a/b", "topic"), ("nothing=1", "nothing")],
)  # fmt: skip
async def test_wrong_questions_are_told(app: ASGIApp, letters: MadeUpLetters, query: str, field: str) -> None:
    """By the field, before Kafka is asked."""
    assert told(await ask(app, f"/dead-letters?{query}"), 400)["error"].startswith(f"{field}: ")
    assert letters.queries == []


@given(
    parameters=st.dictionaries(st.sampled_from(["since", "until", "topic", "reason", "limit"]) | st.text(), st.text())
)
def test_any_question(parameters: dict[str, str]) -> None:
    """It is understood within the limits, or refused."""
    try:
        query = query_of(parameters)
    except ValidationError:
        return
    assert 1 <= query.limit <= MOST_LETTERS
    assert isinstance(query.wanted.since_ms, int | None)


async def test_one_is_shown(app: ASGIApp) -> None:
    """Whole; or there is none."""
    document = told(await ask(app, "/dead-letters/orders.dlq/0/2"))
    assert document["dead_letters"][0]["key"] == "customer-7"
    assert "error" in told(await ask(app, "/dead-letters/orders.dlq/0/99"), 404)
    assert told(await ask(app, "/dead-letters/orders.dlq/x/99"), 400)["error"].startswith("partition: ")


async def test_a_replay(app: ASGIApp, letters: MadeUpLetters) -> None:
    """What became of it is told in the words of `ferry dead-letters replay`."""
    document = told(await replayed(app, REPLAY))
    assert (document["replayed"], document["told"], letters.replayed) == (
        1, [f"{document['at']} ann@desk replayed 1 dead letter"], [2],
    )  # fmt: skip
    assert told(await replayed(app, REPLAY))["before"] == 1


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
async def test_other_pages_change_nothing(app: ASGIApp, letters: MadeUpLetters, origin: str) -> None:
    """Neither with another origin nor with none, nor by an address alone."""
    assert (await replayed(app, REPLAY, origin=origin)).status == 403
    body = json.dumps(REPLAY).encode()
    assert (await ask(app, "/dead-letters/replay", "POST", [HERE], body)).status == 403
    assert (await ask(app, "/dead-letters/replay")).status == 405
    assert letters.requests == []


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"letters": [], "dry_run": True},
        {"letters": REPLAY["letters"]},
        REPLAY | {"dry_run": "no"},
        REPLAY | {"everything": True},
        REPLAY | {"letters": [{"topic": "a b", "partition": 0, "offset": 0}]},
        REPLAY | {"letters": [{"topic": "a", "partition": -1, "offset": 0}]},
        REPLAY | {"letters": [{"topic": "a", "partition": 0, "offset": 2**63}]},
        REPLAY | {"letters": [{"topic": "a", "partition": 0, "offset": 0}] * (MOST_LETTERS + 1)},
    ],
)
async def test_wrong_replays_are_refused(app: ASGIApp, letters: MadeUpLetters, document: object) -> None:
    """Nobody sends anything again by leaving something out."""
    assert told(await replayed(app, document), 400)["error"]
    assert letters.requests == []


async def test_a_long_body_is_not_read_on(app: ASGIApp, letters: MadeUpLetters) -> None:
    """Beyond what 500 letters need."""
    assert told(await replayed(app, ["x" * LARGEST_BODY_BYTES]), 413)["error"].startswith("expected at most")
    assert letters.requests == []


def test_the_largest_replay_fits() -> None:
    """500 letters with the longest names and numbers."""
    place = {"topic": "t" * 249, "partition": 2**31 - 1, "offset": 2**63 - 1}
    body = json.dumps({"letters": [place] * MOST_LETTERS, "dry_run": True, "force": False})
    assert len(body) < LARGEST_BODY_BYTES
    assert len(ReplayRequest.model_validate_json(body).letters) == MOST_LETTERS


@pytest.mark.parametrize(
    ("error", "status"), [(KafkaUnavailable("Kafka: away"), 503), (ConfigurationError("FERRY_ROUTES: x"), 500)]
)
async def test_what_is_away_is_told(app: ASGIApp, letters: MadeUpLetters, error: Exception, status: int) -> None:
    """In its own words."""
    letters.away = error
    assert told(await ask(app, "/dead-letters"), status) == {"error": str(error)}
    assert told(await replayed(app, REPLAY), status) == {"error": str(error)}


async def test_a_message_is_traced(app: ASGIApp) -> None:
    """As a stream."""
    async with asked(app, "/trace?id=orders-0-7") as (answer, _):
        document = await answer.event("trace")
    assert (document["task_id"], document["state"]) == ("orders-0-7", "in_kafka")


@pytest.mark.parametrize("address", ["/trace", "/trace?id=", "/trace?id=orders", "/trace?id=orders-0-07"])
async def test_what_is_no_task_id(app: ASGIApp, address: str) -> None:
    """Is refused with what was expected."""
    answer = await ask(app, address)
    assert answer.status == 400
    assert "such as messages-0-42" in answer.text


def test_the_usual_query() -> None:
    """Nothing asked for: the newest fifty."""
    assert query_of({}) == LetterQuery()
    assert LetterQuery().limit == 50
