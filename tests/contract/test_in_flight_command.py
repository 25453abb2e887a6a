"""`ferry in-flight list` on a real Valkey: what it lists, in which order, by which filter; it changes nothing."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from ferry_console.cli import main
from ferry_console.in_flight import reading
from ferry_shared.ledger.entry_page import EntryPage, read_page
from ferry_shared.ledger.keys import LedgerKeys, status_key
from ferry_shared.record import TopicPartition
from ferry_shared.status import PartitionStatus
from tests.support.ledger_probe import MINUTE_MS, OWNER, LedgerProbe, wait_until


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, ledger: LedgerProbe, redis_url: str) -> None:
    """The command finds this test's Valkey and group."""
    monkeypatch.setenv("CELERY_BROKER_URL", redis_url)
    monkeypatch.setenv("CONSUMER_GROUP", ledger.group)


@pytest.fixture
def other(ledger: LedgerProbe, redis_url: str) -> Iterator[LedgerProbe]:
    """Partition 1 of the same topic."""
    with LedgerProbe(redis_url, ledger.group, ledger.place.topic) as probe:
        probe.place = TopicPartition(ledger.place.topic, 1)
        probe.keys = LedgerKeys.of("", probe.group, probe.place)
        yield probe


def task_id(ledger: LedgerProbe, offset: int | str) -> str:
    """The id under which a message is listed."""
    return f"{ledger.place}-{offset}@{ledger.group}"


