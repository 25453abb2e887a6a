"""`ferry pause`, `ferry resume` and `ferry skip` on a real Valkey: what they say, change, and leave alone."""

import json
import re
from pathlib import Path

import pytest

from ferry_console.cli import main
from ferry_shared.ledger.keys import status_key
from ferry_shared.ledger.pauses import Pause, PauseCause, pause, read_pauses
from ferry_shared.ledger.singles import RetriedSingle
from ferry_shared.ledger.skipping import Skipped
from ferry_shared.status import PartitionStatus
from tests.support.ledger_probe import MINUTE_MS, OWNER, LedgerProbe
from tests.unit.console.test_operate_page import names

STATUS = PartitionStatus(1, "orders", 3, "host:1", 100, 60, 90, 30, 1, 4, 3, 2, None)
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, ledger: LedgerProbe, redis_url: str) -> None:
    """The command finds this test's Valkey and group; a consumer has told of partition 3 of `orders`."""
    monkeypatch.setenv("CELERY_BROKER_URL", redis_url)
    monkeypatch.setenv("CONSUMER_GROUP", ledger.group)
    monkeypatch.setenv("LOGNAME", "alice")
    ledger.client.hset(status_key("", ledger.group), STATUS.field, STATUS.to_json())


def pauses(ledger: LedgerProbe) -> dict[str, Pause]:
    """What is paused."""
    return read_pauses(ledger.client, "", ledger.group)


def test_pause_says_who_when_and_why_and_how_to_end_it(ledger: LedgerProbe, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, which is also in Redis for everybody else."""
    assert main(["pause", "orders", "--reason", "the shop\nmoves"]) == 0
    told = capsys.readouterr()
    line = rf"paused orders by alice@\S+ since {TIME}: the shop\\nmoves; to end it: ferry resume orders\n"
    assert re.fullmatch(line, told.out)
    assert told.err == ""
    (found,) = pauses(ledger).values()
    assert (found.who.partition("@")[0], found.why, found.cause) == ("alice", "the shop\nmoves", PauseCause.OPERATOR)


def test_pausing_what_is_paused_changes_nothing(ledger: LedgerProbe, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever came first is told."""
    pause(ledger.client, "", ledger.group, "orders", Pause("bob@host", 1_000, "first"))
    assert main(["pause", "orders", "--reason", "second"]) == 0
    assert capsys.readouterr().out == "orders is paused already by bob@host since 1970-01-01T00:00:01.000Z: first\n"
    assert pauses(ledger)["orders"].why == "first"


def test_resume_tells_what_it_ended(ledger: LedgerProbe, capsys: pytest.CaptureFixture[str]) -> None:
    """With time and name of whoever did it; a second time there is nothing to end: exit code 1."""
    pause(ledger.client, "", ledger.group, "orders:3", Pause("bob@host", 1_000, "first"))
    assert main(["resume", "orders:3"]) == 0
    line = rf"{TIME} alice@\S+ resumed orders:3, paused by bob@host since 1970-01-01T00:00:01.000Z: first\n"
    assert re.fullmatch(line, capsys.readouterr().out)
    assert pauses(ledger) == {}
    assert main(["resume", "orders:3"]) == 1
    assert capsys.readouterr().out == "orders:3 is not paused\n"


def test_a_topic_is_not_resumed_by_its_partition(ledger: LedgerProbe, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor a partition by its topic: what stays paused is said with the command that ends it."""
    for target in ("orders", "orders:3", "orders:4", "orders2:1"):
        pause(ledger.client, "", ledger.group, target, Pause("bob@host", 1_000, "first"))
    assert main(["resume", "orders:3"]) == 0
    assert "the whole topic orders is paused by bob@host" in capsys.readouterr().err
    assert main(["resume", "orders"]) == 0
    told = capsys.readouterr().err
    assert "orders:4 is paused by itself by bob@host" in told
    assert "to end that: ferry resume orders:4" in told
    assert "orders2" not in told
    assert set(pauses(ledger)) == {"orders:4", "orders2:1"}


@pytest.mark.parametrize(
    ("target", "warning"),
    [
        ("oders", "knows the topic oders: they know orders"),
        ("orders:4", "knows partition 4 of orders"),
        ("orders:3", None),
        ("orders", None),
    ],
)
def test_a_name_that_no_consumer_knows_is_told(
    capsys: pytest.CaptureFixture[str], target: str, warning: str | None
) -> None:
    """It is paused all the same: its consumer may not have started yet."""
    assert main(["pause", target]) == 0
    assert (warning or "") in capsys.readouterr().err
    assert main(["resume", target]) == 0
    told = capsys.readouterr().err
    assert warning in told if warning else told == ""


def test_without_any_news_of_consumers(ledger: LedgerProbe, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody can tell whether the topic exists."""
    ledger.client.delete(status_key("", ledger.group))
    assert main(["pause", "orders"]) == 0
    assert "knows the topic orders: none has told anything lately" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["pause", "orders"], ["resume", "invoices"], ["skip", "0", "--reason", "test"]])
