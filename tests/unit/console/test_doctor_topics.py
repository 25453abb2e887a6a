"""How the doctor judges topics, rights and clocks."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferry_console.doctor.clocks import record_clock, redis_clock
from ferry_console.doctor.finding import Area, Finding, Severity
from ferry_console.doctor.kafka_facts import Absence, ClusterFacts, GroupFacts, TopicFacts, Unknown
from ferry_console.doctor.rights import right_findings
from ferry_console.doctor.topic_config import TopicConfig, retention_text
from ferry_console.doctor.topic_judging import Expectations, dead_letter_findings, topic_findings
from tests.support.topic_facts import (
    ALL_RIGHTS,
    CLUSTER,
    CONFIG,
    GROUP,
    KEEPS_ALL,
    letters,
    partition,
    topic,
    unknown,
)

EXPECTED = Expectations(brokers=3, max_record_bytes=1_048_588, longest_in_flight_seconds=990)
ONE_BROKER = Expectations(brokers=1, max_record_bytes=1_048_588, longest_in_flight_seconds=990)


def severe(findings: list[Finding]) -> list[tuple[Severity, str]]:
    """What isn't ok; each has a remedy."""
    found = [finding for finding in findings if finding.severity is not Severity.OK]
    assert all(finding.remedy for finding in found)
    return [(finding.severity, finding.told) for finding in found]


def test_a_topic_that_is_well_is_told_in_a_line() -> None:
    """With its size, its replicas, its retention in words, and the size of its records."""
    (found,) = topic_findings(topic("orders", partition(0), partition(1)), ONE_BROKER)
    assert found == Finding(
        Area.TOPICS, Severity.OK, "orders: 2 partitions, 1 replica, keeps records for 7 d, each up to 1,048,588 bytes"
    )


@pytest.mark.parametrize(
    ("found", "severity", "told"),
    [
        (topic("orders", partition(has_leader=False, replicas=3)), Severity.ERROR, "no leader for partition 0"),
        (topic("orders", partition(replicas=3, in_sync=2)), Severity.WARNING, "behind, of partition 0"),
        (
            topic("orders", partition(replicas=3), config=CONFIG | {"min.insync.replicas": "2"}),
            Severity.ERROR,
            "less than min.insync.replicas (2) in sync for partition 0",
        ),
        (topic(), Severity.WARNING, "one replica of partition 0 on 3 brokers"),
        (topic("orders", *map(partition, range(5))), Severity.WARNING, "partitions 0, 1, 2 and 2 more"),
    ],
)
def test_replicas_and_leaders(found: TopicFacts, severity: Severity, told: str) -> None:
    """What is not read, not written, or lost with one broker."""
    ((how, what),) = severe(list(topic_findings(found, EXPECTED)))
    assert how is severity
    assert told in what


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"retention.ms": "900000"}, "keeps records for 15 min only"),
        ({"cleanup.policy": "compact"}, "is compacted"),
        ({"cleanup.policy": "compact,delete"}, "is compacted"),
        ({"max.message.bytes": "1048589"}, "takes records up to 1,048,589 bytes, the consumer parses up to 1,048,588"),
    ],
)
def test_what_a_topic_costs(change: dict[str, str], told: str) -> None:
    """Retention shorter than a message's longest way, compaction, records that are never parsed."""
    ((severity, what),) = severe(list(topic_findings(topic(config=CONFIG | change), ONE_BROKER)))
    assert severity is Severity.WARNING
    assert told in what


def test_exactly_enough_retention_is_enough() -> None:
    """990 seconds are what the settings make possible."""
    assert severe(list(topic_findings(topic(config=CONFIG | {"retention.ms": "990000"}), ONE_BROKER))) == []


@pytest.mark.parametrize(
    ("absence", "area", "severity"),
    [
        (Absence.MISSING, Area.TOPICS, Severity.WARNING),
        (Absence.DENIED, Area.RIGHTS, Severity.ERROR),
        (Absence.FAILED, Area.TOPICS, Severity.ERROR),
    ],
)
def test_a_topic_that_kafka_does_not_tell_of(absence: Absence, area: Area, severity: Severity) -> None:
    """The consumer creates a missing one; a denied one nobody can judge."""
    (found,) = topic_findings(unknown("orders", absence), EXPECTED)
    assert (found.area, found.severity) == (area, severity)
    assert found.told.startswith("orders")
    assert found.remedy


def test_a_configuration_that_may_not_be_read() -> None:
    """Is a right that is missing, not an error."""
    for found in (topic_findings(topic(config=None), ONE_BROKER), dead_letter_findings(letters(config=None), topic())):
        ((severity, told),) = severe(list(found))
        assert severity is Severity.WARNING
        assert "configuration of orders" in told


@pytest.mark.parametrize(
    ("change", "severity", "told"),
    [
        (
            {"retention.ms": "604800000"},
            Severity.WARNING,
            "orders.dlq keeps records for 7 d: older dead letters are gone",
        ),
        ({"retention.bytes": "1000"}, Severity.WARNING, "keeps records up to 1,000 bytes a partition"),
        ({"cleanup.policy": "compact"}, Severity.ERROR, "orders.dlq is compacted"),
        (
            {"max.message.bytes": "1048588"},
            Severity.ERROR,
            "orders.dlq takes at most 1048588 bytes, orders up to 1048588",
        ),
    ],
)
def test_a_dead_letter_topic_takes_and_keeps_everything(change: dict[str, str], severity: Severity, told: str) -> None:
    """What it refuses or forgets is told."""
    assert severe(list(dead_letter_findings(letters(), topic()))) == []
    ((how, what),) = severe(list(dead_letter_findings(letters(config=KEEPS_ALL | change), topic())))
    assert how is severity
    assert told in what


