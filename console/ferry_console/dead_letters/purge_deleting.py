"""Have Kafka delete the beginning of a topic's partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ferry_shared.settings import ConsumerSettings

REQUEST_TIMEOUT_SECONDS = 30.0
#: In the operator's words; other errors in Kafka's.
_REFUSALS = {
    KafkaError.POLICY_VIOLATION: "the topic is compacted: Kafka deletes nothing of it on request",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "this user may not delete records of the topic",
}


class RecordDeleter:
    """One client, for one command."""

    def __init__(self, settings: ConsumerSettings) -> None:
        from ferry_consumer.client import created  # noqa: PLC0415 - other services are imported when needed
        from ferry_consumer.client_log import LOG_LEVEL_CRITICAL  # noqa: PLC0415 - other services are imported when needed

        own = {"client.id": "ferry-purge", "log_level": LOG_LEVEL_CRITICAL}
        self._admin: AdminClient = created(AdminClient, settings.client_properties() | own)

    def delete(self, topic: str, untils: Mapping[int, int]) -> dict[int, str]:
        """Delete all before the offset that each partition has in `untils`; returns why, by partition, where Kafka
        didn't. A partition that isn't in the answer begins at that offset now, or later."""
        places = [confluent_kafka.TopicPartition(topic, number, until) for number, until in untils.items()]
        asked = self._admin.delete_records(
            places, request_timeout=REQUEST_TIMEOUT_SECONDS, operation_timeout=REQUEST_TIMEOUT_SECONDS
        )
        failed: dict[int, str] = {}
        for place, future in asked.items():
            try:
                future.result()
            except KafkaException as error:
                failed[place.partition] = refusal(error.args[0])
        return failed


def refusal(error: KafkaError) -> str:
    """Why Kafka didn't delete."""
    return _REFUSALS.get(error.code(), error.str())
