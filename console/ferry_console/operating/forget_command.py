"""`ferry forget`: remove all that Redis holds of a consumer group that has been retired."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from ferry_console.doctor.kafka_facts import Absence, Unknown
from ferry_console.operating.confirmation import NEEDS_YES, can_ask, confirmed
from ferry_console.operating.forget_report import Forgetting, lost_sentences, question, report
from ferry_console.operating.forgetting import KafkaWord, obstacles
from ferry_console.operating.group_keys import find_group, remove_keys, remove_ledger
from ferry_console.operating.operator_name import operator_name
from ferry_console.operating.outcome import EXIT_NOTHING_DONE, EXIT_UNREACHABLE, EXIT_USAGE, tell
from ferry_console.status.group_status import silent_after_seconds
from ferry_shared.errors import KafkaUnavailable, RedisUnavailable
from ferry_shared.ledger.client import connect, server_time_ms
from ferry_shared.logs import printable
from ferry_shared.settings import ConsumerSettings, load
from ferry_shared.status import read_status

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

    from ferry_console.operating.group_keys import Found


class ForgetArguments(Protocol):
    """What the command line gives."""

    group_name: str
    force: bool
    yes: bool
    dry_run: bool
    json: bool


def main(arguments: ForgetArguments) -> int:
    """Forget it, and say so; returns the exit code."""
    if not (arguments.dry_run or arguments.yes or can_ask()):
        print(f"ferry: {NEEDS_YES}", file=sys.stderr)
        return EXIT_USAGE
    settings = load(ConsumerSettings, consumer_group=arguments.group_name)
    client = connect(settings.ledger_url)
    try:
        forgetting = _looked(client, settings, arguments)
        if forgetting.found and not forgetting.is_refused and not arguments.dry_run:
            if not arguments.yes and not _is_confirmed(forgetting):
                print("ferry: nothing is forgotten", file=sys.stderr)
                return EXIT_NOTHING_DONE
            _forget(client, settings, forgetting)
    except RedisUnavailable as error:
        print(f"ferry: {error}; CELERY_BROKER_URL says where it is", file=sys.stderr)
        return EXIT_UNREACHABLE
    return tell(report(forgetting), as_json=arguments.json)


def _looked(client: redis.Redis, settings: ConsumerSettings, arguments: ForgetArguments) -> Forgetting:
    """Find out what is there and what stands in the way."""
    prefix, group = settings.ferry_key_prefix, settings.consumer_group
    found = find_group(client, prefix, group)
    kafka = _kafka_word(settings, found)
    now_ms = server_time_ms(client)
    silent_after = silent_after_seconds(settings.consumer_status_interval_seconds)
    in_the_way = obstacles(found, read_status(client, prefix, group), kafka, now_ms, silent_after) if found else []
    return Forgetting(
        group,
        operator_name(),
        now_ms,
        found,
        in_the_way,
        force=arguments.force,
        dry_run=arguments.dry_run,
        is_kafka_away=isinstance(kafka, str),
    )


def _kafka_word(settings: ConsumerSettings, found: Sequence[Found]) -> KafkaWord | str:
    from ferry_console.doctor.kafka_side import KafkaSide  # noqa: PLC0415 - imported when needed

    side = KafkaSide(settings)
    try:
        # It says more than the other calls about why Kafka can't be reached.
        side.cluster()
    except KafkaUnavailable as error:
        return f"{error}; KAFKA_BOOTSTRAP_SERVERS says where it is"
    topics = side.topics(sorted({one.place.topic for one in found if one.place is not None}))
    gone = {name for name, facts in topics.items() if isinstance(facts, Unknown) and facts.absence is Absence.MISSING}
    return KafkaWord(side.group(settings.consumer_group), side.committed(settings.consumer_group), gone)


def _is_confirmed(forgetting: Forgetting) -> bool:
    for sentence in lost_sentences(forgetting):
        print(f"ferry: {printable(sentence)}", file=sys.stderr)
    return confirmed(question(forgetting))


def _forget(client: redis.Redis, settings: ConsumerSettings, forgetting: Forgetting) -> None:
    """Ledgers first: whoever takes the group up meanwhile keeps what is theirs."""
    prefix, group = settings.ferry_key_prefix, settings.consumer_group
    for one in forgetting.found:
        if (
            one.place is not None
            and one.view is not None
            and not remove_ledger(client, prefix, group, one.place, one.view)
        ):
            forgetting.changed.append(str(one.place))
    if not forgetting.changed:
        remove_keys(client, [name for one in forgetting.found if one.place is None for name in one.names])
        forgetting.is_removed = True
