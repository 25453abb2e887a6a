"""The live page in a real browser, over a made-up group: shown, by keyboard, in both colours, to screen readers."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import selenium_axe_python
from selenium.webdriver.common.keys import Keys

from ferry_console.local.ports import free_port
from ferry_console.moments import age_text
from ferry_console.page.application import Sources
from ferry_console.page.watching import GroupWatch
from ferry_shared.errors import KafkaUnavailable, RedisUnavailable
from ferry_shared.record import TaskId
from tests.support.browser import Browser, browser
from tests.support.eventually import eventually
from tests.support.page_parts import MadeUpFinder, MadeUpGroup, MadeUpLetters
from tests.support.page_server import served

AXE = (Path(selenium_axe_python.__file__).parent / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
WIDE, NARROW = (1280, 900), (320, 700)


class Parts:
    """The made-up parts of a page, which a test can move."""

    def __init__(self) -> None:
        self.group = MadeUpGroup()
        self.letters = MadeUpLetters()
        self.finders: dict[str, MadeUpFinder] = {}
        self.watch = GroupWatch(self.group, 300.0)

    def finder(self, task_id: TaskId) -> MadeUpFinder:
        """The one message that is traced; those of topic `dying` become dead letters."""
        self.finders[task_id.text] = MadeUpFinder(task_id, dies=task_id.topic == "dying")
        return self.finders[task_id.text]

    @property
    def sources(self) -> Sources:
        """For a server."""
        return Sources(self.watch, self.finder, self.letters)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests of this file."""
    with browser() as started:
        yield started


@pytest.fixture
def parts() -> Parts:
    """Fresh ones."""
    return Parts()


@pytest.fixture
def page(chromium: Browser, parts: Parts) -> Iterator[Browser]:
    """The page, wide and live; at its end the browser must not have complained of anything."""
    with served(parts.sources) as address:
        chromium.size(*WIDE)
        chromium.media(prefers_color_scheme="light")
        chromium.driver.get(address)
        chromium.script("localStorage.clear()")
        chromium.driver.get(address)
        chromium.wait_for_text("#connection", "live")
        yield chromium
        assert chromium.complaints() == []
        chromium.driver.get("about:blank")


def test_a_look_reaches_the_page(page: Browser, parts: Parts) -> None:
    """Totals, charts with a sentence, partitions with what stops them, the oldest, failures by task; and again."""
    page.wait_for_text("#totals", "dead letters")
    assert "30" in page.text("#totals"), "3 + 6 + 9 + 12 dead letters"
    page.wait_for_text("#rate-chart", "a second")
    label = page.script("return document.querySelector('#backlog-chart svg').getAttribute('aria-label')")
    assert label.startswith("Backlog: messages not yet done: ")
    rows = page.text("#partitions").splitlines()
    assert any(row.startswith("orders") and row.endswith("shop-1:4711") and "at work" in row for row in rows)
    assert any(row.startswith("invoices") and "paused: operator" in row for row in rows)
    assert "paused (operator) by ann@desk" in page.text("#warnings")
    assert "retrying" in page.text("#oldest")
    assert page.text("#failures tbody tr").split() == ["handleOrder", "orders", "18", "0", "0"]
    parts.group.died += 5
    eventually(lambda: page.text("#failures tbody tr").split(), ["handleOrder", "orders", "33", "15", "0"])
    before = parts.group.looks
    first = page.text("#partitions")
    eventually(lambda: parts.group.looks >= before + 2 and page.text("#partitions") != first, True)


def test_ages_are_told_as_the_commands_tell_them(page: Browser) -> None:
    """The same words for the same number of seconds."""
    seconds = [0, 0.04, 1.5, 59.9, 60, 61.7, 119, 3599.9, 3600, 3661, 7200, 86_399, 86_400, 90_000, 1e7]
    told = page.driver.execute_async_script(
        "const [numbers, done] = arguments;"
        "import('/assets/format.js').then(({age}) => done([...numbers.map((one) => age(one)), age(null)]))",
        seconds,
    )
    assert told == [*map(age_text, seconds), "-"]


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (1, 1), (1.2, 2), (4.9, 5), (5.1, 10), (10, 10), (11, 20), (999_999, 1_000_000)]
)
def test_charts_end_at_round_numbers(page: Browser, value: float, top: float) -> None:
    """The next of 1, 2, 5, 10, 20 and so on."""
    told = page.driver.execute_async_script(
        "const [value, done] = arguments; import('/assets/chart.js').then(({niceTop}) => done(niceTop(value)))", value
    )
    assert told == top


