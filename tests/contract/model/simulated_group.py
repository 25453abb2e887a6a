"""A consumer group's coordinator, and its members as Ferry sees them: confluent_kafka's Consumer.

Cooperative rebalances: a partition is given on only once its owner has let go of it, unless the group has given that
owner up. Commits are judged as Kafka judges them: a member of the present generation may commit any partition, also one
that isn't its own; who is no member any more is refused.
"""

from collections.abc import Callable
from typing import Any, NoReturn

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from ferry_consumer.resume import Committed
from ferry_shared.record import TopicPartition
from tests.contract.model.actor import Actor
from tests.contract.model.simulated_log import TOPIC, Log, SimulatedLogs
from tests.contract.model.virtual_time import VirtualTime

NO_OFFSET = -1001
CommitWatch = Callable[[str, TopicPartition, Committed | None, Committed], None]
Callback = Callable[..., None]


class Coordinator:
    """One group."""

    def __init__(self, group: str, logs: SimulatedLogs, watch: CommitWatch, revoked: Callable[[str], None]) -> None:
        self.group = group
        self.logs = logs
        self.members: list[SimulatedMember] = []
        self.committed: dict[TopicPartition, Committed] = {}
        self._watch = watch
        self.revoked = revoked

    def join(self, member: "SimulatedMember") -> None:
        """A new member."""
        self.members.append(member)
        self.rebalance()

    def give_up(self, member: "SimulatedMember") -> None:
        """Its session has timed out, or it has left."""
        if member in self.members:
            self.members.remove(member)
            self.revoked(self.group)
            self.rebalance()

    def rebalance(self) -> None:
        """Spread the partitions; the members hear of it when they poll."""
        if not self.members:
            return
        share = -(-len(self.logs.places) // len(self.members))
        for member in self.members:
            surplus = [place for place in sorted(member.held) if place not in member.leaving][share:]
            member.tell_revoked(surplus)
        taken = {place for member in self.members for place in member.held}
        for place in self.logs.places:
            if place not in taken:
                poorest = min(self.members, key=lambda member: len(member.held))
                poorest.held.add(place)
                poorest.events.append(("assign", [place]))

    def topic_replaced(self) -> None:
        """The assignment was of a topic that is gone."""
        for member in self.members:
            member.tell_revoked(sorted(member.held - member.leaving))

    def commit(self, member: "SimulatedMember", offsets: list[KafkaPartition]) -> KafkaError | None:
        """OffsetCommit."""
        if member not in self.members:
            return KafkaError(KafkaError.UNKNOWN_MEMBER_ID)
        for item in offsets:
            place = TopicPartition(item.topic, item.partition)
            new, before = Committed(item.offset, item.metadata or ""), self.committed.get(place)
            self.committed[place] = new
            self._watch(self.group, place, before, new)
        return None


class SimulatedMember:
    """Ferry's client. It hears of rebalances, and learns what became of commits, only when it polls."""

    def __init__(self, properties: dict[str, Any], coordinator: Coordinator, clock: VirtualTime) -> None:
        self._coordinator, self._clock = coordinator, clock
        self._logs = coordinator.logs
        self._actor = Actor.current()
        self._on_commit: Callback = properties["on_commit"]
        self._on_assign: Callback
        self._on_revoke: Callback
        self._answers: list[tuple[KafkaError | None, list[KafkaPartition]]] = []
        self._positions: dict[TopicPartition, int] = {}
        self._topic_ids: dict[TopicPartition, str] = {}
        self._paused: set[TopicPartition] = set()
        self._told: dict[TopicPartition, tuple[str, int]] = {}
        self._joined = False
        self.held: set[TopicPartition] = set()
        self.leaving: set[TopicPartition] = set()
        self.events: list[tuple[str, list[TopicPartition]]] = []
        self.polls_until_noticed = 0

    def subscribe(self, _topics: list[str], *, on_assign: Callback, on_revoke: Callback, on_lost: Callback) -> None:
        """The group is joined at the first poll."""
        assert on_lost == on_revoke
        self._on_assign, self._on_revoke = on_assign, on_revoke

    def fetched_to(self, place: TopicPartition) -> int:
        """The offset after the last that it has in hand."""
        return self._positions.get(place, 0)

    def tell_revoked(self, places: list[TopicPartition]) -> None:
        """The group wants them back."""
        if places:
            self.leaving |= set(places)
            self.events.append(("revoke", places))

    def poll(self, timeout: float) -> Message | None:
        """One step: callbacks, or a record, or the time goes by."""
        found: list[Message | None] = [None]

        def call() -> Message | None:
            found[0] = self._poll(timeout)
            return found[0]

        # No reply of a poll can be lost: what it finds is in this process already.
        return Actor.current().step("poll", call, lambda: found[0])

    def _poll(self, timeout: float) -> Message | None:
        Actor.current().idle = False
        # One connection to the coordinator: answers come before whatever happened later.
        if self._answers:
            error, partitions = self._answers.pop(0)
            self._on_commit(error, partitions)
            return None
        if self._follow_group():
            return None
        message = self._fetch()
        if message is None:
            Actor.current().idle = True
            self._clock.advance(int(timeout * 1000))
        return message

    def _follow_group(self) -> bool:
        if not self._joined:
            self._joined = True
            self._coordinator.join(self)
            return True
        if self not in self._coordinator.members:
            self.polls_until_noticed -= 1
            if self.polls_until_noticed >= 0:
                return False
            self.events.clear()
            lost = sorted(self._positions)
            self.held, self.leaving, self._joined = set(), set(), False
            self._on_revoke(self, [KafkaPartition(*place) for place in lost])
            return True
        if not self.events:
            return False
        kind, places = self.events.pop(0)
        callback = self._on_assign if kind == "assign" else self._on_revoke
        callback(self, [KafkaPartition(*place) for place in places])
        return True

    def consume(self, count: int, _timeout: float) -> list[Message]:
        """What has arrived already."""
        found: list[Message] = []
        while len(found) < count and (message := self._fetch()) is not None:
            found.append(message)
        return found

    def _fetch(self) -> Message | None:
        for place, position in sorted(self._positions.items()):
            if place not in self._paused and self._topic_ids[place] == self._logs.topic_id:
                message = self._next(place, position, self._logs.log(place))
                if message is not None:
                    return message
        return None

    def _next(self, place: TopicPartition, position: int, log: Log) -> Message | None:
        if not log.start <= position <= log.end:
            if self._told.get(place) == ("out of range", position):
                return None
            self._told[place] = "out of range", position
            return Message(*place, position, error=KafkaError(KafkaError._AUTO_OFFSET_RESET))
        offset = min((number for number in log.records if number >= position), default=None)
        if offset is not None:
            self._positions[place] = offset + 1
            self._told.pop(place, None)
            return record_message(log, offset)
        if self._told.get(place) == ("end", log.end):
            return None
        self._told[place], self._positions[place] = ("end", log.end), log.end
        return Message(*place, log.end, error=KafkaError(KafkaError._PARTITION_EOF))

    def incremental_assign(self, partitions: list[KafkaPartition]) -> None:
        """Fetch these too."""
        for item in partitions:
            place = TopicPartition(item.topic, item.partition)
            self._positions[place] = item.offset
            self._topic_ids[place] = self._logs.topic_id
            self._told.pop(place, None)
            self._paused.discard(place)

    def incremental_unassign(self, partitions: list[KafkaPartition]) -> None:
        """Let go of them; the group gives them to others."""
        for item in partitions:
            place = TopicPartition(item.topic, item.partition)
            self._positions.pop(place, None)
            self.held.discard(place)
            self.leaving.discard(place)
        self._coordinator.revoked(self._coordinator.group)
        if self in self._coordinator.members:
            self._coordinator.rebalance()

    def pause(self, partitions: list[KafkaPartition]) -> None:
        """Fetch nothing of these."""
        self._paused |= {TopicPartition(item.topic, item.partition) for item in partitions}

    def resume(self, partitions: list[KafkaPartition]) -> None:
        """Fetch them again."""
        self._paused -= {TopicPartition(item.topic, item.partition) for item in partitions}

    def seek(self, item: KafkaPartition) -> None:
        """Go on elsewhere."""
        place = TopicPartition(item.topic, item.partition)
        if place not in self._positions:
            raise KafkaException(KafkaError(KafkaError._STATE))
        self._positions[place] = item.offset
        self._told.pop(place, None)

    def committed(self, partitions: list[KafkaPartition], timeout: float) -> list[KafkaPartition]:
        """OffsetFetch: one step."""

        def fetch() -> list[KafkaPartition]:
            found = []
            for item in partitions:
                commit = self._coordinator.committed.get(TopicPartition(item.topic, item.partition))
                offset, metadata = (commit.offset, commit.metadata) if commit else (NO_OFFSET, "")
                found.append(KafkaPartition(item.topic, item.partition, offset, metadata or ""))
            return found

        assert timeout > 0
        return Actor.current().step("OffsetFetch", fetch, unanswered)

    def commit(self, *, offsets: list[KafkaPartition], asynchronous: bool) -> list[KafkaPartition]:
        """OffsetCommit: one step. The answer to an asynchronous one comes with a later poll."""

        def send() -> list[KafkaPartition]:
            error = self._coordinator.commit(self, offsets)
            if asynchronous:
                self._answers.append((error, offsets))
            elif error:
                raise KafkaException(error)
            return offsets

        def lost() -> list[KafkaPartition]:
            if not asynchronous:
                return unanswered()
            kept = [answer for answer in self._answers if answer[1] is not offsets]
            self._answers = [*kept, (KafkaError(KafkaError.REQUEST_TIMED_OUT), offsets)]
            return offsets

        return Actor.current().step("OffsetCommit", send, lost)

    def close(self) -> None:
        """Leave the group: one step, or in a thread beside the process' own a part of the step before."""
        if Actor.is_any():
            Actor.current().step("LeaveGroup", lambda: self._coordinator.give_up(self), lambda: None)
        elif not self._actor.is_dying:
            self._coordinator.give_up(self)


def record_message(log: Log, offset: int) -> Message:
    """A record as confluent_kafka hands it over."""
    stored = log.records[offset]
    return Message(
        TOPIC, stored.partition, offset, value=stored.value, timestamp=(1, 1_700_000_000_000 + stored.serial)
    )


def unanswered() -> NoReturn:
    """What a caller gets when the broker's reply doesn't come."""
    raise KafkaException(KafkaError(KafkaError.REQUEST_TIMED_OUT))
