"""The page's addresses, without a network."""

import json
import re
from typing import Any

import pytest
from starlette.types import ASGIApp

from ferry_console.page.access import Access
from ferry_console.page.application import ASSETS, Sources, page_application
from ferry_console.page.watching import GroupWatch
from ferry_shared.errors import RedisUnavailable
from tests.support.asgi import ask, asked, with_headers
from tests.support.page_parts import MadeUpFinder, MadeUpGroup, MadeUpLetters

KEY = "a-token-of-the-test"
OPEN = Access(None, frozenset(), "ferry-console-8090")


@pytest.fixture
def group() -> MadeUpGroup:
    """The group that is looked at."""
    return MadeUpGroup()


def application(group: MadeUpGroup, access: Access = OPEN) -> ASGIApp:
    """The application over it."""
    return page_application(access, Sources(GroupWatch(group, 300.0), MadeUpFinder, MadeUpLetters()), lambda: False)


async def events_until(app: ASGIApp, name: str) -> list[tuple[str, Any]]:
    """The first events of the stream, to the first of that name."""
    async with asked(app, "/events") as (told, _):
        await told.event(name)
        assert told.headers["content-type"].startswith("text/event-stream")
        assert told.text.startswith("retry: ")
    return [(event["event"], json.loads(event["data"])) for event in told.events]


async def test_the_page_and_its_files(group: MadeUpGroup) -> None:
    """Everything that the page names is there, from this server alone; nobody's state is asked for it."""
    app = application(group)
    page = await ask(app, "/")
    assert page.status == 200
    named = re.findall(r'(?:href|src)="([^"#]+)"', page.text)
    assert {name.rpartition(".")[2] for name in named} == {"css", "js", "svg"}
    imported = {
        f"/assets/{name}" for file in ASSETS.glob("*.js") for name in re.findall(r'from "\./([^"]+)"', file.read_text())
    }
    for address in {*named, *imported}:
        assert (await ask(app, address)).status == 200, address
    assert {path.name for path in ASSETS.iterdir()} == {"index.html"} | {
        address.rpartition("/")[2] for address in {*named, *imported}
    }
    assert group.looks == 0


def test_no_file_asks_another_server() -> None:
    """It works without a network: no address of elsewhere, no script or style within the page, no text as HTML."""
    forbidden = re.compile(
        r"https?:|//\w|@import|innerHTML|outerHTML|insertAdjacentHTML|\beval\b|document\.write|new Function"
    )
    for path in ASSETS.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        code = re.sub(r"^\s*// .*$", "", text, flags=re.MULTILINE)
        assert forbidden.findall(code) == [], path.name
    page = (ASSETS / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)


@pytest.mark.parametrize("address", ["/", "/assets/page.js", "/events/nothing", "/assets/../application.py"])
async def test_headers_of_every_answer(group: MadeUpGroup, address: str) -> None:
    """No inline script, no frame, nothing kept, nothing told to others; also where there is nothing."""
    told = await ask(application(group), address)
    policy = told.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "frame-ancestors 'none'" in policy
    assert told.headers["x-content-type-options"] == "nosniff"
    assert told.headers["referrer-policy"] == "no-referrer"
    assert told.headers["cache-control"] == "no-store"
    assert "set-cookie" not in told.headers
    assert "import" not in told.text or address != "/assets/../application.py"


async def test_a_look(group: MadeUpGroup) -> None:
    """First the points so far, then a look with everything."""
    (first, history), (second, look) = await events_until(application(group), "look")
    assert (first, history) == ("history", {"samples": []})
    assert second == "look"
    assert look["status"]["group"] == "ferry"
    assert {one["task"] for one in look["failures"]} == {"handleOrder", "sendInvoice"}
    assert look["oldest"]["entries"][0]["task_id"]
    assert look["sample"]["backlog"] == look["status"]["totals"]["backlog"]


async def test_while_redis_is_away(group: MadeUpGroup) -> None:
    """That is told, and looked again."""
    group.away = RedisUnavailable("Redis: away")
    app = application(group)
    assert await events_until(app, "problem") == [("history", {"samples": []}), ("problem", {"problem": "Redis: away"})]
    group.away = None
    assert (await events_until(app, "look"))[-1][1]["status"]["group"] == "ferry"


async def test_strangers_get_nothing(group: MadeUpGroup) -> None:
    """Neither page nor stream, and nothing is asked for them."""
    app = application(group, Access(KEY, frozenset(), "ferry-console-8090"))
    for address in ("/", "/events", "/assets/page.js", "/nowhere"):
        assert (await ask(app, address)).status == 401
        assert (await ask(app, f"{address}?token=wrong")).status == 401
        assert (await ask(app, address, headers=[("host", "evil.example")])).status == 400
    assert group.looks == 0


async def test_the_token_becomes_a_cookie(group: MadeUpGroup) -> None:
    """Given once in the address, it is kept where no script reads it and no other site sends it."""
    app = application(group, Access(KEY, frozenset(), "ferry-console-8090"))
    first = await ask(app, f"/?token={KEY}")
    assert first.status == 200
    cookie, *attributes = first.headers["set-cookie"].split("; ")
    assert set(attributes) == {"Path=/", "HttpOnly", "SameSite=Strict"}
    again = await ask(app, "/assets/page.js", headers=with_headers(cookie=cookie))
    assert again.status == 200
    assert "set-cookie" not in again.headers
    assert KEY not in first.text + again.text