def test_what_came_with_a_message_stays_text(page: Browser) -> None:
    """Its HTML is shown, not obeyed; what would turn text around is shown by its code."""
    page.wait_for_text("#letters", "orders-1-41")
    page.script("document.querySelectorAll('#letters button')[0].scrollIntoView()")
    assert "<img src=x" in page.text("#letters")
    page.click("#letters tbody tr:first-child button")
    page.wait_for_text("#letter-value", "<script>document.title='taken'</script>\\u202e")
    page.click("#letter-close")
    page.type("#message", "orders-0-7")
    page.driver.find_element("css selector", "#message").send_keys(Keys.ENTER)
    page.wait_for_text("#trace-facts", "<img src=x")
    assert page.driver.title == "Ferry"
    assert page.script("return document.querySelectorAll('img, main script').length") == 0


@pytest.mark.parametrize(
    "code",
    [
        "document.body.innerHTML = '<p>x</p>'",
        "document.body.setAttribute('onclick', 'x')",
        "document.createElement('script').text = 'x'",
    ],
)
def test_the_policy_forbids_text_as_code(page: Browser, code: str) -> None:
    """If ever a mistake tried to make HTML or a script of a text, the browser would refuse."""
    assert page.script(f"try {{ {code}; return 'done' }} catch {{ return 'refused' }}") == "refused"
    page.complaints()


def test_it_says_that_it_is_stale_and_comes_back(chromium: Browser, parts: Parts) -> None:
    """While the server is away, and while it refuses; it goes on by itself, and its charts too."""
    port = free_port()
    with served(parts.sources, port) as address:
        chromium.driver.get(address)
        chromium.wait_for_text("#connection", "live")
        _numbers_of_the_backlog(chromium, at_least=3)
    chromium.wait_for_text("#connection", "stale: ferry console doesn't answer; trying again")
    with served(parts.sources, port, token="a-token-of-the-test"):
        chromium.wait_for_text("#connection", "no valid token: open the link")
    anew = Parts()
    anew.group.looks = parts.group.looks
    with served(anew.sources, port):
        chromium.wait_for_text("#connection", "live")
        _numbers_of_the_backlog(chromium, at_least=4)
        chromium.driver.get("about:blank")
    chromium.complaints()


def _numbers_of_the_backlog(page: Browser, at_least: int) -> None:
    """How many points the line has."""
    code = (
        "return (document.querySelector('#backlog-chart .chart-line')?.getAttribute('d') ?? '').split(',').length - 1"
    )
    eventually(lambda: page.script(code) >= at_least, True)


def test_while_redis_is_away(page: Browser, parts: Parts) -> None:
    """Its error is told, and what is shown is marked as stale."""
    parts.group.away = RedisUnavailable("Redis: <b>away</b>")
    page.wait_for_text("#connection", "stale: Redis: <b>away</b>; trying again")
    assert page.script("return document.body.classList.contains('stale')")
    parts.group.away = None
    page.wait_for_text("#connection", "live")


def test_nobody_looks_nothing_is_asked(page: Browser, parts: Parts) -> None:
    """Two pages cost as much as one; a page that is hidden or closed costs nothing."""
    address, first = page.driver.current_url, page.driver.current_window_handle
    page.driver.switch_to.new_window("window")
    second = page.driver.current_window_handle
    page.driver.get(address)
    page.wait_for_text("#connection", "live")
    began, before = time.monotonic(), parts.group.looks
    eventually(lambda: parts.group.looks >= before + 4, True)
    assert time.monotonic() - began > 2.5, "two browsers share their looks"
    page.driver.close()
    page.driver.switch_to.window(first)
    assert second not in page.driver.window_handles
    hide(page, hidden=True)
    _stands_still(parts)
    hide(page, hidden=False)
    looks = parts.group.looks
    eventually(lambda: parts.group.looks > looks, True)


def _stands_still(parts: Parts) -> None:
    time.sleep(1.5)
    looks = parts.group.looks
    time.sleep(2.5)
    assert parts.group.looks == looks


