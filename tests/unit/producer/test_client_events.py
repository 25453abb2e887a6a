"""librdkafka's own words reach the log rarely and readably."""

from __future__ import annotations

import logging

import pytest
from confluent_kafka import KafkaError

from ferry_producer.client_events import ClientLogFilter, Outage, readable


class Clock:
    """Seconds that only the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


REFUSED = KafkaError(KafkaError._TRANSPORT, "h:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused")
ALL_DOWN = KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down")


def test_a_storm_is_told_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    """A thousand refused connections make one line, another after 30 s, and one when Kafka answers."""
    clock = Clock()
    outage = Outage(clock=clock)
    with caplog.at_level(logging.INFO, "ferry.producer"):
        for _ in range(1000):
            outage.on_error(REFUSED)
            outage.on_error(ALL_DOWN)
        clock.now += 30
        outage.on_error(REFUSED)
        outage.on_answer()
        outage.on_answer()
    trying = "Kafka connection: Connect to ipv4#127.0.0.1:1 failed: Connection refused; trying again"
    assert caplog.messages == [trying, trying, "Kafka answers again"]


def test_a_quiet_outage_only_remembers(caplog: pytest.LogCaptureFixture) -> None:
    """At start the reason belongs into the one error message; the particular one wins over the general."""
    outage = Outage(quiet=True)
    outage.on_error(REFUSED)
    outage.on_error(ALL_DOWN)
    assert outage.reason == "Connect to ipv4#127.0.0.1:1 failed: Connection refused"
    assert caplog.messages == []


def test_a_fatal_error_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A producer that Kafka fenced never works again: that is an error, also when quiet."""
    Outage(quiet=True).on_error(KafkaError(KafkaError._FATAL, "fenced", fatal=True))
    assert caplog.messages == ["Kafka refuses this producer for good: fenced"]


def record(facility: str, text: str) -> logging.LogRecord:
    """A line as confluent_kafka logs it."""
    arguments = (facility, "rdkafka#producer-1", text)
    return logging.LogRecord("x", logging.WARNING, __file__, 1, "%s [%s] %s", arguments, None)


def test_lines_of_the_client_are_filtered() -> None:
    """Connection failures are told by the error callback, consumer properties are shared, the rest is not repeated."""
    clock = Clock()
    news = ClientLogFilter(clock)
    assert not news.filter(record("FAIL", "Connection refused"))
    assert not news.filter(record("CONFWARN", "property fetch.min.bytes is a consumer property and will be ignored"))
    assert news.filter(record("CONFWARN", "property x is deprecated"))
    assert not news.filter(record("CONFWARN", "property x is deprecated"))
    assert news.filter(record("REQTMOUT", "Timed out"))
    clock.now += 30
    assert news.filter(record("CONFWARN", "property x is deprecated"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("h:1/bootstrap: Connect failed (after 0ms in state CONNECT)", "Connect failed"),
        ("sasl_ssl://h:1/bootstrap: SASL authentication error", "SASL authentication error"),
        ("h:1/2: Disconnected (after 12ms in state UP)", "Disconnected"),
        ("1/1 brokers are down", "1/1 brokers are down"),
    ],
)
def test_readable(text: str, expected: str) -> None:
    """What librdkafka repeats is cut, the reason stays."""
    assert readable(text) == expected
