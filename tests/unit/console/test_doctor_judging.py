"""How the doctor judges Redis, consumers and workers, and how it says all that."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ferry_console.doctor.command import exit_code
from ferry_console.doctor.consumer_judging import cluster_findings, consumer_findings, worker_findings
from ferry_console.doctor.document import document
from ferry_console.doctor.finding import Area, Finding, Severity, error, ok, warning
from ferry_console.doctor.kafka_facts import GroupFacts
from ferry_console.doctor.redis_facts import RedisFacts, address_of
from ferry_console.doctor.redis_judging import memory, redis_findings, server_name
from ferry_console.doctor.screen import table
from ferry_console.doctor.settings_side import known_names, look, mistyped
from ferry_console.doctor.text import line, summary
from ferry_console.doctor.worker_side import judged, start_findings
from ferry_console.output import json_line
from tests.support.topic_facts import GROUP, unknown
from tests.unit.console.status_views import ledger, status, word

FIT: dict[str, Any] = {
    "redis_version": "7.2.4", "valkey_version": "9.1.2", "redis_mode": "standalone", "maxmemory_policy": "noeviction",
    "maxmemory": 0, "aof_enabled": 1, "aof_last_write_status": "ok", "role": "master", "used_memory": 1_000_000,
    "total_system_memory": 8_000_000_000,
}  # fmt: skip
SECRET = "hunter2-hunter2"
ESCAPE = "\x1b[2J"
findings = st.lists(
    st.builds(Finding, st.sampled_from(Area), st.sampled_from(Severity), st.text(max_size=30), st.text(max_size=30))
)


def of_redis(**changed: Any) -> list[Finding]:
    """All that is said of a Redis whose INFO differs in this from one where all is well."""
    facts = RedisFacts("localhost:6379, database 0", 0.0004, 0.0, FIT | changed, status(), frozenset(), {}, 1, {})
    return list(redis_findings(facts, 0.8))


def severe(found: list[Finding]) -> list[tuple[Severity, str]]:
    """What isn't ok; each has a remedy."""
    assert all(finding.remedy for finding in found if finding.severity is not Severity.OK)
    return [(finding.severity, finding.told) for finding in found if finding.severity is not Severity.OK]


def test_a_fit_redis() -> None:
    """Who answers how fast, that it is fit, and its memory."""
    found = of_redis()
    assert severe(found) == []
    assert [finding.told for finding in found] == [
        "Valkey 9.1.2 at localhost:6379, database 0 answers in 0.4 ms",
        "fit for queue and ledger: one server, no eviction, append-only file",
        "1.0 MiB of memory in use; without maxmemory intake never pauses for it",
    ]
    assert server_name({"redis_version": "7.4.1"}) == "Redis 7.4.1"


@pytest.mark.parametrize(
    ("changed", "severity", "told"),
    [
        ({"redis_version": "6.2.1"}, Severity.ERROR, "too old"),
        ({"redis_mode": "cluster"}, Severity.ERROR, "cluster mode"),
        ({"maxmemory_policy": "allkeys-lru", "maxmemory": 10**9}, Severity.ERROR, "may evict"),
        ({"aof_enabled": 0}, Severity.WARNING, "runs again"),
        ({"role": "slave"}, Severity.ERROR, "a replica"),
        ({"loading": 1}, Severity.ERROR, "loading"),
        ({"aof_last_write_status": "err"}, Severity.ERROR, "aof_last_write_status"),
        ({"rdb_last_bgsave_status": "err"}, Severity.ERROR, "rdb_last_bgsave_status"),
        ({"maxmemory": 1_250_000}, Severity.WARNING, "80 % of maxmemory"),
        ({"used_memory": 7_000_000_000}, Severity.WARNING, "87 % of its machine's, and no maxmemory"),
    ],
)
def test_a_redis_that_is_not_fit(changed: dict[str, Any], severity: Severity, told: str) -> None:
    """One line each, with what to do."""
    ((how, what),) = severe(of_redis(**changed))
    assert how is severity
    assert told in what


@given(used=st.integers(0, 2**50), maximum=st.integers(0, 2**50), machine=st.integers(0, 2**50))
def test_memory_is_judged_by_the_consumers_rule(used: int, maximum: int, machine: int) -> None:
    """Whatever the numbers are, also where the server tells none."""
    found = memory({"used_memory": used, "maxmemory": maximum, "total_system_memory": machine}, 0.8)
    limit = maximum or machine
    assert (found.severity is Severity.WARNING) == (limit > 0 and used >= limit * 0.8)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (f"redis://user:{SECRET}@host:1234/5", "host:1234, database 5"),
        (f"rediss://:{SECRET}@host", "host:6379, database 0, TLS"),
        (f"redis://host/1?password={SECRET}", "host:6379, database 1"),
        ("redis://", "localhost:6379, database 0"),
    ],
)
def test_an_address_has_no_secret(url: str, told: str) -> None:
    """Neither of the user's part nor of the parameters."""
    assert address_of(url) == told


