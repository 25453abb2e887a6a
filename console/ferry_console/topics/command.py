"""`ferry topics create`: what the consumer does at its start, on its own."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol

from ferry_console.doctor.kafka_facts import Absence, Unknown
from ferry_console.operating.operator_name import Signature, operator_name
from ferry_console.operating.outcome import EXIT_UNREACHABLE, EXIT_USAGE, tell
from ferry_console.topics.telling import Request, outcome
from ferry_shared.errors import ConfigurationError, KafkaUnavailable
from ferry_shared.record import TOPIC_NAME_EXPECTED, is_topic_name
from ferry_shared.routes import load_routes
from ferry_shared.settings import ConsumerSettings, load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferry_console.doctor.kafka_facts import TopicFacts
    from ferry_console.doctor.kafka_side import KafkaSide
    from ferry_console.operating.outcome import Outcome
    from ferry_consumer.topics import Topics

#: How long a new topic may take until every broker knows it.
PATIENCE_SECONDS = 10.0
ASK_AGAIN_SECONDS = 0.2


class TopicsArguments(Protocol):
    """What the command line gives: no `topics` means those of the routes, no number what the settings say."""

    topics: list[str]
    partitions: int | None
    replicas: int | None
    dry_run: bool
    json: bool


def main(arguments: TopicsArguments) -> int:
    """Create what is missing, and say so; returns the exit code."""
    if wrong := [name for name in arguments.topics if not is_topic_name(name)]:
        print(f"ferry: {wrong[0]!r} is no topic name: {TOPIC_NAME_EXPECTED}", file=sys.stderr)
        return EXIT_USAGE
    settings = _settings(arguments)
    sources, remarks = _sources(arguments, settings)
    request = Request(
        sources,
        settings.consumer_dead_letter_suffix,
        settings.consumer_topic_partitions,
        settings.consumer_topic_replication_factor,
        arguments.partitions,
        arguments.replicas,
        arguments.dry_run,
    )
    try:
        done = _created(request, settings, remarks)
    except KafkaUnavailable as error:
        print(f"ferry: {error}; KAFKA_BOOTSTRAP_SERVERS says where it is, ferry doctor what is wrong", file=sys.stderr)
        return EXIT_UNREACHABLE
    return tell(done, as_json=arguments.json)


def _settings(arguments: TopicsArguments) -> ConsumerSettings:
    given = {
        "consumer_topic_partitions": arguments.partitions,
        "consumer_topic_replication_factor": arguments.replicas,
    }
    return load(ConsumerSettings, **{name: value for name, value in given.items() if value is not None})


def _sources(arguments: TopicsArguments, settings: ConsumerSettings) -> tuple[tuple[str, ...], Sequence[str]]:
    """The topics to create, and what is odd about them."""
    from ferry_consumer.dead_letter_topics import check_names  # noqa: PLC0415 - other services are imported when needed

    named = tuple(dict.fromkeys(arguments.topics))
    try:
        routed = tuple(route.topic for route in load_routes(settings))
    except ConfigurationError as error:
        if not named:
            raise
        routed, remarks = (), [f"whether a route takes them is not known: {error}"]
    else:
        listed = ", ".join(routed)
        remarks = [f"no route takes {name}: the routes have {listed}" for name in named if name not in routed]
    check_names(named or routed, settings.consumer_dead_letter_suffix)
    return named or routed, remarks


def _created(request: Request, settings: ConsumerSettings, remarks: Sequence[str]) -> Outcome:
    from ferry_console.doctor.kafka_side import KafkaSide  # noqa: PLC0415 - imported when needed
    from ferry_consumer.topics import Topics  # noqa: PLC0415 - other services are imported when needed

    side, topics = KafkaSide(settings), Topics(settings)
    # It says more than the client that creates about why Kafka can't be reached.
    side.cluster()
    signature = Signature(int(time.time() * 1000), operator_name())
    created = topics.create_sources(request.sources, only_ask=request.dry_run)
    created += _dead_letter_topics(topics, request)
    present = side.topics(request.names) if request.dry_run else _known(side, request.names)
    return outcome(request, created, present, signature, remarks)


def _dead_letter_topics(topics: Topics, request: Request) -> tuple[str, ...]:
    """Create them as soon as their sources are known: it takes a moment until every broker has heard of a new topic."""
    from ferry_consumer.topics import TopicNotYetKnown  # noqa: PLC0415 - other services are imported when needed

    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return topics.create_dead_letter_topics(request.sources, only_ask=request.dry_run)
        except TopicNotYetKnown:
            if time.monotonic() > deadline:
                raise
        time.sleep(ASK_AGAIN_SECONDS)


def _known(side: KafkaSide, names: Sequence[str]) -> Mapping[str, TopicFacts | Unknown]:
    """What Kafka tells of the topics, once it knows all, or the time is up."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = side.topics(names)
        missing = [one for one in found.values() if isinstance(one, Unknown) and one.absence is Absence.MISSING]
        if not missing or time.monotonic() > deadline:
            return found
        time.sleep(ASK_AGAIN_SECONDS)
