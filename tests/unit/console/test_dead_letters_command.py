"""The command line of `ferry dead-letters`, as far as it needs no Kafka."""

import io
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError

from ferry_console.cli import main
from ferry_console.dead_letters.filters import LetterFilter
from ferry_console.dead_letters.purge_deleting import refusal
from ferry_console.dead_letters.search import topics_of
from ferry_console.operating.confirmation import confirmed
from ferry_shared.settings import ConsumerSettings


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["list", "--since", "yesterday"], "expected how long ago, such as 90s"),
        (["list", "--until", "2h ago"], "expected how long ago, such as 90s"),
        (["list", "--limit", "0"], "expected a number, from 1 to 10,000"),
        (["list", "--timeout", "0"], "expected seconds"),
        (["list", "orders-0-1"], "unrecognized arguments"),
        (["show"], "the following arguments are required: ID"),
        (["delete"], "invalid choice"),
    ],
)
def test_wrong_usage_is_told(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and what was expected."""
    with pytest.raises(SystemExit) as ended:
        main(["dead-letters", *words])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_what_is_no_task_id_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 as well, before Kafka is asked."""
    assert main(["dead-letters", "show", "hello"]) == 2
    assert "expected topic-partition-offset, such as messages-0-42" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "nothing is asked for: give ids or options such as --reason and --since, or --all"),
        (["--force", "--limit", "5"], "nothing is asked for"),
        (["orders-0-1", "--reason", "invalid"], "expected ids, or options that ask for dead letters, not both"),
        (["orders-0-1", "--all"], "not both"),
        (["orders-0-1", "orders"], "expected topic-partition-offset, such as messages-0-42"),
    ],
)
def test_a_replay_must_be_asked_for(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, before any server is asked: nobody replays everything by leaving something out."""
    assert main(["dead-letters", "replay", *words]) == 2
    assert told in capsys.readouterr().err


def test_a_replay_without_redis(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3, and the setting that says where it is."""
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")
    assert main(["dead-letters", "replay", "--all"]) == 3
    assert "CELERY_BROKER_URL" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--yes"], "nothing is asked for: give options such as --until 30d and --replayed, or --all"),
        (["--group", "blue", "--yes"], "nothing is asked for"),
        (["--all", "--group", "blue", "--all-groups"], "expected --group or --all-groups, not both"),
        (["--all"], "expected --yes: this can't be undone, and there is no terminal to ask on"),
    ],
)
def test_a_purge_must_be_asked_for(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, before any server is asked: nobody removes anything by leaving something out."""
    assert main(["dead-letters", "purge", *words]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("verb", [["replay"], ["purge", "--yes"]], ids=["replay", "purge"])
@pytest.mark.parametrize(
    "option", [["--topic", "orders"], ["--reason", "invalid"], ["--since", "2h"], ["--until", "2h"], ["--text", "no"]]
)
def test_each_filter_asks_for_something(monkeypatch: pytest.MonkeyPatch, verb: list[str], option: list[str]) -> None:
    """By itself: it is Redis that is missing then."""
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")
    assert main(["dead-letters", *verb, *option]) == 3


def test_options_become_a_filter() -> None:
    """Each what it says; the group is the command's."""
    options = SimpleNamespace(topic="orders", with_reason="invalid", since=1, until=2, text="no", group=None)
    expected = LetterFilter(since_ms=1, until_ms=2, reason="invalid", text="no", group="blue")
    assert LetterFilter.of(options, "blue") == expected


def test_a_purge_without_redis(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3: what is being replayed isn't known."""
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")
    assert main(["dead-letters", "purge", "--all", "--yes"]) == 3
    assert "CELERY_BROKER_URL" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("y\n", True), (" YES \n", True), ("n\n", False), ("\n", False), ("", False), ("yet\n", False)],
)
def test_a_question_is_answered(
    answer: str, expected: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only by yes; on standard error, with nothing in it that acts on a terminal."""
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert confirmed("remove \x1b[2J?") is expected
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "remove \\x1b[2J? [y/N] ")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (KafkaError.POLICY_VIOLATION, "the topic is compacted: Kafka deletes nothing of it on request"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "this user may not delete records of the topic"),
        (KafkaError.NOT_LEADER_FOR_PARTITION, "Broker: Not leader for partition"),
    ],
)
def test_why_kafka_deletes_nothing(code: int, told: str) -> None:
    """In a sentence."""
    assert refusal(KafkaError(code)) == told


def test_routes_that_can_not_be_read_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the setting's name."""
    monkeypatch.setenv("FERRY_ROUTES", "not.there:routes")
    assert main(["dead-letters", "list"]) == 2
    assert "FERRY_ROUTES: can't import not.there" in capsys.readouterr().err


def test_the_topics_that_are_read() -> None:
    """Those of the routes, or the one that is asked for, by its source's name or its own."""
    settings = ConsumerSettings(ferry_topic="orders", consumer_dead_letter_suffix=".dead")
    assert topics_of(settings, None) == ["orders.dead"]
    assert topics_of(settings, "shop") == topics_of(settings, "shop.dead") == ["shop.dead"]
