"""What can go wrong, as types: each kind has one destination (docs/failures.md)."""


class FerryError(Exception):
    """Something went wrong inside Ferry."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class ConfigurationError(FerryError):
    """A setting is missing or wrong. Commands print it and exit with code 2; it never holds a value."""


class InvalidRecord(FerryError):
    """A record that can never become a task. Its destination is the dead-letter topic.

    `reason` is one word (`empty`, `too-large`, `not-json`, `invalid`); `detail` says where and why, without the value.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class TransientError(FerryError):
    """A server could not be reached or did not answer in time. The work is tried again, with backoff."""


class KafkaUnavailable(TransientError):
    """Kafka could not be reached."""


class RedisUnavailable(TransientError):
    """Redis could not be reached."""


def dead_letter_reason(error: str) -> str:
    """Return what the header `ferry.reason` says of an entry's error: what stands before the first colon."""
    return error.partition(":")[0]