def test_a_dry_run_changes_nothing(ledger: LedgerProbe, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    """It says what would happen."""
    ledger.own()
    ledger.dispatch(["0"])
    pause(ledger.client, "", ledger.group, "invoices", Pause("bob@host", 1_000, "first"))
    task_id = f"{ledger.place.topic}-0-0@{ledger.group}"
    given = [task_id if word == "0" else word for word in words]
    before = ledger.dump()
    assert main([*given, "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith(f"would {words[0]} {given[1]}")
    assert main([*given, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dry_run"] is True
    assert ledger.dump() == before


def test_what_machines_read(ledger: LedgerProbe, capsys: pytest.CaptureFixture[str]) -> None:
    """One object with what was done, by whom, and the warnings."""
    assert main(["pause", "oders", "--reason", "x", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert {name: made[name] for name in ("command", "target", "group", "changed", "dry_run")} == {
        "command": "pause", "target": "oders", "group": ledger.group, "changed": True, "dry_run": False,
    }  # fmt: skip
    assert made["pause"]["why"] == "x"
    assert (made["who"], re.fullmatch(TIME, made["at"]) is not None) == (made["pause"]["who"], True)
    assert len(made["warnings"]) == 1
    assert main(["resume", "oders", "--json"]) == 0
    ended = json.loads(capsys.readouterr().out)
    assert (ended["changed"], ended["pause"]) == (True, made["pause"])
    assert main(["resume", "oders", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["changed"] is False


def test_every_field_is_explained(ledger: LedgerProbe, capsys: pytest.CaptureFixture[str]) -> None:
    """In the last paragraph of docs/pause_and_resume.md, each result by its name; and who and when are in each."""
    ledger.own()
    ledger.dispatch(["0"])
    page = (Path(__file__).parents[2] / "docs" / "pause_and_resume.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"`([\w-]+)`", page.rpartition("## As JSON")[2]))
    assert {str(result) for result in Skipped} <= explained
    task_id = f"{ledger.place.topic}-0-0@{ledger.group}"
    for words in (["pause", "orders"], ["resume", "orders"], ["skip", task_id, "--reason", "x"]):
        assert main([*words, "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert {*names(document)} - explained == set()
        assert (document["who"].partition("@")[0], re.fullmatch(TIME, document["at"]) is not None) == ("alice", True)


def test_skip_ends_a_message_with_a_name_and_a_reason(ledger: LedgerProbe, capsys: pytest.CaptureFixture[str]) -> None:
    """Both are in its dead letter; a second time it has failed already, and what is done is not in flight."""
    ledger.own()
    ledger.dispatch(["0", "1"])
    task_id = f"{ledger.place.topic}-0-0@{ledger.group}"
    assert main(["skip", task_id, "--reason", "its account is closed"]) == 0
    line = rf"{TIME} alice@\S+ skipped {task_id}: its account is closed; its consumer writes the dead letter\n"
    assert re.fullmatch(line, capsys.readouterr().out)
    assert re.fullmatch(r"skipped: by alice@\S+: its account is closed", ledger.due("0").error or "")

    assert main(["skip", task_id, "--reason", "again"]) == 1
    assert "has failed already" in capsys.readouterr().out
    ledger.clear("0")
    assert main(["skip", task_id, "--reason", "again", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["result"] == "gone"
    assert main(["skip", f"{ledger.place.topic}-7-0@{ledger.group}", "--reason", "x"]) == 1
    assert "has no ledger" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [["pause", "or ders"], ["pause", "orders:"], ["pause", "orders:-1"], ["resume", "orders:01"], ["resume", ""],
     ["skip", "orders-0-1"], ["pause"]],
)  # fmt: skip
def test_wrong_usage_is_told(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and what was expected."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: ferry" in capsys.readouterr().err


def test_a_batch_is_skipped_as_a_whole(ledger: LedgerProbe, capsys: pytest.CaptureFixture[str]) -> None:
    """By its own id; its first message, which goes on by itself, is another entry."""
    ledger.own(10)
    ledger.dispatch(["10-20-8", "30"])
    ledger.claim("10-20-8")
    ledger.worker.progress(ledger.task("10-20-8"), OWNER, 10, [RetriedSingle(10, MINUTE_MS, b"next")])
    stem = f"{ledger.place.topic}-0-"
    batch = f"{stem}10..20@{ledger.group}"
    assert main(["skip", batch, "--reason", "x", "--dry-run"]) == 0
    assert capsys.readouterr().out == (
        f"would skip {batch}: it is in flight, and its 8 messages would end as dead letters\n"
    )
    assert main(["skip", batch, "--reason", "x"]) == 0
    assert capsys.readouterr().out.endswith(
        "x; its consumer writes the dead letters of those of its 8 messages that are not done\n"
    )
    assert (ledger.due("10-20-8").error or "").startswith("skipped: by alice@")
    assert "error" not in ledger.state("10")
    assert main(["skip", batch, "--reason", "x"]) == 1
    assert "has failed already" in capsys.readouterr().out


@pytest.mark.parametrize(("first", "last"), [(10, 19), (11, 20), (30, 31), (10, 21)])
def test_a_batch_that_is_not_in_flight(
    ledger: LedgerProbe, capsys: pytest.CaptureFixture[str], first: int, last: int
) -> None:
    """Neither another batch nor the message at its first offset is skipped in its place."""
    ledger.own(10)
    ledger.dispatch(["10-20-8", "30"])
    before = ledger.dump()
    assert main(["skip", f"{ledger.place.topic}-0-{first}..{last}@{ledger.group}", "--reason", "x", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["result"] == "gone"
    assert ledger.dump() == before
    assert main(["skip", f"{ledger.place.topic}-7-{first}..{last}@{ledger.group}", "--reason", "x"]) == 1
    assert "has no ledger" in capsys.readouterr().out


def test_a_message_in_a_batch_is_not_skipped(ledger: LedgerProbe, capsys: pytest.CaptureFixture[str]) -> None:
    """The batch that can be is told; what that has done, or what goes on by itself, is a message like any other."""
    ledger.own(10)
    ledger.dispatch(["10-20-8"])
    ledger.claim("10-20-8")
    ledger.worker.progress(ledger.task("10-20-8"), OWNER, 12, [RetriedSingle(11, MINUTE_MS, b"next")])
    stem, before = f"{ledger.place.topic}-0-", ledger.dump()
    batch = f"{stem}10..20@{ledger.group}"
    assert main(["skip", f"{stem}15@{ledger.group}", "--reason", "x"]) == 1
    assert capsys.readouterr().out == (
        f"{stem}15@{ledger.group} is in flight in a batch of 8 messages and can't be skipped alone; "
        f"to skip all of them: ferry skip {batch}\n"
    )
    assert main(["skip", f"{stem}15@{ledger.group}", "--reason", "x", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["result"], told["batch"], told["messages"], told["changed"]) == ("in-batch", batch, 8, False)
    page = (Path(__file__).parents[2] / "docs" / "pause_and_resume.md").read_text(encoding="utf-8")
    assert {*names(told), told["result"]} <= set(re.findall(r"`([\w-]+)`", page.rpartition("## As JSON")[2]))
    assert main(["skip", f"{stem}12@{ledger.group}", "--reason", "x"]) == 1
    assert "is not in flight" in capsys.readouterr().out
    assert ledger.dump() == before
    assert main(["skip", f"{stem}11@{ledger.group}", "--reason", "x"]) == 0
    assert (ledger.due("11").error or "").startswith("skipped: by alice@")


@pytest.mark.parametrize("task_id", ["orders", "orders-0-5..1"])
def test_what_is_no_task_id_is_refused(task_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 as well."""
    assert main(["skip", task_id, "--reason", "x"]) == 2
    assert capsys.readouterr().err.startswith("ferry: ")


@pytest.mark.parametrize("words", [["pause", "orders"], ["resume", "orders"], ["skip", "orders-0-1", "--reason", "x"]])
def test_without_redis(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3, and the setting that says where it is."""
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")
    assert main(words) == 3
    assert "CELERY_BROKER_URL" in capsys.readouterr().err
