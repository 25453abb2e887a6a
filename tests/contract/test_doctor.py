"""`ferry doctor` with a real Valkey and without Kafka: each part tells for itself, and no secret comes out."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from ferry_console.cli import main
from ferry_console.doctor.finding import Area, Severity
from ferry_console.doctor.redis_side import read_redis
from ferry_console.local.valkey import LocalValkey
from ferry_shared.ledger.client import connect, server_time_ms
from ferry_shared.ledger.keys import status_key
from ferry_shared.ledger.listening import tell_listening
from ferry_shared.settings import ConsumerSettings
from ferry_shared.status import PartitionStatus
from tests.support.fake_kafka import FakeKafka
from tests.support.ledger_probe import LedgerProbe
from tests.support.valkey_server import ValkeyServer

SECRET = "hunter2-hunter2"
NOBODY_THERE = "127.0.0.1:1"


@pytest.fixture(autouse=True)
def _no_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka is away, and that is known after half a second."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", NOBODY_THERE)
    monkeypatch.setattr("ferry_console.doctor.kafka_side.REQUEST_TIMEOUT_SECONDS", 0.5)


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A Valkey of this test's own, with a password, which may evict and keeps nothing."""
    server = ValkeyServer(tmp_path / "valkey", options={"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"})
    try:
        server.start()
        with server.client() as client:
            client.config_set("requirepass", SECRET)
        yield server
    finally:
        server.stop()