def test_consumers_at_work() -> None:
    """Are one line; Kafka's view adds nothing."""
    (found,) = consumer_findings(status(ledger()), GROUP, ["orders"])
    assert found.severity is Severity.OK
    assert found.told == "1 consumer of the group ferry at work on 1 partition, backlog 40"


def test_silent_consumers_are_told_as_by_the_status() -> None:
    """In its words."""
    silent = status(ledger(), words=[word(age_seconds=60)])
    told = severe(list(consumer_findings(silent, GroupFacts("ferry", "empty", 0, None), ["orders"])))
    assert [(severity, what[:15]) for severity, what in told] == [(Severity.WARNING, "nobody consumes")]


@pytest.mark.parametrize("members", [1, 2])
def test_members_in_kafka_that_redis_has_not_heard_of(members: int) -> None:
    """Another program has that group, or another Redis."""
    group = GroupFacts("ferry", "stable", members, None)
    told = severe(list(consumer_findings(status(ledger(), words=[]), group, ["orders"])))
    assert any(severity is Severity.ERROR and f"has {members} member" in what for severity, what in told)


@pytest.mark.parametrize("group", [None, unknown("ferry")])
def test_without_kafkas_view_members_are_not_judged(group: Any) -> None:
    """It is away, or doesn't know the group."""
    told = severe(list(consumer_findings(status(ledger(), words=[]), group, ["orders"])))
    assert Severity.ERROR not in [severity for severity, _ in told]


def test_topics_that_the_consumers_do_not_know() -> None:
    """Are told by name."""
    ((severity, told),) = severe(list(consumer_findings(status(ledger()), GROUP, ["orders", "bills"])))
    assert severity is Severity.WARNING
    assert "have not told of bills" in told


def test_ledgers_of_another_cluster() -> None:
    """By the consumer's own rule."""
    assert list(cluster_findings({"here"}, "here")) == []
    ((severity, told),) = severe(list(cluster_findings({"here", "there"}, "here")))
    assert severity is Severity.ERROR
    assert "belongs to Kafka cluster there, this is here" in told


@pytest.mark.parametrize(
    ("listeners", "severity", "told"),
    [
        (None, Severity.OK, "may not be asked"),
        (0, Severity.WARNING, "no worker that listens"),
        (1, Severity.OK, "Celery workers are connected"),
    ],
)
def test_workers_and_queues(listeners: int | None, severity: Severity, told: str) -> None:
    """Whether some are there, and what waits for them; a key that is no queue is an error."""
    first, *others = worker_findings(listeners, {"celery": 1_234, "orders": None}, None)
    assert first.severity is severity
    assert told in first.told
    assert "celery: 1,234" in first.told
    ((how, what),) = severe(others)
    assert how is Severity.ERROR
    assert "the queue orders" in what


@pytest.mark.parametrize(
    ("listeners", "listening", "named"),
    [
        (2, {"celery": 1}, ["orders"]),
        (None, {}, ["celery", "orders"]),
        (2, {"celery": 1, "orders": 2}, []),
        (2, None, []),
        (0, {}, []),
    ],
)
def test_queues_from_which_nobody_takes(
    listeners: int | None, listening: dict[str, int] | None, named: list[str]
) -> None:
    """By name, where that can be told, and unless there is no worker at all: that is said once."""
    found = severe(list(worker_findings(listeners, {"celery": 0, "orders": 5}, listening))[1:])
    assert [what.split()[-1] for _, what in found] == named
    assert {how for how, _ in found} <= {Severity.WARNING}


@pytest.mark.parametrize(
    ("exit_status", "output", "severity", "told"),
    [
        (0, "hello\n[]\n", Severity.OK, "knows the task of every route"),
        (0, 'printed\n[["error", "no limit"]]', Severity.ERROR, "no limit"),
        (0, '[["warning", "unknown task"]]', Severity.WARNING, "unknown task"),
        (1, "[]", Severity.ERROR, "ended the program with exit code 1: last words"),
        (0, "", Severity.ERROR, "ended the program with exit code 0: last words"),
        (0, "hello", Severity.ERROR, "ended the program"),
        (0, '[["lenient", "?"]]', Severity.ERROR, "ended the program"),
        (0, "5", Severity.ERROR, "ended the program"),
    ],
)
def test_how_the_workers_checks_ended(exit_status: int, output: str, severity: Severity, told: str) -> None:
    """With the line of the checks, or before it."""
    (found,) = judged(exit_status, output, "first\nlast words\n")
    assert found.severity is severity
    assert told in found.told


