"""`ferry doctor` and `ferry topics create` with a real Kafka: before the first start, under load, and with rights."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from ferry_console.doctor.finding import Area, Severity
from ferry_console.local.kafka import LocalKafka
from tests.integration.worker_harness import QUICK_START
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcesses
from tests.support.kafka_records import create_topic, produce
from tests.support.messages import texts
from tests.support.secured_kafka import SecuredKafka

QUICK = {"CONSUMER_STATUS_INTERVAL_SECONDS": "0.2"}


def examined(ferry: FerryProcesses, code: int, settings: Mapping[str, str] | None = None) -> list[dict[str, str]]:
    """Ask the doctor, whose exit code must be this one."""
    done = ferry.run("-m", "ferry_console", "doctor", "--json", settings=settings)
    assert done.returncode == code, done.stdout + done.stderr
    found: list[dict[str, str]] = json.loads(done.stdout)["findings"]
    return found


def of(findings: list[dict[str, str]], area: Area, severity: Severity) -> list[str]:
    """What is said of one area with one severity."""
    return [each["told"] for each in findings if (each["area"], each["severity"]) == (area, severity)]


def created(ferry: FerryProcesses, *arguments: str, code: int = 0, settings: Mapping[str, str] | None = None) -> Any:
    """Run `ferry topics create`; it must end with this exit code."""
    done = ferry.run("-m", "ferry_console", "topics", "create", "--json", *arguments, settings=settings)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout) if done.stdout else done.stderr


def test_from_the_first_look_to_a_system_under_load(ferry: FerryProcesses, kafka: LocalKafka, topic: str) -> None:
    """Before anything is there: warnings, no error. With topics, consumer and worker at work: all is well."""
    first = examined(ferry, 0)
    missing = of(first, Area.TOPICS, Severity.WARNING)
    assert [line.split()[0] for line in missing] == [topic, f"{topic}.dlq"]
    assert of(first, Area.CONSUMERS, Severity.WARNING)
    assert of(first, Area.WORKERS, Severity.WARNING)
    assert of(first, Area.RIGHTS, Severity.OK)

    assert [made["created"] for made in created(ferry)["topics"]] == [True, True]
    ferry.consumer(**QUICK).wait_for_text("from offset")
    ferry.worker("-c", "1", *QUICK_START).wait_for_text(r"ready\.", 60.0)
    produce(kafka.bootstrap_servers, topic, texts(*range(2_000)))
    eventually(lambda: len(of(examined(ferry, 0), Area.WORKERS, Severity.WARNING)), 0)
    last = examined(ferry, 0)
    for area in Area:
        assert of(last, area, Severity.OK), area
    assert of(last, Area.TOPICS, Severity.WARNING) == []
    (at_work,) = of(last, Area.CONSUMERS, Severity.OK)
    assert "1 consumer of the group" in at_work
    assert "on 4 partitions" in at_work


def test_members_of_the_group_that_write_to_another_redis(
    ferry: FerryProcesses, redis_url: str, topic: str, group: str
) -> None:
    """They are in Kafka's group and were never heard of here: an error with what may be the cause."""
    ferry.consumer(**QUICK).wait_for_text(f"{topic}-3: from offset")
    elsewhere = {"FERRY_KEY_PREFIX": "elsewhere:"}
    (told,) = of(examined(ferry, 1, elsewhere), Area.CONSUMERS, Severity.ERROR)
    assert told.startswith(f"the group {group} has 1 member in Kafka (stable)")


def test_a_dead_letter_topic_without_room(ferry: FerryProcesses, kafka: LocalKafka, topic: str) -> None:
    """Kafka's default limit is not enough for what the source takes."""
    create_topic(kafka.bootstrap_servers, topic)
    create_topic(kafka.bootstrap_servers, f"{topic}.dlq")
    (told,) = of(examined(ferry, 1), Area.TOPICS, Severity.ERROR)
    assert told == f"{topic}.dlq takes at most 1048588 bytes, {topic} up to 1048588"
    differing = created(ferry, code=1)
    assert any(line.startswith(f"{topic}.dlq takes at most 1048588 bytes") for line in differing["warnings"])