def told(capsys: pytest.CaptureFixture[str], code: int = 1) -> list[dict[str, str]]:
    """Ask the doctor, whose exit code must be this one."""
    assert main(["doctor", "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["counts"] == {
        severity: sum(finding["severity"] == severity for finding in found["findings"]) for severity in Severity
    }
    return list(found["findings"])


def of(findings: list[dict[str, str]], area: Area, severity: Severity) -> list[str]:
    """What is said of one area with one severity."""
    return [each["told"] for each in findings if (each["area"], each["severity"]) == (area, severity)]


def test_redis_is_judged_while_kafka_is_away(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kafka is one error with what to look at; Redis, clocks, consumers and workers are told of all the same."""
    monkeypatch.setenv("CELERY_BROKER_URL", redis_url)
    findings = told(capsys)
    (away,) = [each for each in findings if each["severity"] == Severity.ERROR]
    assert (away["area"], NOBODY_THERE in away["told"]) == (Area.KAFKA, True)
    assert "Connection refused" in away["told"]
    assert "KAFKA_BOOTSTRAP_SERVERS" in away["remedy"]
    assert any(
        re.match(r"(Valkey|Redis) \d.* answers in \d+\.\d ms", line) for line in of(findings, Area.REDIS, Severity.OK)
    )
    assert of(findings, Area.CLOCKS, Severity.OK) == ["this host's clock and that of Redis agree"]
    assert "has no ledger" in of(findings, Area.CONSUMERS, Severity.WARNING)[0]
    assert "no worker that listens" in of(findings, Area.WORKERS, Severity.WARNING)[0]


def test_everybody_away_is_no_crash(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is an error of its own."""
    monkeypatch.setenv("CELERY_BROKER_URL", f"redis://:{SECRET}@{NOBODY_THERE}/0")
    findings = told(capsys)
    assert [each["area"] for each in findings if each["severity"] == Severity.ERROR] == [Area.REDIS, Area.KAFKA]
    assert SECRET not in str(findings)


def test_a_server_that_is_not_fit(
    own_valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the consumer would refuse is an error, what it would warn of a warning; the password is nowhere."""
    monkeypatch.setenv("CELERY_BROKER_URL", f"redis://:{SECRET}@127.0.0.1:{own_valkey.port}/0")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", SECRET)
    monkeypatch.setenv("KAFKA_CLIENT_PROPERTIES", json.dumps({"sasl.oauthbearer.client.secret": SECRET}))
    assert main(["doctor"]) == 1
    lines = capsys.readouterr()
    assert SECRET not in lines.out + lines.err
    assert "error    redis      Redis may evict tasks and the ledger (maxmemory-policy allkeys-lru)" in lines.out
    assert "warning  redis      Redis keeps no append-only file" in lines.out
    assert "-> CONFIG SET maxmemory-policy noeviction" in lines.out
    assert "% of maxmemory (100.0 MiB)" in lines.out
    assert re.fullmatch(r"\d+ ok, \d+ warnings?, 2 errors", lines.out.splitlines()[-1])


def test_a_wrong_password_is_told_without_it(
    own_valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is Redis that refuses."""
    monkeypatch.setenv("CELERY_BROKER_URL", f"redis://:{SECRET}-not@127.0.0.1:{own_valkey.port}/0")
    (refused,) = of(told(capsys), Area.REDIS, Severity.ERROR)
    assert "invalid username-password pair" in refused
    assert SECRET not in refused


def test_a_user_who_may_not_ask_is_no_crash(
    valkey: LocalValkey, redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who may not see who is connected is told of the rest; who may not even ask INFO is told that."""
    with redis.Redis.from_url(redis_url) as client:
        client.acl_setuser("narrow", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-client|list"])
        client.acl_setuser("blind", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-info"])
    try:
        monkeypatch.setenv("CELERY_BROKER_URL", redis_url.replace("//", "//narrow:x@"))
        assert any("may not be asked (CLIENT LIST)" in line for line in of(told(capsys), Area.WORKERS, Severity.OK))
        monkeypatch.setenv("CELERY_BROKER_URL", redis_url.replace("//", "//blind:x@"))
        (refused,) = of(told(capsys), Area.REDIS, Severity.ERROR)
        assert "info" in refused
    finally:
        with redis.Redis.from_url(valkey.url) as client:
            client.acl_deluser("narrow", "blind")


def test_what_is_read_of_redis(ledger: LedgerProbe, redis_url: str) -> None:
    """Queues by their length, a key that is no queue, who listens, the clock, and the ledgers' cluster."""
    ledger.own()
    ledger.client.hset(ledger.keys.head, "cluster_id", "some-cluster")
    ledger.client.rpush("orders", "1", "2")
    ledger.client.set("wrong", "text")
    tell_listening(ledger.client, "", "a@host", ["orders"], 30_000)
    settings = ConsumerSettings(celery_broker_url=redis_url, consumer_group=ledger.group)
    with redis.Redis.from_url(redis_url).pubsub() as worker:
        worker.psubscribe("/1.celery.pidbox")
        worker.get_message(timeout=5.0)
        facts = read_redis(settings, ["orders", "empty", "wrong"])
    assert facts.queued == {"orders": 2, "empty": 0, "wrong": None}
    assert (facts.listeners, facts.listening) == (1, {"orders": 1})
    assert facts.clusters == {"some-cluster"}
    assert abs(facts.ahead_seconds) < 1.0
    assert read_redis(settings, []).listeners == 0


def test_consumers_that_were_heard_of(
    ledger: LedgerProbe, redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are at work; a route's topic that they don't know is told, and so is an untracked task's name."""
    now_ms = server_time_ms(ledger.client)
    topic = ledger.place.topic
    word = PartitionStatus(now_ms, topic, 0, "host:1", 100, 60, 90, 30, 1, 4, 3, 2, None)
    ledger.own()
    ledger.client.hset(status_key("", ledger.group), word.field, word.to_json())
    ledger.client.hset(ledger.keys.head, "untracked:plain.order", f"3:{now_ms}")
    monkeypatch.setenv("CELERY_BROKER_URL", redis_url)
    monkeypatch.setenv("CONSUMER_GROUP", ledger.group)
    findings = told(capsys)
    (at_work,) = of(findings, Area.CONSUMERS, Severity.OK)
    assert at_work.startswith(f"1 consumer of the group {ledger.group} at work on 1 partition,")
    warned = of(findings, Area.CONSUMERS, Severity.WARNING)
    assert any("have not told of messages" in line for line in warned)
    assert any("the task 'plain.order' isn't tracked" in line for line in warned)
    monkeypatch.setenv("FERRY_TOPIC", topic)
    assert not any("have not told of" in line for line in of(told(capsys), Area.CONSUMERS, Severity.WARNING))


@pytest.mark.parametrize(
    ("name", "wrong", "area", "still"),
    [
        ("CONSUMER_HTTP_PORT", SECRET, Area.SETTINGS, "answers in"),
        ("CELERY_BROKER_URL", f"amqp://user:{SECRET}@host", Area.SETTINGS, "Redis is not asked"),
        ("KAFKA_SECURITY_PROTOCOL", SECRET, Area.SETTINGS, "Kafka is not asked"),
        ("FERRY_ROUTES", "nowhere.routes:routes", Area.SETTINGS, "answers in"),
        ("FERRY_IMPORTS", "nowhere.tasks", Area.WORKERS, "answers in"),
        ("CELERY_RESULT_BACKEND", f"redis://:{SECRET}@127.0.0.1:1/1", Area.REDIS, "answers in"),
        ("CELERY_RESULT_BACKEND", f"redis://:{SECRET}@host:{SECRET}/1", Area.REDIS, "answers in"),
        ("KAFKA_CLIENT_PROPERTIES", '{"no.such.property": 1}', Area.KAFKA, "answers in"),
    ],
)
def test_a_wrong_setting_is_an_error_by_name(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, wrong: str,
    area: Area, still: str,
) -> None:  # fmt: skip
    """Never by its value; what doesn't depend on it is looked at all the same."""
    monkeypatch.setenv("CELERY_BROKER_URL", redis_url)
    monkeypatch.setenv(name, wrong)
    findings = told(capsys)
    assert any(name in line for line in of(findings, area, Severity.ERROR)), findings
    assert SECRET not in str(findings)
    assert any(still in each["told"] for each in findings)


def test_the_workers_own_checks_are_made(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A route whose task nobody knows is a warning, one whose task isn't tracked an error; printing does no harm."""
    (tmp_path / "my_routes.py").write_text(
        "from ferry_shared.routes import Route\n"
        "missing = [Route(topic='orders', message=dict, task='nobody.knows')]\n"
        "plain = [Route(topic='orders', message=dict, task='plain.order')]\n"
    )
    (tmp_path / "my_tasks.py").write_text(
        "from celery import Task\nfrom ferry_worker.celery import app\nprint('hello')\n"
        "@app.task(name='plain.order', base=Task)\ndef handle(order): ...\n"
    )
    (tmp_path / "exiting.py").write_text("raise SystemExit(7)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("CELERY_BROKER_URL", redis_url)
    monkeypatch.setenv("FERRY_IMPORTS", "my_tasks")
    monkeypatch.setenv("FERRY_ROUTES", "my_routes:missing")
    assert any(
        "doesn't know the task nobody.knows" in line for line in of(told(capsys), Area.WORKERS, Severity.WARNING)
    )
    monkeypatch.setenv("FERRY_ROUTES", "my_routes:plain")
    (refused,) = of(told(capsys), Area.WORKERS, Severity.ERROR)
    assert "'plain.order' of topic orders would never complete the ledger" in refused
    monkeypatch.setenv("FERRY_IMPORTS", "exiting")
    (ended,) = of(told(capsys), Area.WORKERS, Severity.ERROR)
    assert "ended the program with exit code 7" in ended


def test_routes_that_cannot_be_read_leave_kafka_itself(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It answers, and no topic is said to be well."""
    monkeypatch.setattr("ferry_consumer.client.created", FakeKafka().connected)
    monkeypatch.setenv("CELERY_BROKER_URL", redis_url)
    monkeypatch.setenv("FERRY_ROUTES", "nowhere:routes")
    findings = told(capsys)
    assert of(findings, Area.KAFKA, Severity.OK)
    assert of(findings, Area.TOPICS, Severity.OK) == []
    assert of(findings, Area.TOPICS, Severity.WARNING) == ["no topic is looked at: the routes can't be read"]
    assert of(findings, Area.RIGHTS, Severity.OK) == ["this user may read the group"]


def test_a_kafka_client_that_cannot_be_loaded_is_an_error(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """confluent-kafka refuses a librdkafka that is too old; Redis is looked at all the same."""
    monkeypatch.setenv("CELERY_BROKER_URL", redis_url)
    code = (
        "import sys; sys.modules['confluent_kafka'] = None\n"
        "from ferry_console.cli import main\n"
        "sys.exit(main(['doctor']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert re.search(r"^error    clients    confluent-kafka can't be imported: ", done.stdout, re.MULTILINE)
    assert re.search(r"^ok       redis ", done.stdout, re.MULTILINE)


def test_on_a_terminal_it_is_a_table(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As wide as the terminal; what is to be done stands below what was found."""
    monkeypatch.setenv("CELERY_BROKER_URL", redis_url)
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "70"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).splitlines()
    assert shown.count("\x1b[1;31merror") == 1
    assert max(map(len, lines)) <= 70
    assert "…" not in shown
    assert any(re.match(r" {10,}-> start Kafka, or correct", line) for line in lines)
    assert re.fullmatch(r"\d+ ok, \d+ warnings, 1 error", lines[-1])


def masked(text: str) -> set[str]:
    """Lines without what differs from system to system: numbers, addresses, the cluster's id."""
    text = re.sub(r"cluster \w+", "cluster C", re.sub(r"(localhost|127\.0\.0\.1):\d+", "HOST", text))
    return {re.sub(r"\d[\d.,]*", "N", line) for line in text.splitlines()}


def test_the_example_of_the_documentation_is_what_it_says(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Line by line, with a consumer at work, no worker, and a narrow dead-letter topic."""
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
    example = page.partition("$ ferry doctor\n")[2].partition("```")[0]
    kafka = FakeKafka(members=1)
    kafka.add("messages", partitions=4)
    kafka.add("messages.dlq", config={"retention.ms": "-1"})
    monkeypatch.setattr("ferry_consumer.client.created", kafka.connected)
    monkeypatch.setenv("CELERY_BROKER_URL", redis_url)
    with connect(redis_url) as client:
        word = PartitionStatus(server_time_ms(client), "messages", 0, "host:1", 100, 60, 90, 30, 1, 4, 3, 2, None)
        for number in range(4):
            one = replace(word, partition=number)
            client.hset(status_key("", "ferry"), one.field, one.to_json())
    assert main(["doctor"]) == 1
    assert masked(example) - masked(capsys.readouterr().out) == set()
