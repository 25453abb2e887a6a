"""Ferry's own tasks."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger.client import server_time_ms
from ferry_shared.ledger.group_view import view_ledgers
from ferry_shared.ledger.untracked import untracked_sentences
from ferry_shared.logs import message_text
from ferry_shared.message import Message  # noqa: TC001 - the annotation is what the payload is validated with
from ferry_shared.record import TopicPartition
from ferry_shared.routes import BUILT_IN_TASK
from ferry_shared.status import read_status, status_line, summed
from ferry_worker.celery import app
from ferry_worker.configuration import worker_settings
from ferry_worker.ledger_access import pool_client
from ferry_worker.schedule import STATUS_TASK
from ferry_worker.tracking import tracking_of

log = logging.getLogger("ferry.worker")


@app.task(name=BUILT_IN_TASK)
def print_something(message: Message) -> None:
    """Print the message: one log line with its text and how long ago it was sent."""
    text = message_text(message.text, worker_settings().log_message_text)
    latency_ms = round((datetime.now(UTC) - message.sent_at).total_seconds() * 1000, 1)
    log.info("%s (%.0f ms)", text, latency_ms, extra={"text": text, "latency_ms": latency_ms})


@app.task(name=STATUS_TASK, ignore_result=True)
def print_status() -> None:
    """Print the status line, from what the consumers wrote last, and one for each task that can't run messages."""
    settings = worker_settings()
    try:
        client = pool_client(tracking_of(app).ledger_url)
        partitions = read_status(client, settings.ferry_key_prefix, settings.consumer_group)
        places = [TopicPartition(partition.topic, partition.partition) for partition in partitions]
        ledgers = view_ledgers(client, settings.ferry_key_prefix, settings.consumer_group, places)
        now_ms = server_time_ms(client)
    except RedisUnavailable as error:
        log.warning("status: %s", error)
        return
    log.info(status_line(settings.consumer_group, summed(partitions, now_ms)))
    for sentence in untracked_sentences(
        dict(zip(places, (ledger.untracked for ledger in ledgers), strict=True)), now_ms
    ):
        log.error(sentence)
