"""Settings that say which topic becomes which task."""

from typing import Annotated

from pydantic import Field, StringConstraints

from ferry_shared.settings.section import Settings

#: What Kafka accepts as a topic's name (org.apache.kafka.common.internals.Topic).
TopicName = Annotated[str, StringConstraints(min_length=1, max_length=249, pattern="^[A-Za-z0-9._-]+$")]


class TopicSettings(Settings):
    """The topic of the built-in route."""

    ferry_topic: TopicName = Field("messages", description="Topic of the built-in route.")


class RoutingSettings(TopicSettings):
    """Which topic becomes which task."""

    ferry_routes: str = Field(
        "",
        description='Your routes, as "package.module:attribute"; empty: FERRY_TOPIC to the task printSomething.',
    )
    consumer_group: str = Field(
        "ferry",
        min_length=1,
        max_length=200,
        description="Kafka consumer group; each group has a ledger of its own.",
    )
