"""Consumers that join, leave, are fenced, or commit what isn't theirs."""

import random
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from ferry_console.local.kafka import LocalKafka
from tests.support.acting import Acting, acts, places
from tests.support.eventually import eventually
from tests.support.ferry_processes import FerryProcesses
from tests.support.group_admin import committed_metadata, group_members
from tests.support.kafka_records import committed_offsets, create_topic
from tests.support.queue_reader import QueuedTask, QueueReader

#: More consumers than that would have nothing to do.
PARTITIONS = 4
#: How a group changes: each once, then at random.
KINDS = ("join", "join", "kill", "leave")
SHORT_SESSION = {"CONSUMER_SESSION_TIMEOUT_MS": "6000"}


def test_the_second_consumer_of_one_partition_is_idle_and_takes_over(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str
) -> None:
    """kill -9 of the first with tasks in flight: the second goes on at its position."""
    create_topic(kafka.bootstrap_servers, topic)
    acting = Acting(ferry)
    first = acting.consumer("first", SHORT_SESSION)
    first.wait_for_text(rf"{topic}-0: from offset 0")
    second = acting.consumer("second", SHORT_SESSION)
    eventually(lambda: group_members(kafka.bootstrap_servers, acting.group), 2)
    acting.produce(acts(200))
    eventually(acting.queued, 200)
    assert f"{topic}-0" not in second.output()
    first.kill()
    assert acting.in_flight() == 200
    acting.produce(acts(100, first=200))
    second.wait_for_text(rf"{topic}-0: from offset 200 \(continued from the ledger")
    eventually(acting.queued, 300)
    acting.worker()
    acting.settle()
    acting.assert_accounted()
    assert acting.started() == Counter(places(range(300)))