def test_topics_are_what_the_consumer_would_make(ferry: FerryProcesses, topic: str) -> None:
    """A dry run changes nothing; what Kafka refuses it refuses in a dry run, too; nothing is made twice."""
    planned = created(ferry, "--dry-run", "--partitions", "3")
    assert [(made["created"], made["partitions"]) for made in planned["topics"]] == [(True, 3), (True, 1)]
    assert "replication" in created(ferry, "--dry-run", "--replicas", "3", code=3).lower()
    made = created(ferry, "--partitions", "3", "--replicas", "1")["topics"]
    assert [(one["topic"], one["created"], one["partitions"], one["replicas"]) for one in made] == [
        (topic, True, 3, 1), (f"{topic}.dlq", True, 1, 1),
    ]  # fmt: skip
    again = created(ferry, "--partitions", "3")
    assert [one["created"] for one in again["topics"]] == [False, False]
    assert "has 3 partitions, 8 were asked for" in created(ferry, "--partitions", "8", code=1)["warnings"][0]
    consumer = ferry.consumer(**QUICK)
    consumer.wait_for_text(f"{topic}-2: from offset")
    assert "created the topic" not in consumer.output()


def test_names_that_kafka_takes_for_the_same(ferry: FerryProcesses, topic: str) -> None:
    """It takes no two topics that differ only in `.` and `_`: exit code 2, as the consumer has it."""
    created(ferry, f"{topic}.x")
    assert "collides" in created(ferry, f"{topic}_x", code=2)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, kafka_jars: None) -> Iterator[SecuredKafka]:
    """A Kafka with users and rights."""
    assert kafka_jars is None
    server = SecuredKafka(tmp_path_factory.mktemp("secured"))
    try:
        server.start()
        server.wait_ready()
        yield server
    finally:
        server.stop()


def test_rights_that_are_missing_are_told_by_name(ferry: FerryProcesses, secured: SecuredKafka, topic: str) -> None:
    """A user who may only see is told what it may not; with the rights all is well. Its password is never printed."""
    group = ferry.settings["CONSUMER_GROUP"]
    created(ferry, settings=secured.login("admin"))
    seen = secured.login("narrow")
    for name in (topic, f"{topic}.dlq"):
        secured.allow("narrow", "topic", name, "DESCRIBE")
    secured.allow("narrow", "group", group, "DESCRIBE")
    missing = [
        f"this user may not read the topic {topic}",
        f"this user may not write the topic {topic}.dlq",
        f"this user may not read the consumer group {group}",
    ]
    # The first question for a group makes Kafka create its topic of offsets; until then the doctor says "try again".
    eventually(lambda: _told_of_rights(ferry, seen), missing, 60.0)
    assert len(of(examined(ferry, 1, seen), Area.RIGHTS, Severity.WARNING)) == 2
    for kind, name, right in (("topic", topic, "READ"), ("topic", f"{topic}.dlq", "WRITE"), ("group", group, "READ")):
        secured.allow("narrow", kind, name, right)
    for name in (topic, f"{topic}.dlq"):
        secured.allow("narrow", "topic", name, "DESCRIBE_CONFIGS")
    eventually(lambda: len(of(examined(ferry, 0, seen), Area.RIGHTS, Severity.ERROR)), 0)
    assert secured.password not in json.dumps(examined(ferry, 0, seen))


def _told_of_rights(ferry: FerryProcesses, settings: Mapping[str, str]) -> list[str]:
    """What is missing, without what it means."""
    return [told.partition(":")[0] for told in of(examined(ferry, 1, settings), Area.RIGHTS, Severity.ERROR)]


def test_a_topic_that_may_not_be_seen_or_created(ferry: FerryProcesses, secured: SecuredKafka, topic: str) -> None:
    """The doctor can't tell whether it is there; creating it is refused in Kafka's words, also in a dry run."""
    blind = secured.login("blind")
    assert any(topic in told for told in of(examined(ferry, 1, blind), Area.RIGHTS, Severity.ERROR))
    assert "authorization failed" in created(ferry, "--dry-run", code=3, settings=blind).lower()


def test_a_wrong_password_is_told_as_such(ferry: FerryProcesses, secured: SecuredKafka) -> None:
    """With the settings to look at, and without it."""
    wrong = secured.login("admin") | {"KAFKA_SASL_PASSWORD": "not-this-one"}
    findings = examined(ferry, 1, wrong)
    (told,) = of(findings, Area.KAFKA, Severity.ERROR)
    assert "authentication" in told.lower()
    (remedy,) = [each["remedy"] for each in findings if each["told"] == told]
    assert "KAFKA_SASL_PASSWORD" in remedy
    assert "not-this-one" not in json.dumps(findings)
