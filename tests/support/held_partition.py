"""A partition as its consumer holds it once its ledger is acquired."""

from ferry_consumer.partition import Partition, Place, Tenure
from ferry_shared.ledger.consumer_ledger import Ownership
from ferry_shared.ledger.redelivery import Transport
from ferry_shared.record import DEFAULT_GROUP, TopicPartition
from ferry_shared.routes import Route
from ferry_shared.task_message import TaskTemplate
from tests.support.ledger_probe import LedgerProbe

FIRST_EPOCH = Ownership("ledger", 1)


def held_partition(
    route: Route,
    position: int = 0,
    *,
    place: TopicPartition | None = None,
    ownership: Ownership = FIRST_EPOCH,
    group: str = DEFAULT_GROUP,
    topic_id: str = "topic-id",
    committed: int | None = None,
    in_flight: int = 0,
) -> Partition:
    """Its tenure begins at `position`, up to which all is committed; `place` is the topic's first partition."""
    place = place or TopicPartition(route.topic, 0)
    template = TaskTemplate(route, group, place, ownership.ledger)
    held = Partition(Place.of(place, route, route.adapter, "", group))
    transport = Transport(held.place.queue_key, "unacked", template.stem, template.suffix)
    tenure = Tenure(ownership, topic_id, template, transport)
    held.start(tenure, position, position if committed is None else committed, in_flight)
    return held


def partition_of(ledger: LedgerProbe, route: Route, *, committed: int = 0, in_flight: int = 0) -> Partition:
    """The one whose ledger this is, at the position that the ledger is at."""
    return held_partition(
        route, ledger.position, place=ledger.place, ownership=ledger.ownership, group=ledger.group,
        committed=committed, in_flight=in_flight,
    )  # fmt: skip
