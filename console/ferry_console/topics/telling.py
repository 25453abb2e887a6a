"""What `ferry topics create` says: what was created, what was there already, and what differs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ferry_console.doctor.finding import Severity
from ferry_console.doctor.kafka_facts import TopicFacts
from ferry_console.doctor.topic_config import TopicConfig
from ferry_console.doctor.topic_judging import dead_letter_findings, topic_line
from ferry_console.operating.outcome import EXIT_NOTHING_DONE, EXIT_OK, Outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from ferry_console.doctor.kafka_facts import Unknown
    from ferry_console.operating.operator_name import Signature

#: What one says who was asked for something, and found it otherwise.
EXIT_DIFFERS = EXIT_NOTHING_DONE
#: Stands for the broker's default number of replicas (Kafka's own sign).
BROKERS_DEFAULT = -1


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for: sources in order, their dead-letter topics by the `suffix`, and how they are to be created.

    `asked_partitions` and `asked_replicas` are None where the command line doesn't say; then any number will do for a
    topic that is there already.
    """

    sources: tuple[str, ...]
    suffix: str
    partitions: int
    replicas: int
    asked_partitions: int | None
    asked_replicas: int | None
    dry_run: bool

    @property
    def names(self) -> list[str]:
        """All topics, sources first; one that is both stands once."""
        return list(dict.fromkeys([*self.sources, *(source + self.suffix for source in self.sources)]))


def outcome(
    request: Request,
    created: Collection[str],
    present: Mapping[str, TopicFacts | Unknown],
    signature: Signature,
    remarks: Sequence[str] = (),
) -> Outcome:
    """Put it in words.

    `created` are the topics that were created (in a dry run: would be), `present` what Kafka tells of all topics now,
    `signature` is when and by whom, `remarks` are further warnings, which aren't differences.
    """
    sentences = [_sentence(name, request, created, present, signature) for name in request.names]
    found = [*differences(request, present)]
    facts = {
        "command": "topics create",
        "dry_run": request.dry_run,
        "who": signature.who,
        "at": signature.at,
        "topics": [_fact(name, request, created, present) for name in request.names],
    }
    return Outcome(EXIT_DIFFERS if found else EXIT_OK, sentences, facts, [*found, *remarks])


def differences(request: Request, present: Mapping[str, TopicFacts | Unknown]) -> Iterator[str]:
    """What is there and isn't what was asked for, with what to do about it."""
    for source in request.sources:
        found, letters = present.get(source), present.get(source + request.suffix)
        if isinstance(found, TopicFacts):
            yield from _shape(found, request)
        if isinstance(letters, TopicFacts):
            for finding in dead_letter_findings(letters, found):
                if finding.severity is not Severity.OK:
                    yield f"{finding.told}; {finding.remedy}"


def _shape(found: TopicFacts, request: Request) -> Iterator[str]:
    partitions, asked = len(found.partitions), request.asked_partitions
    if asked is not None and partitions < asked:
        yield (
            f"{found.name} has {partitions:,} partitions, {asked:,} were asked for; kafka-topics --alter --partitions "
            f"{asked} adds some, and keys then go to other partitions than before"
        )
    if asked is not None and partitions > asked:
        yield f"{found.name} has {partitions:,} partitions, {asked:,} were asked for; Kafka takes none away"
    replicas = {partition.replicas for partition in found.partitions}
    if request.asked_replicas is not None and replicas != {request.asked_replicas}:
        told = " to ".join(dict.fromkeys(map(str, (min(replicas), max(replicas)))))
        yield (
            f"{found.name} has {told} replicas, {request.asked_replicas} were asked for; kafka-reassign-partitions "
            "changes that"
        )


def _sentence(
    name: str,
    request: Request,
    created: Collection[str],
    present: Mapping[str, TopicFacts | Unknown],
    signature: Signature,
) -> str:
    if name in created and request.dry_run:
        return f"would create {name}: {_planned(name, request)}"
    found = present.get(name)
    told = topic_line(found, _config(found)) if isinstance(found, TopicFacts) else name
    return f"{signature} created {told}" if name in created else f"is there already: {told}"


def _planned(name: str, request: Request) -> str:
    partitions = _partitions(name, request)
    by_default = request.replicas == BROKERS_DEFAULT
    replicas = "the broker's default number of replicas" if by_default else f"replicas: {request.replicas}"
    keeps = "" if name in request.sources else ", keeps records for ever, with room for the largest record and headers"
    return f"{partitions:,} partition{'' if partitions == 1 else 's'}, {replicas}{keeps}"


def _partitions(name: str, request: Request) -> int:
    return request.partitions if name in request.sources else 1


def _fact(
    name: str, request: Request, created: Collection[str], present: Mapping[str, TopicFacts | Unknown]
) -> dict[str, Any]:
    found = present.get(name)
    fact: dict[str, Any] = {
        "topic": name,
        "created": name in created,
        "is_for_dead_letters": name not in request.sources,
    }
    if isinstance(found, TopicFacts):
        replicas = min((partition.replicas for partition in found.partitions), default=None)
        return fact | {"partitions": len(found.partitions), "replicas": replicas}
    asked = None if request.replicas == BROKERS_DEFAULT else request.replicas
    return fact | {"partitions": _partitions(name, request), "replicas": asked}


def _config(found: TopicFacts) -> TopicConfig | None:
    return None if found.config is None else TopicConfig.of(found.config)
