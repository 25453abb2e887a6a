"""Which beat sends what, with a Redis of the test's own whose time stands still unless it is moved."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.schedules import BaseSchedule, crontab, schedule
from hypothesis import given
from hypothesis import strategies as st

from ferry_shared.errors import RedisUnavailable
from ferry_worker.last_runs import MICROSECONDS, LastRun, Look
from ferry_worker.shared_schedule import LOOK_EVERY_SECONDS, SETTLE_SECONDS, SharedScheduler, ask, to_put_back

NOON_US = int(datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()) * MICROSECONDS
EVERY_MINUTE = {"minutely": {"task": "shop.count", "schedule": 60.0}}


class Records:
    """The last runs as Redis would keep them."""

    def __init__(self) -> None:
        self.now_us = NOON_US
        self.runs: dict[str, LastRun] = {}
        self.lose_reply = False
        self.before_claim: Callable[[], object] | None = None

    def look(self) -> Look:
        """What is there."""
        return Look(self.now_us, dict(self.runs))

    def claim(self, name: str, seen: LastRun, wanted: LastRun) -> bool:
        """Compare and set; before that, once, somebody else's turn."""
        if before := self.before_claim:
            self.before_claim = None
            before()
        claimed = self.runs.get(name) == seen
        if claimed:
            self.runs[name] = wanted
        if self.lose_reply:
            self.lose_reply = False
            raise RedisUnavailable("the reply is lost")
        return claimed

    def put_back(self, runs: Mapping[str, LastRun]) -> None:
        """Never to an earlier one."""
        for name, run in runs.items():
            if name not in self.runs or self.runs[name].at_us < run.at_us:
                self.runs[name] = run

    def close(self) -> None:
        """Nothing to close."""


class Beat(SharedScheduler):
    """A beat that notes when it sends, by the server's clock, instead of queueing a task."""

    producer = None

    def __init__(
        self,
        records: Records,
        sent: list[tuple[str, int]],
        runs: list[tuple[str, datetime]],
        entries: Mapping[str, Any],
        **conf: Any,
    ) -> None:
        self.__dict__["_last_runs"] = records
        self._records = records
        self._log = sent
        self.runs = runs
        app = Celery("shop", set_as_current=False)
        app.conf.update(conf, beat_schedule=dict(entries))
        super().__init__(app)

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Note the entry, the time, and which run it is."""
        self._log.append((entry.name, self._records.now_us))
        self.runs.append((entry.name, entry.last_run_at))


class Shop:
    """Two beats, their Redis, and what they sent."""

    def __init__(self, entries: Mapping[str, Any] = EVERY_MINUTE, **conf: Any) -> None:
        self.records = Records()
        self.sent: list[tuple[str, int]] = []
        self.runs: list[tuple[str, datetime]] = []
        conf = {"result_expires": None} | conf
        self.one, self.other = (Beat(self.records, self.sent, self.runs, entries, **conf) for _ in range(2))

    def go_on(self, seconds: float) -> None:
        """Move the server's time."""
        self.records.now_us += round(seconds * MICROSECONDS)

    def both(self) -> None:
        """One turn each, and another for what was met for the first time."""
        for beat in (self.one, self.other, self.one, self.other):
            beat.tick()

    @property
    def seconds(self) -> list[float]:
        """When something was sent, after noon."""
        return [(at_us - NOON_US) / MICROSECONDS for _, at_us in self.sent]


@pytest.fixture
def shop() -> Shop:
    """Two beats with one entry, a minute's interval, that they have met."""
    shop = Shop()
    shop.both()
    return shop


def test_the_first_run_comes_after_the_first_interval(shop: Shop) -> None:
    """As with Celery's own scheduler; a second beat that starts later changes nothing."""
    shop.go_on(59.9)
    shop.both()
    assert shop.sent == []
    shop.go_on(0.1)
    shop.both()
    assert shop.seconds == [60]


def test_a_restart_keeps_the_time(shop: Shop) -> None:
    """A new beat knows from Redis when the entry is due, and sends once for all that was missed."""
    shop.go_on(600)
    successor = Beat(shop.records, shop.sent, shop.runs, EVERY_MINUTE, result_expires=None)
    for _ in range(3):
        successor.tick()
    shop.both()
    assert shop.seconds == [600]


def test_who_paused_before_its_claim_does_not_send(shop: Shop) -> None:
    """The other one sends meanwhile, also twice; what the first one has seen is no longer true."""

    def meanwhile() -> None:
        shop.other.tick()
        shop.go_on(60)
        shop.other.tick()

    shop.go_on(60)
    shop.records.before_claim = meanwhile
    shop.one.tick()
    shop.one.tick()
    assert shop.seconds == [60, 120]


