"""Forgetting a group on a real Valkey: every key of it goes, none of another group, and nobody's new ledger."""

import json
import re
import sys
from typing import Any

import pytest

from ferry_console.cli import main
from ferry_console.operating import group_keys
from ferry_console.operating.group_keys import Kind, find_group, remove_keys, remove_ledger
from ferry_shared.ledger.group_view import LedgerView, view_ledgers
from ferry_shared.ledger.keys import LedgerKeys, pause_key, replayed_key, status_key
from ferry_shared.ledger.pauses import Pause, pause
from ferry_shared.record import TopicPartition
from ferry_worker.last_runs import LastRun, LastRuns
from tests.support.clean_environment import clean_environment
from tests.support.ledger_probe import LedgerProbe
from tests.support.terminal import Terminal

NOBODY_THERE = "127.0.0.1:1"
PREFIX = "p*[a-z]?\\:"


def written(ledger: LedgerProbe, prefix: str, group: str, topic: str = "orders") -> set[str]:
    """All that Redis can hold of a group: a ledger with entries and state, and one key of each other kind."""
    client = ledger.client
    keys = LedgerKeys.of(prefix, group, TopicPartition(topic, 3))
    client.hset(keys.head, mapping={"format": "1", "ledger": "l", "epoch": "1", "position": "5", "committed": "5"})
    client.zadd(keys.inflight, {"4": 4})
    client.hset(keys.state, "4", "{}")
    client.zadd(keys.times, {"4:1:1": 4})
    client.zadd(keys.attention, {"4": 1})
    client.hset(status_key(prefix, group), f"{topic}:3", "{}")
    pause(client, prefix, group, topic, Pause("alice@host", 1, "why"))
    client.hset(replayed_key(prefix, group), mapping={"a": "1", "b": "2"})
    LastRuns(client, prefix, group, "shop:app").put_back({"nightly": LastRun(1, "a")})
    beat = f"{prefix}ferry:beat:"
    return {
        *keys.all, status_key(prefix, group), pause_key(prefix, group), replayed_key(prefix, group),
        *(name.decode() for name in client.scan_iter() if name.decode().startswith(beat)),
    } - all_keys_of_others(ledger, prefix, group)  # fmt: skip


def all_keys_of_others(ledger: LedgerProbe, prefix: str, group: str) -> set[str]:
    """Beat's keys that aren't this group's."""
    own = LastRuns(ledger.client, prefix, group, "shop:app").key
    return {name for name in ledger.dump() if name.startswith(f"{prefix}ferry:beat:") and name != own}


@pytest.mark.parametrize("prefix", ["", PREFIX])
@pytest.mark.parametrize("group", ["blue", "a:b{c}", "a*", "[ab]", "ferry", "%41", "grün\n"])
def test_every_key_of_the_group_is_found_and_none_of_another(ledger: LedgerProbe, prefix: str, group: str) -> None:
    """Whatever characters prefix and group have: a pattern finds only what it names."""
    own = written(ledger, prefix, group)
    for other_prefix, other in (
        (prefix, f"{group}2"), (prefix, f"x{group}"), (prefix, "ab"), (prefix, "a"), (f"other{prefix}", group),
        (prefix, "aaa"), ("pXa:", group),
    ):  # fmt: skip
        written(ledger, other_prefix, other)
    found = find_group(ledger.client, prefix, group)
    assert {name for one in found for name in one.names} == own
    assert len(own) == 9
    assert {one.kind: one.entries for one in found} == {
        Kind.LEDGER: 0, Kind.STATUS: 1, Kind.PAUSES: 1, Kind.REPLAYED: 2, Kind.LAST_RUNS: 1,
    }  # fmt: skip
    before = ledger.dump()
    for one in found:
        if one.place is not None and one.view is not None:
            assert one.place == TopicPartition("orders", 3)
            assert remove_ledger(ledger.client, prefix, group, one.place, one.view)
        else:
            remove_keys(ledger.client, one.names)
    assert ledger.dump() == {name: content for name, content in before.items() if name not in own}


def test_parts_of_a_ledger_and_keys_of_no_known_kind_go_too(ledger: LedgerProbe) -> None:
    """What eviction or another version left."""
    ledger.client.zadd(ledger.keys.times, {"4:1:1": 4})
    stray = f"{ledger.keys.head}-of-old"
    ledger.client.set(stray, "x")
    ledgers, other = find_group(ledger.client, "", ledger.group)
    assert (ledgers.names, other.kind, other.names) == ((ledger.keys.times,), Kind.OTHER, (stray,))


def test_many_keys_are_found_and_removed_in_steps(ledger: LedgerProbe) -> None:
    """Among others, more than one SCAN or UNLINK takes."""
    others = {f"other:{number}": b"x" for number in range(12_000)}
    ledger.client.mset(others)
    strays = {f"{ledger.keys.head}:{number}": b"x" for number in range(1_200)}
    ledger.client.mset(strays)
    ledger.call("CONFIG", "RESETSTAT")
    found = find_group(ledger.client, "", ledger.group)
    names = [name for one in found for name in one.names]
    assert sorted(names) == sorted(strays)
    remove_keys(ledger.client, names)
    assert ledger.client.dbsize() == len(others)
    told = ledger.client.info("commandstats")
    assert "cmdstat_keys" not in told
    assert (told["cmdstat_scan"]["calls"] > 1, told["cmdstat_unlink"]["calls"]) == (True, 3)


