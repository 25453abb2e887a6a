"""`ferry dead-letters purge`: find out what goes, ask, and have it deleted."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Protocol

from ferry_console.dead_letters.filters import FilterArguments, LetterFilter, is_filtered
from ferry_console.dead_letters.purge_deleting import RecordDeleter
from ferry_console.dead_letters.purge_report import plan_sentence, report
from ferry_console.dead_letters.purging import Wanted
from ferry_console.dead_letters.removal import Removal, refusals
from ferry_console.dead_letters.replay_marks import Mark
from ferry_console.dead_letters.search import topics_of
from ferry_console.operating.confirmation import NEEDS_YES, can_ask, confirmed
from ferry_console.operating.operator_name import operator_name
from ferry_console.operating.outcome import EXIT_NOTHING_DONE, EXIT_UNREACHABLE, EXIT_USAGE, tell
from ferry_console.topic_log import TopicLog
from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger.client import connect, server_time_ms

if TYPE_CHECKING:
    from ferry_shared.settings import ConsumerSettings


class PurgeArguments(FilterArguments, Protocol):
    """What the command line gives; None: nothing is asked for."""

    all_groups: bool
    replayed: bool
    all: bool
    timeout: float
    force: bool
    yes: bool
    dry_run: bool
    json: bool


def purge(settings: ConsumerSettings, arguments: PurgeArguments) -> int:
    """Remove what is asked for, as far as Kafka can, and tell; returns the exit code."""
    if problem := _problem(arguments):
        print(f"ferry: {problem}", file=sys.stderr)
        return EXIT_USAGE
    client = connect(settings.ledger_url)
    try:
        mark = Mark(operator_name(), server_time_ms(client))
        with closing(TopicLog(settings, "ferry-dead-letters-purge")) as log:
            removal = Removal(client, settings.ferry_key_prefix, log, _wanted(settings, arguments), mark)
            topics = topics_of(settings, arguments.topic)
            found = removal.survey(topics, refusals(settings, topics), arguments.timeout)
            if found.removed and not arguments.dry_run:
                if not arguments.yes and not confirmed(f"{plan_sentence(found).removeprefix('would ')}?"):
                    print("ferry: nothing is removed", file=sys.stderr)
                    return EXIT_NOTHING_DONE
                removal.remove(found, RecordDeleter(settings))
    except RedisUnavailable as error:
        print(f"ferry: {error}; CELERY_BROKER_URL says where it is", file=sys.stderr)
        return EXIT_UNREACHABLE
    return tell(report(found, mark, dry_run=arguments.dry_run), as_json=arguments.json)


def _problem(arguments: PurgeArguments) -> str | None:
    """What is wrong with what was typed."""
    if not (is_filtered(arguments) or arguments.replayed or arguments.all):
        return "nothing is asked for: give options such as --until 30d and --replayed, or --all"
    if arguments.group is not None and arguments.all_groups:
        return "expected --group or --all-groups, not both"
    if not (arguments.dry_run or arguments.yes or can_ask()):
        return NEEDS_YES
    return None


def _wanted(settings: ConsumerSettings, arguments: PurgeArguments) -> Wanted:
    group = None if arguments.all_groups else arguments.group or settings.consumer_group
    return Wanted(LetterFilter.of(arguments, group), arguments.replayed, arguments.force)
