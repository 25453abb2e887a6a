"""`ferry pause` and `ferry resume`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Protocol

from ferry_console.moments import moment_text
from ferry_console.operating.operator_name import operator_name
from ferry_console.operating.outcome import EXIT_NOTHING_DONE, EXIT_OK, EXIT_UNREACHABLE, Outcome, tell
from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger.client import connect, server_time_ms
from ferry_shared.ledger.pauses import Pause, pause, read_pauses, unpause
from ferry_shared.settings import ConsumerSettings, load
from ferry_shared.status import read_status

if TYPE_CHECKING:
    import redis

NO_REASON = "no reason given"


class PauseArguments(Protocol):
    """What the command line gives; `reason` only to `ferry pause`."""

    command: str
    target: str
    reason: str
    dry_run: bool
    json: bool


def main(arguments: PauseArguments) -> int:
    """Pause or resume, and say so; returns the exit code."""
    settings = load(ConsumerSettings)
    client = connect(settings.ledger_url)
    verb = _paused if arguments.command == "pause" else _resumed
    try:
        outcome = verb(client, settings, arguments)
    except RedisUnavailable as error:
        print(f"ferry: {error}; CELERY_BROKER_URL says where it is", file=sys.stderr)
        return EXIT_UNREACHABLE
    return tell(outcome, as_json=arguments.json)


def _paused(client: redis.Redis, settings: ConsumerSettings, arguments: PauseArguments) -> Outcome:
    place = (settings.ferry_key_prefix, settings.consumer_group)
    target, wanted = arguments.target, Pause(operator_name(), 0, arguments.reason or NO_REASON)
    if arguments.dry_run:
        present = read_pauses(client, *place).get(target)
        holds, is_new = present or Pause(wanted.who, server_time_ms(client), wanted.why), present is None
    else:
        holds, is_new = pause(client, *place, target, wanted)
    if not is_new:
        told = f"{target} is paused already {_told(holds)}"
    elif arguments.dry_run:
        told = f"would pause {target} {_told(holds)}"
    else:
        told = f"paused {target} {_told(holds)}; to end it: ferry resume {target}"
    facts = {"command": "pause", "target": target, "group": settings.consumer_group, "changed": is_new}
    facts |= {"dry_run": arguments.dry_run, "who": wanted.who, "at": moment_text(server_time_ms(client))}
    return Outcome(EXIT_OK, [told], facts | {"pause": asdict(holds)}, unknown_target(client, settings, target))


def _resumed(client: redis.Redis, settings: ConsumerSettings, arguments: PauseArguments) -> Outcome:
    place, target = (settings.ferry_key_prefix, settings.consumer_group), arguments.target
    pauses = read_pauses(client, *place)
    ended = pauses.get(target) if arguments.dry_run else unpause(client, *place, target)
    now, who = moment_text(server_time_ms(client)), operator_name()
    if ended is None:
        told = f"{target} is not paused"
    elif arguments.dry_run:
        told = f"would resume {target}, paused {_told(ended)}"
    else:
        told = f"{now} {who} resumed {target}, paused {_told(ended)}"
    facts = {"command": "resume", "target": target, "group": settings.consumer_group, "changed": ended is not None}
    facts |= {"dry_run": arguments.dry_run, "who": who, "at": now, "pause": asdict(ended) if ended else None}
    warnings = [*_still_paused(pauses, target), *unknown_target(client, settings, target)]
    return Outcome(EXIT_OK if ended else EXIT_NOTHING_DONE, [told], facts, warnings)


def _still_paused(pauses: dict[str, Pause], target: str) -> list[str]:
    """What a resume of `target` leaves paused that somebody might think it ends."""
    topic, _, partition = target.partition(":")
    if partition and topic in pauses:
        return [
            f"the whole topic {topic} is paused {_told(pauses[topic])}: its partitions stay paused; "
            f"to end that: ferry resume {topic}"
        ]
    if partition:
        return []
    return [
        f"{field} is paused by itself {_told(found)}; to end that: ferry resume {field}"
        for field, found in sorted(pauses.items())
        if field.startswith(f"{topic}:")
    ]


def unknown_target(client: redis.Redis, settings: ConsumerSettings, target: str) -> list[str]:
    """A topic may be paused before its first consumer starts; more often its name is mistyped."""
    topic, _, partition = target.partition(":")
    seen = read_status(client, settings.ferry_key_prefix, settings.consumer_group)
    known = sorted({status.topic for status in seen})
    if topic not in known:
        knows = f"they know {', '.join(known)}" if known else "none has told anything lately"
        return [f"no consumer of the group {settings.consumer_group} knows the topic {topic}: {knows}"]
    if partition and int(partition) not in {status.partition for status in seen if status.topic == topic}:
        return [f"no consumer of the group {settings.consumer_group} knows partition {partition} of {topic}"]
    return []


def _told(found: Pause) -> str:
    return f"by {found.who} since {moment_text(found.when_ms)}: {found.why}"