@pytest.mark.parametrize("source", [None, unknown("orders"), topic(config=None), topic(config={})])
def test_room_is_not_judged_without_a_source(source: TopicFacts | Unknown | None) -> None:
    """Nor where Kafka doesn't tell its limit."""
    narrow = letters(config=KEEPS_ALL | {"max.message.bytes": "1"})
    assert severe(list(dead_letter_findings(narrow, source))) == []


@given(
    config=st.dictionaries(
        st.sampled_from(sorted(CONFIG)), st.one_of(st.integers(-1, 2**63).map(str), st.text(max_size=20))
    )
)
def test_whatever_kafka_tells_of_a_configuration_is_put_in_words(config: dict[str, str]) -> None:
    """Also what a newer Kafka may invent."""
    found = TopicConfig.of(config)
    told = retention_text(found)
    assert told.startswith("keeps records ")
    by_size = found.retention_bytes is not None and found.retention_bytes >= 0
    assert ("for ever" in told) == (found.keeps_for_seconds is None and not (found.deletes and by_size))
    list(topic_findings(topic(config=config), EXPECTED))
    list(dead_letter_findings(letters(config=config), topic()))


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({}, "keeps records for ever"),
        ({"retention.ms": "-1"}, "keeps records for ever"),
        ({"retention.ms": "0"}, "keeps records for 0.0 s"),
        ({"retention.ms": "60000", "retention.bytes": "5"}, "keeps records for 1 min and up to 5 bytes a partition"),
        (
            {"cleanup.policy": "compact", "retention.ms": "5"},
            "keeps records for ever, of each key the last one for certain",
        ),
    ],
)
def test_retention_in_words(config: dict[str, str], told: str) -> None:
    """What deletes a record comes out."""
    assert retention_text(TopicConfig.of(config)) == told


def judged(
    cluster: ClusterFacts = CLUSTER,
    source: TopicFacts | Unknown | None = None,
    dead: TopicFacts | Unknown | None = None,
    group: GroupFacts | Unknown = GROUP,
) -> list[Finding]:
    """The rights, where all others are there."""
    return list(right_findings(cluster, [source or topic()], [dead or letters()], group))


def without(*rights: str) -> frozenset[str]:
    """All rights but these."""
    return ALL_RIGHTS - set(rights)


def test_all_rights_are_one_line() -> None:
    """Also where Kafka tells of none, or says that all are there."""
    (found,) = judged()
    assert found.severity is Severity.OK
    assert judged(source=topic(operations=None), group=GroupFacts("ferry", "empty", 0, None)) == [found]
    assert judged(dead=letters(operations=frozenset({"ALL"}))) == [found]
    assert judged(group=unknown("ferry")) == [found]
    (alone,) = right_findings(CLUSTER, [], [], GROUP)
    assert (alone.severity, alone.told) == (Severity.OK, "this user may read the group")


@pytest.mark.parametrize(
    ("arguments", "severity", "told"),
    [
        ({"source": topic(operations=without("READ"))}, Severity.ERROR, "may not read the topic orders"),
        ({"dead": letters(operations=without("WRITE"))}, Severity.ERROR, "may not write the topic orders.dlq"),
        (
            {"group": GroupFacts("ferry", "empty", 0, without("READ"))},
            Severity.ERROR,
            "may not read the consumer group",
        ),
        ({"group": unknown("ferry", Absence.DENIED)}, Severity.ERROR, "may not read the consumer group ferry"),
        ({"group": unknown("ferry", Absence.FAILED)}, Severity.WARNING, "can't be described: Kafka's words"),
        (
            {"source": unknown("orders"), "cluster": ClusterFacts("", "", 1, without("CREATE"))},
            Severity.WARNING,
            "may not create just any topic, and orders is missing",
        ),
    ],
)
def test_a_right_that_is_missing(arguments: dict[str, Any], severity: Severity, told: str) -> None:
    """Is named, with what it is for."""
    ((how, what),) = severe(judged(**arguments))
    assert how is severity
    assert told in what


def test_rights_on_what_is_missing_or_denied_are_not_judged_twice() -> None:
    """A missing topic that can be created is no matter of rights; a denied one is told among the topics."""
    assert severe(judged(source=unknown("orders"), dead=unknown("orders.dlq"))) == []
    assert severe(judged(source=unknown("orders", Absence.DENIED))) == []


@pytest.mark.parametrize(
    ("ahead", "round_trip", "told"),
    [(0.0, 0.1, None), (4.9, 0.0, None), (-5.4, 1.0, None), (60.0, 0.0, "1 min ahead of"), (-7.5, 1.0, "7.0 s behind")],
)
def test_redis_clock_is_compared_as_far_as_it_can_be(ahead: float, round_trip: float, told: str | None) -> None:
    """Half the time that asking took is not held against it."""
    found = redis_clock(ahead, round_trip)
    assert (found.severity is Severity.WARNING) == (told is not None)
    assert told is None or told in found.told


@given(ahead=st.floats(-1e9, 1e9), round_trip=st.floats(0, 100))
def test_clocks_are_judged_alike_in_both_directions(ahead: float, round_trip: float) -> None:
    """Only the words differ."""
    assert redis_clock(ahead, round_trip).severity is redis_clock(-ahead, round_trip).severity


@pytest.mark.parametrize(("newest_ms", "count"), [(None, 0), (-1, 0), (1_000, 0), (1_060_000, 0), (1_060_001, 1)])
def test_a_record_from_the_future(newest_ms: int | None, count: int) -> None:
    """By more than a minute; a topic without records tells nothing."""
    assert len(list(record_clock("orders", newest_ms, 1_000_000))) == count