@pytest.mark.parametrize("change", ["acquire", "dispatch", "done", "committed", "gone"])
def test_a_ledger_that_somebody_has_taken_up_stays(ledger: LedgerProbe, change: str) -> None:
    """Between the look and the removal."""
    ledger.own()
    ledger.dispatch(["0", "1"])
    (found,) = find_group(ledger.client, "", ledger.group)
    assert found.view is not None
    if change == "acquire":
        ledger.own(2)
    elif change == "dispatch":
        ledger.dispatch(["2"])
    elif change == "done":
        ledger.claim("0")
        ledger.outcome("done", "0")
    elif change == "committed":
        ledger.committed(1)
    else:
        ledger.client.delete(*ledger.keys.all)
    before = ledger.dump()
    assert not remove_ledger(ledger.client, "", ledger.group, ledger.place, found.view)
    assert ledger.dump() == before


def test_a_ledger_that_is_taken_up_at_the_last_moment_stays(
    ledger: LedgerProbe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the second look and the removal."""
    ledger.own()
    (found,) = find_group(ledger.client, "", ledger.group)
    assert found.view is not None

    def looked_and_then_taken_up(*arguments: Any) -> list[LedgerView]:
        views = view_ledgers(*arguments)
        ledger.own()
        return views

    monkeypatch.setattr(group_keys, "view_ledgers", looked_and_then_taken_up)
    assert not remove_ledger(ledger.client, "", ledger.group, ledger.place, found.view)
    assert ledger.head()["epoch"] == "2"


def test_without_kafka(
    ledger: LedgerProbe, redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether somebody is at work isn't known: exit code 3, and nothing goes; by force it goes, and that is said."""
    monkeypatch.setenv("CELERY_BROKER_URL", redis_url)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", NOBODY_THERE)
    monkeypatch.setenv("LOGNAME", "alice")
    ledger.own()
    ledger.dispatch(["0"])
    before = ledger.dump()
    assert main(["forget", ledger.group, "--yes"]) == 3
    told = capsys.readouterr()
    assert (told.out, ledger.dump()) == ("", before)
    assert "KAFKA_BOOTSTRAP_SERVERS says where it is" in told.err
    assert "1 message in flight" in told.err
    assert main(["forget", ledger.group, "--force", "--dry-run", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["dry_run"], document["removed"], len(document["keys"])) == (True, False, 3)
    assert ledger.dump() == before
    assert main(["forget", ledger.group, "--force", "--yes"]) == 0
    told = capsys.readouterr()
    assert re.fullmatch(
        rf"\S+Z alice@\S+ forgot the group {ledger.group}: 3 keys in Redis; its commits in Kafka are left\n", told.out
    )
    assert "lost: they never end here" in told.err
    assert [name for name in ledger.dump() if ledger.group in name] == []
    assert main(["forget", ledger.group, "--yes"]) == 1
    assert capsys.readouterr().out == f"Redis holds nothing of the group {ledger.group}\n"


def test_live_consumers_are_not_overridden(
    ledger: LedgerProbe, redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not by force either: they would make it anew."""
    monkeypatch.setenv("CELERY_BROKER_URL", redis_url)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", NOBODY_THERE)
    ledger.own()
    word = {
        "at_ms": ledger.now_ms(), "topic": ledger.place.topic, "partition": 0, "consumer": "host:7", "log_end": 0,
        "committed": 0, "position": 0, "in_flight": 0, "oldest_ms": 0, "dead_letters": 0, "restored": 0, "rewound": 0,
        "paused": None,
    }  # fmt: skip
    ledger.client.hset(status_key("", ledger.group), f"{ledger.place.topic}:0", json.dumps(word))
    before = ledger.dump()
    assert main(["forget", ledger.group, "--force", "--yes"]) == 3
    assert "the consumer host:7 has told of it" in capsys.readouterr().err
    assert ledger.dump() == before


@pytest.mark.parametrize(("answer", "is_removed"), [("n\n", False), ("\n", False), ("yes\n", True)])
def test_on_a_terminal_it_asks(ledger: LedgerProbe, redis_url: str, answer: str, is_removed: bool) -> None:
    """After it has said what is lost; whatever isn't yes is no."""
    ledger.own()
    ledger.dispatch(["0"])
    environment = clean_environment() | {"CELERY_BROKER_URL": redis_url, "KAFKA_BOOTSTRAP_SERVERS": NOBODY_THERE}
    command = [sys.executable, "-m", "ferry_console", "forget", ledger.group, "--force"]
    with Terminal(command, environment) as terminal:
        terminal.wait_for(rf"forget the group {ledger.group}: 3 keys in Redis, for good\? \[y/N\]")
        assert "lost: they never end here" in terminal.text
        terminal.type(answer)
        assert terminal.end() == (0 if is_removed else 1)
    assert ("nothing is forgotten" in terminal.text) is not is_removed
    assert any(ledger.group in name for name in ledger.dump()) is not is_removed


def test_it_is_not_done_unasked(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal it wants --yes: exit code 2."""
    assert main(["forget", "shop"]) == 2
    assert "expected --yes" in capsys.readouterr().err


def test_without_redis(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3, and the setting that says where it is."""
    monkeypatch.setenv("CELERY_BROKER_URL", f"redis://{NOBODY_THERE}/0")
    assert main(["forget", "shop", "--yes"]) == 3
    assert "CELERY_BROKER_URL" in capsys.readouterr().err