def test_a_claim_whose_reply_was_lost_is_sent_once(shop: Shop) -> None:
    """The next look shows that it counted; nobody else takes it for his."""
    shop.go_on(60)
    shop.records.lose_reply = True
    assert shop.one.tick() == LOOK_EVERY_SECONDS
    shop.go_on(1)
    shop.other.tick()
    assert shop.sent == []
    shop.both()
    assert shop.seconds == [61]


def test_a_claim_that_did_not_arrive_is_made_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unanswered claim leaves the entry due."""
    shop.go_on(60)

    def refuse(*_: Any) -> bool:
        raise RedisUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(shop.records, "claim", refuse)
        shop.one.tick()
    shop.go_on(1)
    shop.one.tick()
    assert shop.seconds == [61]


def test_what_redis_lost_is_put_back_before_anything_is_sent(shop: Shop) -> None:
    """A beat that hasn't seen the latest run yet waits for the one that has."""
    shop.go_on(60)
    shop.one.tick()
    shop.records.runs.clear()
    assert shop.other.tick() == SETTLE_SECONDS
    assert shop.one.tick() == SETTLE_SECONDS
    shop.go_on(SETTLE_SECONDS)
    shop.both()
    assert shop.seconds == [60]
    shop.go_on(60)
    shop.both()
    assert shop.seconds == [60, 122]


def test_an_older_snapshot_counts_as_lost(shop: Shop) -> None:
    """A Redis that went back in time doesn't make an entry due again."""
    before = dict(shop.records.runs)
    shop.go_on(60)
    shop.one.tick()
    shop.records.runs = before
    assert shop.one.tick() == SETTLE_SECONDS
    shop.both()
    assert shop.seconds == [60]


@pytest.mark.parametrize("hours", [-5, 0, 5])
def test_the_hosts_clock_does_not_count(hours: int) -> None:
    """A crontab runs at the server's noon, whatever the host's clock says."""

    def wrong() -> datetime:
        return datetime.now(UTC) + timedelta(hours=hours)

    shop = Shop({"daily": {"task": "shop.count", "schedule": crontab(minute=1, hour=12, nowfun=wrong)}})
    shop.both()
    shop.go_on(59)
    shop.both()
    assert shop.sent == []
    shop.go_on(1)
    shop.both()
    shop.go_on(60)
    shop.both()
    assert shop.seconds == [60]


def test_a_schedules_time_zone_counts() -> None:
    """A day that ends at midnight ends two hours earlier in a zone that is two hours ahead."""
    for zone, hours in ((UTC, 12.0), (timezone(timedelta(hours=2)), 10.0)):
        daily = schedule(timedelta(days=1), relative=True, nowfun=partial(datetime.now, zone))
        assert ask(daily, NOON_US, NOON_US) == (False, hours * 3600)
        assert ask(daily, NOON_US, NOON_US + int(hours * 3600) * MICROSECONDS)[0]


def test_asking_leaves_the_schedules_clock_alone() -> None:
    """It belongs to the user, who may have given one schedule to several entries."""
    mine = schedule(60.0, nowfun=lambda: datetime.now(UTC))
    clock = mine.nowfun
    ask(mine, NOON_US, NOON_US)
    assert mine.nowfun is clock


class Stubborn(BaseSchedule):  # type: ignore[misc]  # Celery has no types
    """A schedule of a user's own."""

    def __init__(self, answer: Callable[[], tuple[bool, Any]]) -> None:
        super().__init__(nowfun=lambda: datetime.now(UTC))
        self.answer = answer
        self.asked = 0

    def is_due(self, last_run_at: datetime) -> Any:
        """Whatever it was told."""
        self.asked += 1
        return self.answer()


def test_a_schedule_that_fails_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """It is told, with the entry's name, and asked again after a minute."""
    broken = Stubborn(lambda: (True, 1 / 0))
    shop = Shop(EVERY_MINUTE | {"broken": {"task": "shop.count", "schedule": broken}})
    shop.one.tick()
    for _ in range(61):
        shop.go_on(1)
        shop.one.tick()
    assert [name for name, _ in shop.sent] == ["minutely"]
    assert broken.asked == 2
    assert "'broken'" in caplog.text


def test_a_schedule_without_an_idea_is_asked_again_soon() -> None:
    """Not due, and no number: Celery asks again after its longest sleep."""
    assert ask(Stubborn(lambda: (False, None)), NOON_US, NOON_US) == (False, LOOK_EVERY_SECONDS)