def hide(page: Browser, *, hidden: bool) -> None:
    """A headless browser shows all of its windows, so the page is told that it is hidden."""
    change = "Object.defineProperty(document, 'hidden', {value: arguments[0], configurable: true})"
    page.script(f"{change}; document.dispatchEvent(new Event('visibilitychange'))", hidden)


def test_a_message_is_followed_to_its_end(page: Browser, parts: Parts) -> None:
    """By keyboard alone: Kafka, queued, running, done, each within a second; then nothing more is asked of it."""
    page.driver.find_element("css selector", "body").send_keys(Keys.TAB)
    assert page.driver.switch_to.active_element.text == "Skip to the search for a message"
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    page.driver.find_element("css selector", "#message").send_keys("orders-0-7", Keys.ENTER)
    page.wait_for_text("#trace-answer", "orders-0-7: in Kafka, not yet dispatched")
    finder = parts.finders["orders-0-7"]
    for told in ("orders-0-7: queued, 7 before it", "orders-0-7: running", "orders-0-7: done"):
        finder.move()
        page.wait_for_text("#trace-answer", told, timeout_seconds=1.0)
    steps = page.text("#trace-way").split("\n")
    assert [step for step in steps if step in {"Kafka", "queued", "running", "done"}] == [
        "Kafka",
        "queued",
        "running",
        "done",
    ]
    assert "passed, 0.10 s after" in page.text("#trace-way")
    assert page.driver.current_url.endswith("#trace=orders-0-7")
    time.sleep(0.5)
    looks = finder.looks
    time.sleep(1.0)
    assert finder.looks == looks
    assert finder.closed == 1


def test_a_message_that_dies(page: Browser, parts: Parts) -> None:
    """Its way ends as a dead letter; and from an address that names it."""
    page.driver.get(page.driver.current_url + "#trace=dying-0-9")
    page.wait_for_text("#trace-answer", "dying-0-9: in Kafka")
    for _ in range(3):
        parts.finders["dying-0-9"].move()
    page.wait_for_text("#trace-answer", "dying-0-9: a dead letter")
    assert "dying.dlq-0-0" in page.text("#trace-facts")


def test_what_is_no_task_id(page: Browser) -> None:
    """A sentence says what is expected."""
    page.type("#message", "nonsense")
    page.driver.find_element("css selector", "#message").send_keys(Keys.ENTER)
    page.wait_for_text("#trace-answer", "'nonsense' is no task id of Ferry's")
    assert len(page.complaints()) >= 1, "the browser tells of the answer 400"


def test_dead_letters_are_filtered_and_shown(page: Browser, parts: Parts) -> None:
    """By reason; one of them whole, and from there its way."""
    page.wait_for_text("#letters-told", "5 dead letters of orders.dlq, newest first")
    page.type("#letters-form [name=reason]", "TimeLimitExceeded")
    page.click("#letters-form button")
    page.wait_for_text("#letters-told", "1 dead letter of orders.dlq")
    assert parts.letters.queries[-1].reason == "TimeLimitExceeded"
    page.type("#letters-form [name=since]", "soon")
    page.click("#letters-form button")
    page.wait_for_text("#letters-told", "since: expected how long ago")
    page.complaints()
    page.type("#letters-form [name=since]", "9999d")
    page.click("#letters-form button")
    page.wait_for_text("#letters", "orders-2-42")
    page.click("#letters tbody th button")
    page.wait_for_text("#letter-facts", "customer-7")
    page.click("#letter-trace")
    page.wait_for_text("#trace-answer", "orders-2-42: in Kafka")


