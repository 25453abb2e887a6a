"""`ferry topics create` with a Kafka of topics alone: what it creates, says, and leaves alone."""

import json
import re
from pathlib import Path

import pytest

from ferry_console.cli import main
from ferry_console.topics import command
from tests.support.fake_kafka import FakeKafka

ROUTES = """\
from ferry_shared.routes import Route
routes = [Route(topic=topic, message=dict, task="handle") for topic in ("orders", "bills")]
"""
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
ROOM = "2097176"


@pytest.fixture(autouse=True)
def kafka(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeKafka:
    """An empty Kafka; the routes have two topics."""
    made = FakeKafka()
    monkeypatch.setattr("ferry_consumer.client.created", made.connected)
    monkeypatch.setattr("ferry_consumer.topics.created", made.connected)
    monkeypatch.setattr(command, "ASK_AGAIN_SECONDS", 0.0)
    (tmp_path / "two_routes.py").write_text(ROUTES)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("FERRY_ROUTES", "two_routes:routes")
    monkeypatch.setenv("LOGNAME", "alice")
    return made


def test_all_topics_of_the_routes_are_created(kafka: FakeKafka, capsys: pytest.CaptureFixture[str]) -> None:
    """With their dead-letter topics; each is a line with when and who. A second time there is nothing to do."""
    assert main(["topics", "create"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[3].rstrip(":") for line in lines] == ["orders", "bills", "orders.dlq", "bills.dlq"]
    assert all(re.match(rf"{TIME} alice@\S+ created ", line) for line in lines)
    assert lines[0].endswith("orders: 4 partitions, 1 replica, keeps records for 7 d, each up to 1,048,588 bytes")
    assert lines[2].endswith("orders.dlq: 1 partition, 1 replica, keeps records for ever, each up to 2,097,176 bytes")
    assert {name: topic.partitions for name, topic in kafka.topics.items()} == {
        "orders": 4, "bills": 4, "orders.dlq": 1, "bills.dlq": 1,
    }  # fmt: skip
    before = dict(kafka.topics)
    assert main(["topics", "create"]) == 0
    told = capsys.readouterr()
    assert [line.partition(": ")[0] for line in told.out.splitlines()] == ["is there already"] * 4
    assert (told.err, kafka.topics) == ("", before)


def test_a_topic_that_is_not_known_everywhere_at_once_is_waited_for(kafka: FakeKafka) -> None:
    """Its limits are asked for until Kafka knows it: the dead-letter topic gets its room."""
    kafka.lag = 3
    assert main(["topics", "create"]) == 0
    assert kafka.topics["orders.dlq"].config["max.message.bytes"] == ROOM


def test_it_does_not_wait_for_ever(kafka: FakeKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 3; what was created stays."""
    monkeypatch.setattr(command, "PATIENCE_SECONDS", 0.0)
    kafka.lag = 1_000_000
    assert main(["topics", "create"]) == 3
    assert set(kafka.topics) == {"orders", "bills"}


def test_numbers_of_the_command_line(kafka: FakeKafka, capsys: pytest.CaptureFixture[str]) -> None:
    """They win over the settings; dead letters have one partition."""
    assert main(["topics", "create", "orders", "--partitions", "12", "--replicas", "1"]) == 0
    assert {name: topic.partitions for name, topic in kafka.topics.items()} == {"orders": 12, "orders.dlq": 1}
    assert main(["topics", "create", "bills", "--replicas", "3"]) == 3
    assert "replication" in capsys.readouterr().err.lower()


@pytest.mark.parametrize(
    ("name", "options"), [("PARTITIONS", ["--partitions", "0"]), ("REPLICATION", ["--replicas", "-2"])]
)
def test_numbers_that_cannot_be(
    kafka: FakeKafka, name: str, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, by the rule of the setting."""
    assert main(["topics", "create", *options]) == 2
    assert f"CONSUMER_TOPIC_{name}" in capsys.readouterr().err
    assert kafka.topics == {}


def test_a_dry_run_asks_kafka_and_changes_nothing(kafka: FakeKafka, capsys: pytest.CaptureFixture[str]) -> None:
    """What would be created is what Kafka says it would create."""
    kafka.add("orders", partitions=2)
    assert main(["topics", "create", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("is there already: orders: 2 partitions")
    assert lines[1] == "would create bills: 4 partitions, the broker's default number of replicas"
    assert lines[2].startswith("would create orders.dlq: 1 partition, the broker's default number of replicas, keeps")
    assert kafka.validated == ["bills", "orders.dlq", "bills.dlq"]
    assert set(kafka.topics) == {"orders"}
    assert main(["topics", "create", "--dry-run", "--replicas", "1", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["dry_run"] is True
    assert made["topics"][1] == {
        "topic": "bills", "created": True, "is_for_dead_letters": False, "partitions": 4, "replicas": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--partitions", "8"], "orders has 2 partitions, 8 were asked for; kafka-topics --alter --partitions 8"),
        (["--partitions", "1"], "orders has 2 partitions, 1 were asked for; Kafka takes none away"),
    ],
)
def test_what_differs_from_what_was_asked_for(
    kafka: FakeKafka, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    """Exit code 1, and what to do; without a number any will do."""
    kafka.add("orders", partitions=2)
    assert main(["topics", "create", "orders", *options]) == 1
    assert told in capsys.readouterr().err
    assert kafka.topics["orders"].partitions == 2
    assert main(["topics", "create", "orders"]) == 0


@pytest.mark.parametrize("config", [{"max.message.bytes": "1000"}, {"retention.ms": "1000"}])
def test_a_dead_letter_topic_that_does_not_keep_everything(
    kafka: FakeKafka, capsys: pytest.CaptureFixture[str], config: dict[str, str]
) -> None:
    """Differs too, by the doctor's rules, in both forms."""
    kafka.add("orders")
    kafka.add("orders.dlq", config={"retention.ms": "-1", "max.message.bytes": ROOM} | config)
    assert main(["topics", "create", "orders", "--json"]) == 1
    told = capsys.readouterr()
    assert told.err == ""
    made = json.loads(told.out)
    assert len(made["warnings"]) == 1
    assert made["warnings"][0].startswith("orders.dlq")
    assert not any(topic["created"] for topic in made["topics"])


def test_a_topic_of_no_route_is_created_and_told(kafka: FakeKafka, capsys: pytest.CaptureFixture[str]) -> None:
    """Its name may be mistyped, or its route be yet to come: no difference."""
    assert main(["topics", "create", "oders"]) == 0
    assert "no route takes oders: the routes have orders, bills" in capsys.readouterr().err
    assert set(kafka.topics) == {"oders", "oders.dlq"}


def test_routes_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Are needed for nothing when the topics are named."""
    monkeypatch.setenv("FERRY_ROUTES", "nowhere:routes")
    assert main(["topics", "create"]) == 2
    assert main(["topics", "create", "orders"]) == 0
    assert "whether a route takes them is not known: FERRY_ROUTES: can't import nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["or ders", "..", "x" * 250, "x" * 249])
def test_names_that_kafka_would_refuse(kafka: FakeKafka, name: str) -> None:
    """Exit code 2; that of the dead-letter topic counts, too."""
    assert main(["topics", "create", name]) == 2
    assert kafka.topics == {}


def test_without_kafka(kafka: FakeKafka, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3, and the setting that says where it is."""
    kafka.is_away = True
    assert main(["topics", "create"]) == 3
    assert "KAFKA_BOOTSTRAP_SERVERS" in capsys.readouterr().err


def test_without_the_right_to_create(kafka: FakeKafka, capsys: pytest.CaptureFixture[str]) -> None:
    """Kafka's words, exit code 3; a topic that can't be seen is no topic that is missing."""
    kafka.denied = {"orders"}
    assert main(["topics", "create"]) == 3
    assert "authorization" in capsys.readouterr().err.lower()