def test_entries_may_come_and_change_while_it_runs(shop: Shop) -> None:
    """A changed interval counts at once, and a new entry from its first interval on."""
    for beat in (shop.one, shop.other):
        beat.update_from_dict({"minutely": {"task": "shop.count", "schedule": 10.0}})
        beat.add(name="fast", task="shop.count", schedule=5.0)
    shop.both()
    shop.go_on(5)
    shop.both()
    shop.go_on(5)
    shop.both()
    assert shop.sent == [
        (name, NOON_US + us * MICROSECONDS) for name, us in [("fast", 5), ("minutely", 10), ("fast", 10)]
    ]


def test_it_sleeps_until_the_next_entry_and_never_long(shop: Shop) -> None:
    """It looks every second, so that it can put back what Redis loses."""
    assert shop.one.tick() == LOOK_EVERY_SECONDS
    shop.go_on(59.75)
    assert shop.one.tick() == pytest.approx(0.25)
    assert Shop(beat_max_loop_interval=300).one.max_interval == LOOK_EVERY_SECONDS
    assert Shop(beat_max_loop_interval=0.5).one.max_interval == 0.5
    assert Shop({}).one.tick() == LOOK_EVERY_SECONDS


def test_celerys_clean_up_of_results_is_kept(tmp_path: Path) -> None:
    """An app whose results don't expire by themselves has it every night, as with Celery's default scheduler."""
    shop = Shop(result_backend=tmp_path.as_uri(), result_expires=3600)
    assert set(shop.one.schedule) == {"minutely", "celery.backend_cleanup"}


@given(
    st.lists(st.tuples(st.sampled_from(["one", "other", "forget", "reply"]), st.integers(0, 90_000_000)), max_size=60)
)
def test_no_order_of_events_sends_a_run_twice(steps: list[tuple[str, int]]) -> None:
    """Whoever takes his turn when, whatever is lost: runs are an interval apart, a crontab's one for each minute."""
    shop = Shop(EVERY_MINUTE | {"cron": {"task": "shop.count", "schedule": crontab()}})
    shop.both()
    for who, us in steps:
        shop.records.now_us += us
        if who == "forget":
            shop.records.runs.clear()
            shop.both()
        elif who == "reply":
            shop.records.lose_reply = True
            shop.one.tick()
        else:
            taker, between = (shop.one, shop.other) if who == "one" else (shop.other, shop.one)
            shop.records.before_claim = between.tick if us % 2 else None
            taker.tick()
            shop.records.before_claim = None
    shop.both()
    # Sorted: a run whose claim got no answer may be sent after the next one.
    runs = {name: sorted(run for entry, run in shop.runs if entry == name) for name in ("minutely", "cron")}
    assert all(later - earlier >= timedelta(minutes=1) for earlier, later in pairwise(runs["minutely"]))
    assert all(later.replace(second=0, microsecond=0) > earlier for earlier, later in pairwise(runs["cron"]))
    recorded = {name: shop.records.runs[name] for name in runs}
    assert {name: run.at_us for name, run in recorded.items() if run.sender != "first"} == {
        name: us_of(times[-1]) for name, times in runs.items() if times
    }


def us_of(time: datetime) -> int:
    """Microseconds since 1970."""
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


runs_of_names = st.dictionaries(st.sampled_from("abcd"), st.builds(LastRun, st.integers(0, 9), st.sampled_from("xy")))


@given(st.sets(st.sampled_from("abcd")), runs_of_names, runs_of_names)
def test_afterwards_redis_knows_every_entry(
    names: set[str], stored: dict[str, LastRun], known: dict[str, LastRun]
) -> None:
    """The latest of what it holds and what is remembered; entries of other beats stay out of it."""
    look = Look(10, stored)
    lacking = to_put_back(names, look, known)
    after = stored | lacking
    assert lacking.keys() <= names <= after.keys()
    for name in names:
        times = [run.at_us for run in (stored.get(name), known.get(name)) if run]
        assert after[name].at_us == max(times, default=10)
    assert to_put_back(names, replace(look, runs=after), known) == {}


@given(st.integers(0, 10**15), st.text("0123456789abcdef", min_size=1))
def test_a_run_is_read_as_it_was_written(at_us: int, sender: str) -> None:
    """Text and back."""
    assert LastRun.parse(str(LastRun(at_us, sender))) == LastRun(at_us, sender)


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    """It is a run, written just so but for leading zeros, or none."""
    run = LastRun.parse(text)
    assert run is None or str(run) == text.lstrip("0") or text.startswith("0")
