"""The last runs of beat's schedule, on a real Valkey: recorded once, never set back, read with the server's time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger.client import connect
from ferry_worker.last_runs import LastRun, LastRuns

FIRST = LastRun(1_700_000_000_000_001)
SECOND = LastRun(1_700_000_001_000_002, "a1")
OTHER = LastRun(1_700_000_001_000_002, "b2")


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """An empty database."""
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def runs(client: redis.Redis) -> LastRuns:
    """The last runs of one app, none yet."""
    return LastRuns(client, "blue-", "a:b", "shop")


def test_only_one_of_two_claims_succeeds(runs: LastRuns) -> None:
    """The second has seen what is no longer true."""
    runs.put_back({"nightly": FIRST})
    assert runs.claim("nightly", FIRST, SECOND)
    assert not runs.claim("nightly", FIRST, OTHER)
    assert runs.look().runs == {"nightly": SECOND}


def test_only_one_of_many_at_once_succeeds(redis_url: str, runs: LastRuns) -> None:
    """Of claims from 20 connections at the same time, one counts, run after run."""
    runs.put_back({"nightly": FIRST})
    seen = FIRST
    with ThreadPoolExecutor(20) as pool:
        beats = [LastRuns(connect(redis_url), "blue-", "a:b", "shop") for _ in range(20)]
        for number in range(10):
            wanted = [LastRun(seen.at_us + 1 + number, f"{index:x}") for index in range(20)]
            counted = list(pool.map(lambda beat, run, seen=seen: beat.claim("nightly", seen, run), beats, wanted))
            assert sum(counted) == 1
            seen = wanted[counted.index(True)]
            assert runs.look().runs["nightly"] == seen
        for beat in beats:
            beat.close()


def test_what_was_lost_can_not_be_claimed(client: redis.Redis, runs: LastRuns) -> None:
    """After a FLUSHALL nobody gets to send before the last runs are put back."""
    runs.put_back({"nightly": FIRST})
    client.flushall()
    assert not runs.claim("nightly", FIRST, SECOND)
    assert runs.look().runs == {}


def test_putting_back_never_sets_back(runs: LastRuns) -> None:
    """The latest run that anybody remembers stays."""
    runs.put_back({"nightly": SECOND, "hourly": FIRST})
    runs.put_back({"nightly": FIRST, "hourly": SECOND})
    assert runs.look().runs == {"nightly": SECOND, "hourly": SECOND}


def test_what_is_no_run_is_overwritten(client: redis.Redis, runs: LastRuns) -> None:
    """A value of somebody else's counts as none."""
    client.hset(runs.key, mapping={"nightly": "yesterday", b"\xff": "1:a"})
    assert "nightly" not in runs.look().runs
    runs.put_back({"nightly": FIRST})
    assert runs.look().runs["nightly"] == FIRST


def test_a_full_redis_takes_no_run(client: redis.Redis, runs: LastRuns) -> None:
    """What can't be queued must not be recorded either."""
    runs.put_back({"nightly": FIRST})
    client.config_set("maxmemory", "1")
    try:
        with pytest.raises(RedisUnavailable):
            runs.claim("nightly", FIRST, SECOND)
    finally:
        client.config_set("maxmemory", "0")
    assert runs.look().runs == {"nightly": FIRST}


def test_the_time_is_the_servers(client: redis.Redis, runs: LastRuns) -> None:
    """In microseconds, between two other answers of the server."""
    before, now_us, after = client.time(), runs.look().now_us, client.time()
    assert isinstance(before, tuple)
    assert isinstance(after, tuple)
    assert before[0] * 1_000_000 + before[1] <= now_us <= after[0] * 1_000_000 + after[1]


def test_groups_and_apps_have_schedules_of_their_own(client: redis.Redis, runs: LastRuns) -> None:
    """What can't stand in a key is encoded, so no two names meet."""
    assert runs.key == "blue-ferry:beat:a%3Ab:shop"
    runs.put_back({"nightly": FIRST})
    assert LastRuns(client, "blue-", "a", "b:shop").look().runs == {}
