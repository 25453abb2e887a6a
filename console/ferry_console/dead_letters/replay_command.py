"""`ferry dead-letters replay`: which ones are asked for, and what became of them."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from ferry_console.dead_letters.filters import FilterArguments, LetterFilter, is_filtered
from ferry_console.dead_letters.letters import letter_of
from ferry_console.dead_letters.reading import stretches_in_time
from ferry_console.dead_letters.replay_checks import reasons_against
from ferry_console.dead_letters.replay_marks import Mark
from ferry_console.dead_letters.replay_report import CutShort, Reach, report
from ferry_console.dead_letters.replay_sending import ReplaySender
from ferry_console.dead_letters.replaying import Enough, Replaying, Result
from ferry_console.dead_letters.search import letters_of, topics_of
from ferry_console.doctor.kafka_side import KafkaSide
from ferry_console.operating.operator_name import operator_name
from ferry_console.operating.outcome import EXIT_UNREACHABLE, EXIT_USAGE, tell
from ferry_console.topic_log import TopicLog
from ferry_shared.errors import KafkaUnavailable, RedisUnavailable
from ferry_shared.ledger.client import connect, server_time_ms
from ferry_shared.record import TaskId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from ferry_shared.record import Record
    from ferry_shared.settings import ConsumerSettings


class ReplayArguments(FilterArguments, Protocol):
    """What the command line gives; None: nothing is asked for."""

    task_ids: list[str]
    all: bool
    most: int | None
    timeout: float
    force: bool
    dry_run: bool
    json: bool


def replay(settings: ConsumerSettings, arguments: ReplayArguments) -> int:
    """Replay what is asked for, and tell; returns the exit code."""
    if problem := _problem(arguments):
        print(f"ferry: {problem}", file=sys.stderr)
        return EXIT_USAGE
    client = connect(settings.ledger_url)
    try:
        mark = Mark(operator_name(), server_time_ms(client))
    except RedisUnavailable as error:
        print(f"ferry: {error}; CELERY_BROKER_URL says where it is", file=sys.stderr)
        return EXIT_UNREACHABLE
    replaying = Replaying(
        client,
        settings.ferry_key_prefix,
        None if arguments.dry_run else ReplaySender(settings),
        mark,
        suffix=settings.consumer_dead_letter_suffix,
        force=arguments.force,
        limit=arguments.most,
        unfit=reasons_against(client, settings.ferry_key_prefix, KafkaSide(settings)),
    )
    reach = _run(settings, arguments, replaying)
    return tell(report(replaying.tally, mark, reach, dry_run=arguments.dry_run), as_json=arguments.json)


def _problem(arguments: ReplayArguments) -> str | None:
    """What is wrong with what was typed."""
    is_asked = is_filtered(arguments) or arguments.group is not None or arguments.all
    if arguments.task_ids and is_asked:
        return "expected ids, or options that ask for dead letters, not both"
    if not arguments.task_ids and not is_asked:
        return "nothing is asked for: give ids or options such as --reason and --since, or --all"
    for text in arguments.task_ids:
        try:
            TaskId.parse(text)
        except ValueError as error:
            return f"{error}, such as messages-0-42"
    return None


def _run(settings: ConsumerSettings, arguments: ReplayArguments, replaying: Replaying) -> Reach:
    """Replay; returns how far that went."""
    deadline = time.monotonic() + arguments.timeout
    with _interruptible() as is_interrupted:
        try:
            if arguments.task_ids:
                reach = _by_id(settings, arguments.task_ids, replaying, deadline, is_interrupted)
            else:
                reach = _by_filter(settings, arguments, replaying, deadline, is_interrupted)
            replaying.finish()
        except (KafkaUnavailable, RedisUnavailable) as error:
            return Reach(CutShort(str(error), is_server_away=True))
        except Enough:
            return Reach(CutShort("it was interrupted") if is_interrupted() else None)
    return reach


def _by_id(
    settings: ConsumerSettings,
    task_ids: list[str],
    replaying: Replaying,
    deadline: float,
    is_interrupted: Callable[[], bool],
) -> Reach:
    """The newest letter of each id."""
    for text in task_ids:
        if is_interrupted():
            # Nor are those sent that were found since the last batch: the Ctrl-C may be meant for them.
            raise Enough
        letters = letters_of(TaskId.parse(text), settings, max(0.0, deadline - time.monotonic()))
        if letters.found:
            replaying.add(max(letters.found, key=lambda record: (record.timestamp_ms or 0, record.offset)))
        elif letters.complete:
            replaying.tally.add(Result.UNFIT, text, "has no dead letter: ask ferry trace where it is")
        else:
            why = f"was not found among {letters.read:,} dead letters, and the time did not suffice for the others"
            replaying.tally.add(Result.UNFIT, text, f"{why}: raise --timeout")
    return Reach()


def _by_filter(
    settings: ConsumerSettings,
    arguments: ReplayArguments,
    replaying: Replaying,
    deadline: float,
    is_interrupted: Callable[[], bool],
) -> Reach:
    """All that is in the topics now, each partition from its beginning."""
    group = arguments.group or settings.consumer_group
    wanted = LetterFilter.of(arguments, group)

    def look(record: Record) -> None:
        if is_interrupted():
            raise Enough
        if wanted.takes(letter_of(record), record.value):
            replaying.add(record)

    log = TopicLog(settings, "ferry-dead-letters-replay")
    try:
        stretches = {topic: stretches_in_time(log, topic, wanted) for topic in topics_of(settings, arguments.topic)}
        sufficed = all(log.read(topic, own, deadline, look) for topic, own in stretches.items())
    finally:
        log.close()
    absent = tuple(topic for topic, own in stretches.items() if not own)
    why = f"{arguments.timeout:.0f} s did not suffice: raise --timeout, or ask for a time with --since"
    return Reach(None if sufficed else CutShort(why), absent)


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C end the command behind a batch, of which everything is known; the second one at once."""
    interrupts = 0

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal interrupts
        interrupts += 1
        if interrupts > 1:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield lambda: interrupts > 0
    finally:
        signal.signal(signal.SIGINT, before)
