"""What `ferry-producer` does once its arguments are parsed: settings, one run, every error to its exit code."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ferry_producer import report, sources
from ferry_producer.account import Account
from ferry_producer.arguments import STANDARD_INPUT
from ferry_producer.connection import TopicRefused
from ferry_producer.dry_run import Nowhere
from ferry_producer.input import UnreadableInput, file_input, standard_input
from ferry_producer.job import Job
from ferry_producer.line_publisher import LinePublisher
from ferry_producer.messages import InvalidText
from ferry_producer.outgoing import Recipe
from ferry_producer.sending import run
from ferry_producer.target import Target, target_of
from ferry_producer.undelivered import UndeliveredFile
from ferry_shared import logs
from ferry_shared.errors import ConfigurationError, KafkaUnavailable
from ferry_shared.settings import ProducerSettings, load

if TYPE_CHECKING:
    from ferry_producer.arguments import Arguments
    from ferry_producer.input import Input
    from ferry_producer.job import Destination
    from ferry_producer.report import End

#: Python's default is 700: fewer than the messages of one delivery report.
COLLECT_AFTER_OBJECTS = 10_000

logger = logging.getLogger("ferry.producer")


def execute(arguments: Arguments) -> int:
    """Send what the arguments say and return the exit code; an error is one message on stderr."""
    try:
        return _send(arguments)
    except (ConfigurationError, InvalidText) as error:
        return _fail(error, report.CONFIGURATION)
    except (KafkaUnavailable, TopicRefused) as error:
        return _fail(error, report.NOT_ACKNOWLEDGED)
    except UnreadableInput as error:
        return _fail(error, report.BAD_INPUT)


def _send(arguments: Arguments) -> int:
    settings = _settings(arguments)
    logs.configure("producer", settings)
    target = target_of(arguments.topic, settings)
    job = _job(arguments, target, settings.producer_interval_seconds)
    # Its settings are checked in a dry run too.
    publisher = LinePublisher(settings, topic=target.topic)
    destination: Destination = Nowhere() if arguments.dry_run else publisher
    with ExitStack() as stack:
        undelivered = arguments.undelivered and stack.enter_context(UndeliveredFile(Path(arguments.undelivered)))
        account = Account(undelivered or None)
        codes = list[int]()
        _spare_the_collector()
        asyncio.run(
            run(
                job,
                destination,
                account,
                _word(arguments, settings),
                lambda end: codes.append(_tell(arguments, account, end)),
            )
        )
        return codes[0]


def _spare_the_collector() -> None:
    """Messages come and go by the thousand and form no cycles: what looks for cycles would walk them all in vain."""
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS)


def _job(arguments: Arguments, target: Target, interval_seconds: float) -> Job:
    recipe = Recipe(
        target.value_of,
        key=None if arguments.key is None else arguments.key.encode(errors="surrogateescape"),
        key_field=tuple(arguments.key_field.split(".")) if arguments.key_field else (),
        headers=arguments.headers,
    )
    texts = sources.numbered(arguments.texts, target.line_of)
    sources.check(texts, recipe)
    source = _source(arguments)
    if target.has_route and not texts and source is None:
        raise ConfigurationError(
            f"the default messages don't fit the topic {target.topic} of FERRY_ROUTES: give messages as arguments, "
            "a file by --file FILE, or - for standard input"
        )
    paused = arguments.forever and arguments.rate is None
    return Job(
        recipe,
        texts,
        source,
        in_turn=arguments.forever or (arguments.count is not None and source is None),
        count=arguments.count,
        interval_seconds=interval_seconds if paused else 0.0,
        rate_per_second=arguments.rate,
        stop_at_invalid=arguments.on_invalid == "stop",
    )


def _source(arguments: Arguments) -> Input | None:
    if arguments.file is not None:
        return file_input(Path(arguments.file))
    if STANDARD_INPUT not in arguments.texts:
        return None
    source = standard_input()
    if os.isatty(source.descriptor):
        logger.info("reading the terminal: one message a line, Ctrl-D ends")
    return source


def _settings(arguments: Arguments) -> ProducerSettings:
    options = {
        "producer_acks": arguments.acks,
        "producer_retries": arguments.retries,
        "producer_interval_seconds": arguments.interval,
    }
    given = {name: value for name, value in options.items() if value is not None}
    return load(ProducerSettings).model_copy(update=given)


def _word(arguments: Arguments, settings: ProducerSettings) -> str:
    if arguments.dry_run:
        return report.DRY_RUN
    return report.UNCONFIRMED if settings.producer_acks == "0" else report.ACKNOWLEDGED


def _tell(arguments: Arguments, account: Account, end: End) -> int:
    code = report.exit_code(account, end, stop_at_invalid=arguments.on_invalid == "stop")
    level = logging.ERROR if account.failed or account.unsent else logging.INFO
    logger.log(level, "%s", report.sentence(account, end))
    if account.undelivered is not None and account.undelivered.lines:
        logger.log(level, "%d lines to be sent again are in %s", account.undelivered.lines, arguments.undelivered)
    if arguments.json:
        return _print(json.dumps(report.document(account, end, code)), code)
    return code


def _print(document: str, code: int) -> int:
    """Print it; who reads it may have gone, a full disk is told."""
    try:
        print(document, flush=True)
    except BrokenPipeError:
        pass
    except OSError as error:
        logger.error("the account can't be written: %s", error.strerror)  # noqa: TRY400 - the sentence says it all
        return code or report.BAD_INPUT
    return code


def _fail(error: Exception, code: int) -> int:
    print(f"ferry-producer: {error}", file=sys.stderr)
    return code