@given(exit_status=st.integers(0, 2), output=st.text(), errors=st.text())
def test_whatever_a_users_modules_print_is_judged(exit_status: int, output: str, errors: str) -> None:
    """There is always a line."""
    assert list(judged(exit_status, output, errors))


def test_modules_that_hang_are_given_up() -> None:
    """After a time, with a remedy."""
    command = (sys.executable, "-c", "import time; time.sleep(60)")
    ((severity, told),) = severe(list(start_findings(command, timeout_seconds=0.5)))
    assert severity is Severity.ERROR
    assert "takes longer than" in told


def test_names_that_are_mistyped() -> None:
    """What is like a setting and none of Ferry's; others' variables are left alone."""
    given_names = {"CONSUMER_GRUOP", "CONSUMER_GROUP", "FERRY_ENV_FILE", "KAFKA_HOME", "CELERY_BROKER", "PATH", "GROUP"}
    found = list(mistyped(given_names, known_names()))
    assert [(each.told.split()[0], each.remedy.split()[1]) for each in found] == [
        ("CELERY_BROKER", "CELERY_BROKER_URL"),
        ("CONSUMER_GRUOP", "CONSUMER_GROUP"),
    ]


def test_a_module_of_routes_that_exits_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor goes on."""
    (tmp_path / "routes_that_exit.py").write_text("raise SystemExit(3)\n")
    monkeypatch.setenv("FERRY_ROUTES", "routes_that_exit:routes")
    found = look()
    assert found.routes is None
    assert severe(list(found.findings)) == [(Severity.ERROR, "FERRY_ROUTES: importing its module ended the program")]


def test_a_dead_letter_topic_whose_name_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The consumer refuses it at its start."""
    monkeypatch.setenv("FERRY_TOPIC", "t" * 249)
    ((severity, told),) = severe(list(look().findings))
    assert severity is Severity.ERROR
    assert told.startswith("CONSUMER_DEAD_LETTER_SUFFIX")


def test_what_was_set_is_told_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never by value; a file is named."""
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", SECRET)
    Path(".env").write_text(f"CELERY_BROKER_URL=redis://:{SECRET}@host/0\n", encoding="utf-8")
    told = [finding.told for finding in look().findings]
    assert told[0] == f"variables are read from the environment and from {Path('.env').absolute()}"
    assert told[1] == "the consumer's can be read; set here: CELERY_BROKER_URL, KAFKA_SASL_PASSWORD"
    assert SECRET not in str(told)


def test_a_line_says_what_to_do() -> None:
    """In columns that a script can cut; what needs nothing has no arrow."""
    assert line(ok(Area.REDIS, "fit")) == "ok       redis      fit"
    assert line(warning(Area.CONSUMERS, "silent", "start it")) == "warning  consumers  silent -> start it"
    assert line(error(Area.KAFKA, f"{ESCAPE}\n", "x")) == r"error    kafka      \x1b[2J\n -> x"


@given(found=findings)
def test_whatever_is_found_cannot_act_on_a_terminal(found: list[Finding]) -> None:
    """Nor start a line of its own; the counts are right."""
    shown = io.StringIO()
    Console(file=shown, width=200, force_terminal=False).print(table(found))
    lines = [line(finding) for finding in found]
    made = document(found)
    for text in (*lines, json_line(made)):
        assert "\n" not in text
        assert "\x1b" not in text
    assert "\x1b" not in shown.getvalue()
    assert sum(made["counts"].values()) == len(made["findings"]) == len(found)
    assert exit_code(found) == (1 if any(finding.severity is Severity.ERROR for finding in found) else 0)
    assert summary(found).split()[0] == str(made["counts"]["ok"])


def test_a_summary_counts_in_words() -> None:
    """One is singular."""
    found = [error(Area.KAFKA, "x", "y"), ok(Area.KAFKA, "x"), ok(Area.KAFKA, "x")]
    assert summary(found) == "2 ok, 0 warnings, 1 error"


def test_the_table_shows_brackets_as_they_are() -> None:
    """Text in brackets is no markup."""
    shown = io.StringIO()
    Console(file=shown, width=80).print(table([error(Area.KAFKA, "[red]told[/red]", "do [this]")]))
    assert "[red]told[/red]" in shown.getvalue()
    assert "-> do [this]" in shown.getvalue()