def test_dead_letters_are_replayed(page: Browser, parts: Parts) -> None:
    """Those selected, after a dry run and a confirmation; once, unless forced; Escape changes nothing."""
    page.wait_for_text("#letters", "orders-1-44")
    assert page.script("return document.querySelector('#replay').disabled")
    page.click("#letters tbody tr:nth-child(1) input")
    page.click("#letters tbody tr:nth-child(2) input")
    page.click("#replay")
    page.wait_for_text("#confirm-told", "would replay 2 dead letters")
    page.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    eventually(lambda: page.script("return document.querySelector('#confirm').open"), False)
    assert parts.letters.replayed == []
    page.click("#replay")
    # The button still reads as it did before Escape.
    page.wait_for_text("#confirm-told", "would replay 2 dead letters")
    page.wait_for_text("#confirm-go", "Replay 2")
    page.click("#confirm-go")
    page.wait_for_text("#confirm-told", "ann@desk replayed 2 dead letters")
    assert parts.letters.replayed == [4, 3]
    page.click("#confirm-cancel")
    page.click("#replay")
    page.wait_for_text("#confirm-told", "would replay 0 dead letters; 2 more had been replayed before")
    assert page.script("return document.querySelector('#confirm-go').disabled")
    page.click("#confirm-force")
    page.wait_for_text("#confirm-go", "Replay 2")
    assert [request.dry_run for request in parts.letters.requests] == [True, True, False, True, True]
    assert parts.letters.requests[-1].force
    page.click("#confirm-cancel")


def test_while_kafka_is_away(page: Browser, parts: Parts) -> None:
    """The list says so, and a replay too."""
    page.wait_for_text("#letters", "orders-1-44")
    page.click("#letters thead input")
    parts.letters.away = KafkaUnavailable("Kafka: away")
    page.click("#replay")
    page.wait_for_text("#confirm-told", "Kafka: away")
    assert page.script("return document.querySelector('#confirm-go').disabled")
    page.click("#confirm-cancel")
    page.click("#letters-form button")
    page.wait_for_text("#letters-told", "Kafka: away")
    page.complaints()


def test_the_token_is_given_once(chromium: Browser, parts: Parts) -> None:
    """By the link; then it is in a cookie that no script reads, and no longer in the address."""
    with served(parts.sources, token="a-token-of-the-test") as address:
        chromium.driver.get(address)
        assert "no valid token" in chromium.text("body")
        chromium.driver.get(f"{address}/?token=a-token-of-the-test")
        chromium.wait_for_text("#connection", "live")
        assert chromium.driver.current_url == f"{address}/"
        assert chromium.script("return document.cookie") == ""
        chromium.driver.get(address)
        chromium.wait_for_text("#connection", "live")
        chromium.wait_for_text("#letters", "orders-1-44")
        chromium.driver.get("about:blank")
    chromium.complaints()


def ground(page: Browser) -> str:
    """The page's background."""
    told: str = page.script("return getComputedStyle(document.body).backgroundColor")
    return told


def test_light_and_dark(page: Browser) -> None:
    """As the system wants it, or as chosen; the choice outlives the page."""
    light = ground(page)
    page.media(prefers_color_scheme="dark")
    dark = ground(page)
    assert light != dark
    page.script(
        "const it = document.querySelector('#theme'); it.value = 'light'; it.dispatchEvent(new Event('change'))"
    )
    assert ground(page) == light
    page.driver.refresh()
    page.wait_for_text("#connection", "live")
    assert ground(page) == light


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_accessibility(page: Browser, scheme: str, size: tuple[int, int]) -> None:
    """Nothing that axe knows is wrong, in both colours, also on a narrow screen, with a message's way and a dialog."""
    page.media(prefers_color_scheme=scheme)
    page.size(*size)
    page.wait_for_text("#letters", "orders-1-44")
    page.driver.get(page.driver.current_url + "#trace=orders-0-7")
    page.wait_for_text("#trace-way", "queued")
    assert violations(page) == []
    page.script("document.querySelector('#letters tbody th button').click()")
    page.wait_for_text("#letter-facts", "customer-7")
    assert violations(page) == []


def violations(page: Browser) -> list[str]:
    """What axe finds, with the elements."""
    page.script(f"{AXE}; window.axe = axe")
    found = page.driver.execute_async_script(
        "const done = arguments[arguments.length - 1]; axe.run(document).then((told) => done(told.violations))"
    )
    return [f"{one['id']}: {node['html'][:200]} {node['failureSummary']}" for one in found for node in one["nodes"]]


def test_a_narrow_screen(page: Browser) -> None:
    """Nothing but tables is wider than the screen, and those scroll by themselves."""
    page.size(*NARROW)
    page.wait_for_text("#letters", "orders-1-44")
    width = page.script("return document.documentElement.scrollWidth")
    assert width <= NARROW[0]
    assert page.script(
        "const it = document.querySelector('#partitions').parentElement; return it.scrollWidth > it.clientWidth"
    )
