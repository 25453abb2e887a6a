"""What `ferry-producer` does once its arguments are parsed: settings, one run, every error to its exit code."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import TYPE_CHECKING

from ferry_producer import sources
from ferry_producer.connection import TopicRefused
from ferry_producer.publisher import Publisher
from ferry_producer.report import BAD_INPUT, CONFIGURATION, NOT_ACKNOWLEDGED
from ferry_producer.sending import Job, run
from ferry_shared import logs
from ferry_shared.errors import ConfigurationError, KafkaUnavailable
from ferry_shared.settings import ProducerSettings, load

if TYPE_CHECKING:
    from ferry_producer.cli import Arguments

logger = logging.getLogger("ferry.producer")


def execute(arguments: Arguments) -> int:
    """Send what the arguments say and return the exit code; an error is one message on stderr."""
    try:
        return _send(arguments)
    except (ConfigurationError, sources.InvalidText) as error:
        return _fail(error, CONFIGURATION)
    except (KafkaUnavailable, TopicRefused) as error:
        return _fail(error, NOT_ACKNOWLEDGED)
    except sources.UnreadableInput as error:
        return _fail(error, BAD_INPUT)


def _send(arguments: Arguments) -> int:
    settings = _settings(arguments)
    logs.configure("producer", settings)
    texts = sources.checked_arguments(arguments.texts)
    descriptor = sources.standard_input() if sources.STANDARD_INPUT in arguments.texts else None
    publisher = Publisher(settings, topic=arguments.topic)
    if descriptor is not None and os.isatty(descriptor):
        logger.info("reading the terminal: one message a line, Ctrl-D ends")
    job = Job(texts, arguments.key, arguments.forever, descriptor)
    return asyncio.run(run(job, settings, publisher))


def _settings(arguments: Arguments) -> ProducerSettings:
    options = {
        "producer_acks": arguments.acks,
        "producer_retries": arguments.retries,
        "producer_interval_seconds": arguments.interval,
    }
    given = {name: value for name, value in options.items() if value is not None}
    return load(ProducerSettings).model_copy(update=given)


def _fail(error: Exception, code: int) -> int:
    print(f"ferry-producer: {error}", file=sys.stderr)
    return code