def listed(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    """What the command tells programs."""
    assert main(["in-flight", "list", "--json", *words]) == code
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def ids(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """The listed task ids, without the group."""
    return [entry["task_id"].partition("@")[0] for entry in listed(capsys, *words)["entries"]]


def later(ledger: LedgerProbe) -> None:
    """Wait until the server's clock shows another millisecond."""
    now = ledger.now_ms()
    wait_until(lambda: ledger.now_ms() > now)


def dispatch_in_turns(ledger: LedgerProbe, other: LedgerProbe) -> list[str]:
    """Six messages in two partitions, each a little younger than the one before; returns their names in that order."""
    ledger.own()
    other.own()
    order = [(ledger, "0"), (other, "0"), (other, "1"), (ledger, "1"), (ledger, "2"), (other, "2")]
    for probe, member in order:
        probe.dispatch([member])
        later(probe)
    return [f"{probe.place}-{member}" for probe, member in order]


def test_the_oldest_of_all_partitions_come_first(
    ledger: LedgerProbe, other: LedgerProbe, capsys: pytest.CaptureFixture[str]
) -> None:
    """By when they were dispatched, whatever their offsets; the limit keeps the oldest, and says so."""
    order = dispatch_in_turns(ledger, other)
    told = listed(capsys)
    assert [entry["task_id"] for entry in told["entries"]] == [f"{name}@{ledger.group}" for name in order]
    assert (told["in_flight"], told["more"], told["partitions"], told["warnings"]) == (6, False, 2, [])
    assert (told["group"], {entry["state"] for entry in told["entries"]}) == (ledger.group, {"queued"})
    # Each partition is asked at a moment of its own, so ages may differ by it.
    dispatched = [entry["dispatched"] for entry in told["entries"]]
    assert dispatched == sorted(dispatched)
    assert all(0 <= entry["age_seconds"] < 60 for entry in told["entries"])
    few = listed(capsys, "--limit", "4")
    assert ([entry["task_id"] for entry in few["entries"]], few["more"]) == (
        [entry["task_id"] for entry in told["entries"]][:4],
        True,
    )
    assert listed(capsys, "--limit", "6")["more"] is False


def test_each_state_is_told_and_asked_for(ledger: LedgerProbe, capsys: pytest.CaptureFixture[str]) -> None:
    """Queued, running, left, waiting for a retry, failed, delayed; attempts and starts are those of the ledger."""
    ledger.own()
    ledger.dispatch(["0", "1", "2", "3"], {"4": "invalid: no such\nfield"}, delayed={"5": ledger.now_ms() + MINUTE_MS})
    ledger.claim("1", lease_ms=MINUTE_MS)
    ledger.claim_with_a_lease_that_is_over("2")
    ledger.claim("3")
    ledger.outcome("retry", "3")
    expected = {0: "queued", 1: "running", 2: "left", 3: "retrying", 4: "failed", 5: "delayed"}
    entries = {entry["offset"]: entry for entry in listed(capsys)["entries"]}
    assert {offset: entry["state"] for offset, entry in entries.items()} == expected
    for offset, state in expected.items():
        assert ids(capsys, "--state", state) == [f"{ledger.place}-{offset}"]
    assert (entries[1]["owner"], entries[1]["starts"], entries[1]["attempt"]) == (OWNER, 1, 1)
    assert entries[1]["claim_until"] > entries[1]["claimed"] >= entries[1]["dispatched"]
    assert (entries[3]["attempt"], entries[3]["retry_due"] is not None) == (2, True)
    assert (entries[5]["attempt"], entries[5]["retry_due"] is not None) == (1, True)
    assert entries[4]["error"] == "invalid: no such\nfield"
    assert entries[0]["claim_until"] is None


def test_a_partition_or_a_topic_alone(
    ledger: LedgerProbe, other: LedgerProbe, capsys: pytest.CaptureFixture[str]
) -> None:
    """Filters by place; the total counts what was looked at."""
    dispatch_in_turns(ledger, other)
    topic = ledger.place.topic
    assert set(ids(capsys, "--partition", "1")) == {f"{other.place}-{offset}" for offset in range(3)}
    assert listed(capsys, "--topic", topic, "--partition", "0")["in_flight"] == 3
    assert len(ids(capsys, "--topic", topic)) == 6
    assert main(["in-flight", "list", "--topic", "elsewhere"]) == 1
    assert "has no ledger of any partition of elsewhere" in capsys.readouterr().err
    assert main(["in-flight", "list", "--topic", topic, "--partition", "7", "--json"]) == 1
    assert "has no ledger of any partition 7 of" in capsys.readouterr().err
    assert listed(capsys, "--group", "nobody", code=1)["entries"] == []


def test_only_what_is_old(ledger: LedgerProbe, other: LedgerProbe, capsys: pytest.CaptureFixture[str]) -> None:
    """By the time since the dispatch; a start or a retry makes nothing younger."""
    ledger.own()
    other.own()
    ledger.dispatch(["0", "1"])
    other.dispatch(["0"])
    born = other.now_ms()
    wait_until(lambda: ledger.now_ms() > born + 300)
    ledger.claim("0")
    ledger.outcome("retry", "0")
    ledger.dispatch(["2"])
    other.dispatch(["1"])
    old = {f"{ledger.place}-0", f"{ledger.place}-1", f"{other.place}-0"}
    assert set(ids(capsys, "--older-than", "0.3")) == old
    assert ids(capsys, "--older-than", "0.3", "--state", "retrying") == [f"{ledger.place}-0"]
    assert ids(capsys, "--older-than", "3600") == []


def test_a_batch_is_one_row(ledger: LedgerProbe, capsys: pytest.CaptureFixture[str]) -> None:
    """Under its id, with the number of its messages."""
    ledger.own()
    ledger.dispatch(["10-20-7"])
    (entry,) = listed(capsys)["entries"]
    assert (entry["task_id"], entry["messages"], entry["offset"]) == (task_id(ledger, "10..20"), 7, 10)
    assert listed(capsys)["in_flight"] == 7
    assert main(["in-flight", "list"]) == 0
    assert "7 messages" in capsys.readouterr().out


def test_what_people_read(ledger: LedgerProbe, capsys: pytest.CaptureFixture[str]) -> None:
    """How many, then a row each; an error can't start a line of its own."""
    ledger.own()
    ledger.dispatch(["0"], {"1": "invalid: \x1b[2Jno\nway"})
    ledger.claim("0", lease_ms=MINUTE_MS)
    assert main(["in-flight", "list"]) == 0
    head, names, *rows = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"group {ledger.group} at \S+Z: 2 messages in flight, 2 listed", head)
    assert names.split() == ["task", "state", "age", "attempt", "starts", "detail"]
    assert re.fullmatch(rf"{task_id(ledger, 0)}  running +\S+ s +1 +1  for \S+ s, its claim ends in \S+ s", rows[0])
    assert rows[1].endswith(r"invalid: \x1b[2Jno\nway")
    assert main(["in-flight", "list", "--limit", "1"]) == 0
    assert "the 1 oldest of those asked for (more: --limit)" in capsys.readouterr().out
    assert main(["in-flight", "list", "--older-than", "3600"]) == 0
    assert capsys.readouterr().out.endswith("2 messages in flight, none listed\n")


def test_consumers_tell_which_partitions_there_are(
    ledger: LedgerProbe, other: LedgerProbe, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where they have written their status, Redis' keys need no search."""
    dispatch_in_turns(ledger, other)
    word = PartitionStatus(1, ledger.place.topic, 1, "host:1", 100, 60, 90, 30, 1, 4, 3, 2, None)
    ledger.client.hset(status_key("", ledger.group), word.field, word.to_json())
    assert ids(capsys) == [f"{other.place}-{offset}" for offset in range(3)]


def test_a_damaged_ledger_is_told(ledger: LedgerProbe, capsys: pytest.CaptureFixture[str]) -> None:
    """And what can be read of it is shown."""
    ledger.own()
    ledger.dispatch(["0"])
    ledger.call("HSET", ledger.keys.head, "entries", "many")
    told = listed(capsys)
    assert told["warnings"][0].startswith(f"the ledger of {ledger.place} is damaged")
    assert len(told["entries"]) == 1
    assert main(["in-flight", "list"]) == 0
    assert f"\n! the ledger of {ledger.place} is damaged" in capsys.readouterr().out


def test_a_large_ledger_is_read_no_further_than_needed(
    ledger: LedgerProbe, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of thousands in flight the first page is read, whole only where a filter finds few; a page is never larger."""
    read: list[EntryPage] = []

    def counted(*arguments: Any) -> EntryPage:
        read.append(read_page(*arguments))
        return read[-1]

    monkeypatch.setattr(reading, "read_page", counted)
    ledger.own()
    ledger.dispatch([str(offset) for offset in range(5_000)])
    ledger.claim("4999", lease_ms=MINUTE_MS)
    assert len(ids(capsys)) == 50
    assert len(read) == 1
    read.clear()
    assert ids(capsys, "--older-than", "3600") == []
    assert len(read) == 1
    read.clear()
    assert ids(capsys, "--state", "running") == [f"{ledger.place}-4999"]
    assert sum(len(page.entries) for page in read) == 5_000
    assert max(len(page.entries) for page in read) == reading.PAGE_ENTRIES


def test_listing_changes_nothing(ledger: LedgerProbe, capsys: pytest.CaptureFixture[str]) -> None:
    """Every key is the same afterwards."""
    ledger.own()
    ledger.dispatch(["0", "1"], {"2": "invalid: no"})
    ledger.claim_with_a_lease_that_is_over("0")
    before = ledger.dump()
    assert len(ids(capsys)) == 3
    assert main(["in-flight", "list"]) == 0
    assert ledger.dump() == before


@pytest.mark.parametrize(
    "words",
    [["--limit", "0"], ["--limit", "10001"], ["--limit", "1_0"], ["--partition", "-1"], ["--older-than", "nan"],
     ["--state", "lost"], ["--older-than", "-1"]],
)  # fmt: skip
def test_wrong_usage_is_told(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and what was expected."""
    with pytest.raises(SystemExit) as ended:
        main(["in-flight", "list", *words])
    assert ended.value.code == 2
    assert "usage: ferry in-flight list" in capsys.readouterr().err


def test_without_redis(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3, and the setting that says where it is."""
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")
    assert main(["in-flight", "list"]) == 3
    assert "CELERY_BROKER_URL" in capsys.readouterr().err