@pytest.mark.parametrize("changes", [4, pytest.param(20, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
def test_consumers_come_and_go_at_random_while_dispatching(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str, changes: int
) -> None:
    """Each message is queued once and runs once, whoever has its partition at the moment."""
    create_topic(kafka.bootstrap_servers, topic, partitions=PARTITIONS)
    acting = Acting(ferry)
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    settings = {"CONSUMER_INTAKE_MAX_MESSAGES": "1", "CONSUMER_MAX_IN_FLIGHT_PER_PARTITION": "100000", **SHORT_SESSION}
    running = [acting.consumer("consumer-0", settings)]
    running[0].wait_for_text("from offset")
    sent = while_dispatching = 0
    for number in range(changes):
        acting.produce(acts(500, first=sent))
        sent += 500
        eventually(lambda: acting.in_flight() > 0, expected=True)
        while_dispatching += acting.queued() < sent
        change = KINDS[number] if number < len(KINDS) else chance.choice(KINDS)
        if len(running) in {1, PARTITIONS}:
            change = "join" if len(running) == 1 else "leave"
        if change == "join":
            running.append(acting.consumer(f"consumer-{number + 1}", settings))
            running[-1].wait_for_text("from offset|stopping")
            continue
        leaving = running.pop(chance.randrange(len(running)))
        leaving.send_signal(signal.SIGKILL if change == "kill" else signal.SIGTERM)
        assert leaving.wait() == (-signal.SIGKILL if change == "kill" else 0)
    assert while_dispatching > 0
    eventually(lambda: acting.queued() >= sent, expected=True, timeout_seconds=60)
    assert (acting.queued(), set(acting.queued_ids().values())) == (sent, {1})
    acting.worker()
    acting.settle(timeout_seconds=300)
    acting.assert_accounted()
    assert set(acting.started().values()) == {1}


def test_a_fenced_member_leaves_and_nothing_is_dispatched_twice(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str
) -> None:
    """A consumer with the same instance id starts while the first one dispatches."""
    create_topic(kafka.bootstrap_servers, topic)
    acting = Acting(ferry)
    acting.produce(acts(15_000))
    settings = {
        "CONSUMER_INSTANCE_ID": "same",
        "CONSUMER_INTAKE_MAX_MESSAGES": "1",
        "CONSUMER_MAX_IN_FLIGHT_PER_PARTITION": "100000",
    }
    first = acting.consumer("first", settings)
    first.wait_for_text("dispatched")
    second = acting.consumer("second", settings)
    assert first.wait() == 2
    assert 0 < first.output().count("dispatched 1 in") < 15_000, "it was to be fenced while dispatching"
    assert "CONSUMER_INSTANCE_ID: another consumer" in first.output()
    second.wait_for_text("continued from the ledger")
    eventually(lambda: acting.queued() >= 15_000, expected=True, timeout_seconds=60)
    assert (acting.queued(), set(acting.queued_ids().values())) == (15_000, {1})


def test_two_groups_on_one_topic_and_one_redis_know_nothing_of_each_other(
    kafka: LocalKafka, ferry: FerryProcesses, topic: str, group: str
) -> None:
    """Each record runs once for each; one group's consumer is killed, and the other's goes on."""
    create_topic(kafka.bootstrap_servers, topic, partitions=2)
    ours, theirs = Acting(ferry), Acting(ferry, f"{group}-other")
    killed = ours.consumer("ours", {"CONSUMER_INSTANCE_ID": "ours"})
    theirs.consumer("theirs")
    ours.produce(acts(300))
    eventually(lambda: (ours.in_flight(), theirs.in_flight()), (300, 300), timeout_seconds=30)
    killed.kill()
    ours.produce(acts(100, first=300))
    eventually(theirs.in_flight, 400)
    assert ours.in_flight() == 300
    ours.worker()
    theirs.settle()
    ours.consumer("ours again", {"CONSUMER_INSTANCE_ID": "ours"})
    ours.settle()
    for acting in (ours, theirs):
        acting.assert_accounted()
        assert (acting.started().total(), set(acting.started().values())) == (400, {1})


class IdleMember:
    """A member of the group that owns no partition, because another one has the only one."""

    def __init__(self, consumer: Consumer, topic: str) -> None:
        self._consumer = consumer
        self._topic = topic

    def commit(self, offset: int, metadata: str = "") -> None:
        """Commit for partition 0; waits for the end of the rebalance that the joining has caused."""
        eventually(lambda: self._try(TopicPartition(self._topic, 0, offset, metadata)), expected=None)
        assert self._consumer.assignment() == []

    def _try(self, commit: TopicPartition) -> int | None:
        self._consumer.poll(0.1)
        try:
            self._consumer.commit(offsets=[commit], asynchronous=False)
        except KafkaException as error:
            code: int = error.args[0].code()
            return code
        return None


@contextmanager
def idle_member(servers: str, group: str, topic: str) -> Iterator[IdleMember]:
    """Join the group, stay for the length of the block, and leave."""
    member = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": group,
            "enable.auto.commit": False,
            "partition.assignment.strategy": "cooperative-sticky",
        }
    )
    member.subscribe([topic])
    try:
        eventually(lambda: (member.poll(0.1), group_members(servers, group))[1], 2)
        yield IdleMember(member, topic)
    finally:
        member.close()


@pytest.mark.single_messages
@pytest.mark.parametrize(
    ("offset", "signed", "start", "queued_after"),
    [
        (1, True, 6, {2, 3, 4, 5}),
        (4, True, 6, {4, 5}),
        (1, False, 1, {1, 2, 3, 4, 5}),
        (4, False, 4, {4, 5}),
        (8, False, 8, set()),
    ],
    ids=["lower, signed", "higher, signed", "lower, unsigned", "higher, unsigned", "above the position, unsigned"],
)
def test_a_commit_from_a_member_that_owns_nothing(
    kafka: LocalKafka,
    ferry: FerryProcesses,
    topic: str,
    offset: int,
    signed: bool,
    start: int,
    queued_after: set[int],
) -> None:
    """Kafka takes it. Under our signature it can't move the start back, and without one it counts as an operator's."""
    servers, group = kafka.bootstrap_servers, ferry.settings["CONSUMER_GROUP"]
    create_topic(servers, topic)
    acting, queue = Acting(ferry), QueueReader(ferry.settings["CELERY_BROKER_URL"])
    acting.produce(acts(6))
    owner = acting.consumer("owner", {"CONSUMER_INSTANCE_ID": "owner"})
    eventually(acting.queued, 6)
    tasks = list(queue.take_all())
    for task in tasks[:2]:
        queue.finish(task)
    eventually(lambda: committed_offsets(servers, group, topic), {0: 2})
    with idle_member(servers, group, topic) as member:
        copied = committed_metadata(servers, group, topic) if signed else ""
        assert copied.startswith("ferry:1:") is signed
        member.commit(offset, copied)
    assert committed_offsets(servers, group, topic) == {0: offset}
    owner.kill()
    acting.produce(acts(4, first=6))
    acting.consumer("next", {"CONSUMER_INSTANCE_ID": "owner"}).wait_for_text(rf"{topic}-0: from offset {start} ")
    eventually(acting.queued, 10 - start)
    taken = [*tasks[2:], *queue.take_all()]
    run = [task.header.member for task in taken if _runs(queue, task)]
    assert sorted(map(int, run)) == sorted(queued_after | set(range(max(start, 6), 10)))


def _runs(queue: QueueReader, task: QueuedTask) -> bool:
    return queue.ledger.claim(task.header, "tests", lease_ms=60_000, max_claims=3).verdict == "run"


@pytest.mark.single_messages
def test_the_owners_next_commit_stands(kafka: LocalKafka, ferry: FerryProcesses, topic: str) -> None:
    """While the owner lives, a stranger's commit lasts until the next task is done."""
    servers, group = kafka.bootstrap_servers, ferry.settings["CONSUMER_GROUP"]
    create_topic(servers, topic)
    acting, queue = Acting(ferry), QueueReader(ferry.settings["CELERY_BROKER_URL"])
    acting.produce(acts(4))
    acting.consumer()
    eventually(acting.queued, 4)
    first, *others = queue.take_all()
    queue.finish(first)
    eventually(lambda: committed_offsets(servers, group, topic), {0: 1})
    with idle_member(servers, group, topic) as member:
        member.commit(0)
        assert committed_offsets(servers, group, topic) == {0: 0}
        for task in others:
            queue.finish(task)
        eventually(lambda: committed_offsets(servers, group, topic), {0: 4})
    assert committed_metadata(servers, group, topic).startswith("ferry:1:")
    assert queue.peek_ids() == []


def test_kafka_refuses_a_commit_from_outside_the_group(kafka: LocalKafka, ferry: FerryProcesses, topic: str) -> None:
    """A client that assigns itself and commits under the same group gets an error while a consumer runs."""
    create_topic(kafka.bootstrap_servers, topic)
    acting = Acting(ferry)
    acting.produce(acts(3))
    acting.consumer()
    eventually(acting.queued, 3)
    stranger = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": acting.group})
    try:
        stranger.assign([TopicPartition(topic, 0, 0)])
        with pytest.raises(KafkaException) as refused:
            stranger.commit(offsets=[TopicPartition(topic, 0, 3)], asynchronous=False)
    finally:
        stranger.close()
    assert refused.value.args[0].code() == KafkaError.UNKNOWN_MEMBER_ID
    assert committed_offsets(kafka.bootstrap_servers, acting.group, topic) == {0: 0}
