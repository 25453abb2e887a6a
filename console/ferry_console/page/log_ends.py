"""Where Kafka's logs end now: what consumers tell of that is seconds old."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ferry_shared.errors import ConfigurationError, KafkaUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ferry_consumer.topics import Topics
    from ferry_shared.record import TopicPartition
    from ferry_shared.settings import ConsumerSettings

REQUEST_TIMEOUT_SECONDS = 1.0
#: A Kafka that didn't answer is asked again after this time: its silence holds up the look.
AFTER_SILENCE_SECONDS = 15.0


class LogEnds:
    """One client, until `close`; it opens again when it is asked."""

    def __init__(self, settings: ConsumerSettings) -> None:
        self._settings = settings
        self._topics: Topics | None = None
        self._ask_at = 0.0

    def ask(self, places: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The offset after the last of each partition; none while Kafka is away."""
        if not places or time.monotonic() < self._ask_at:
            return {}
        try:
            found = self._client().log_ranges(places, REQUEST_TIMEOUT_SECONDS)
        except (KafkaUnavailable, ConfigurationError):
            self._ask_at = time.monotonic() + AFTER_SILENCE_SECONDS
            return {}
        return {place: end for place, (_, end) in found.items()}

    def close(self) -> None:
        """Give the connections back."""
        self._topics = None

    def _client(self) -> Topics:
        from ferry_consumer.topics import Topics  # noqa: PLC0415 - other services are imported when needed

        if self._topics is None:
            self._topics = Topics(self._settings)
        return self._topics
