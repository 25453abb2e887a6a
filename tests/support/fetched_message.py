"""A record as the consumer fetches it: confluent_kafka's own class, without a Kafka."""

from confluent_kafka import TIMESTAMP_CREATE_TIME, KafkaError, Message

#: As confluent_kafka's types have them.
Headers = list[tuple[str, str | bytes | None]]
TEXT = b'{"text": "x"}'


def fetched(
    offset: int,
    value: bytes | None = TEXT,
    topic: str = "t",
    partition: int = 0,
    *,
    key: bytes | None = None,
    headers: Headers | None = None,
    timestamp: tuple[int, int] = (TIMESTAMP_CREATE_TIME, 1234),
    error: int | None = None,
) -> Message:
    """A record; or, with the code of an `error`, what Kafka's client tells in place of one.

    `timestamp` is its kind, and milliseconds since 1970.
    """
    return Message(
        topic=topic,
        partition=partition,
        offset=offset,
        key=key,
        value=value,
        headers=headers,
        error=None if error is None else KafkaError(error),
        timestamp=timestamp,
    )
