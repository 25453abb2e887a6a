"""What must hold. It knows what was produced, which tasks ran, what was queued and dead-lettered, and what the test did
to whom; of Ferry's own account it knows only which scripts ran and what they answered.

A broken promise is a `Broken`, whose text begins with the promise: DISPATCH, EXECUTION, LOSS, COMMIT, END.
"""

from base64 import b64decode
from collections import defaultdict
from collections.abc import Mapping
from itertools import count
from typing import Any

import orjson

from ferry_consumer.commit import Signature
from ferry_consumer.resume import Committed
from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.record import TopicPartition
from tests.contract.model.actor import Actor
from tests.contract.model.simulated_log import TOPIC, Kind, SimulatedLogs, Stored
from tests.contract.model.simulated_transport import Copy, Transport
from tests.contract.model.story import NEVER, Run, Story
from tests.contract.model.virtual_time import VirtualTime

#: kombu's own gap between BRPOP and `unacked`: who stands in it longer passes for lost.
GAP_MS = 5_000
MAX_PARTITIONS = 3
#: Which argument of `acquire` says from where on entries are dropped, counted from 0.
DROP_FROM = 13
#: How often a task may be started without an outcome, and how often a message is queued that nobody claims.
MAX_STARTS, MAX_DELIVERIES = 3, 3
#: Why the records of a kind become dead letters where nothing else has happened to them.
OWN_REASONS = {Kind.FAILS: "ValueError", Kind.INVALID: "not-json"}
_READING_SCRIPTS = {"stranded", "inspect", "committed"}
_OUTCOMES = {"done", "fail", "retry"}


class Broken(AssertionError):
    """A promise does not hold."""


class Oracle:
    """Watches."""

    def __init__(self, groups: tuple[str, ...], logs: SimulatedLogs, transport: Transport, clock: VirtualTime) -> None:
        self.groups = groups
        self._logs, self._transport, self._clock = logs, transport, clock
        self._moments = count()
        self._stories: defaultdict[tuple[str, int], Story] = defaultdict(Story)
        self._redis_lost = NEVER
        self._dropped: defaultdict[tuple[str, int], int] = defaultdict(lambda: NEVER)
        self._acquired: defaultdict[tuple[str, int], int] = defaultdict(lambda: NEVER)
        self._handover: defaultdict[str, int] = defaultdict(lambda: NEVER)
        self._looked: dict[str, int] = {}
        self._replaced = NEVER
        self._cut: dict[int, int] = {}
        self._operator: dict[tuple[str, int], int] = {}
        self._truncated: dict[int, int] = {}
        self._cut_back: dict[tuple[str, int], tuple[int, int]] = {}
        self._taken: dict[int, int] = {}
        self._commit_moments: dict[tuple[str, TopicPartition], int] = {}
        self._acquired_by: dict[tuple[Actor, tuple[str, int]], tuple[int, str]] = {}
        self._owners: dict[tuple[str, int], Actor] = {}
        self._ledger_topic: dict[tuple[str, int], str] = {}
        self._holders: dict[tuple[tuple[str, int], str], tuple[str, int]] = {}
        self._claims: dict[tuple[str, str], int] = {}
        self._starts: defaultdict[tuple[tuple[str, int], str], dict[str, int]] = defaultdict(dict)
        self._epochs: dict[tuple[str, int], int] = {}
        places = [(group, number) for group in groups for number in range(MAX_PARTITIONS)]
        self._heads = {LedgerKeys.of("", group, TopicPartition(TOPIC, n)).head: (group, n) for group, n in places}
        self.pushes = self.runs = self.letters = 0
        #: What was raised inside a process may be taken for a task's own failure there.
        self.broken: Broken | None = None

    def _broken(self, text: str) -> Broken:
        self.broken = Broken(text)
        return self.broken

    # What the test does.

    def produced(self, stored: Stored, positions: Mapping[str, int]) -> None:
        """A record arrives. `positions`: how far each group has got, in offsets that a truncation has freed."""
        for group in self.groups:
            number = self._operator.get((group, stored.partition))
            if stored.offset < positions[group] or (number is not None and stored.offset < number):
                self._story(group, stored).skipped = True

    def redis_lost(self) -> None:
        """Redis has lost acknowledged writes."""
        self._redis_lost = next(self._moments)

    def cut(self, records: list[Stored]) -> None:
        """Kafka has deleted records."""
        moment = next(self._moments)
        self._cut |= {stored.serial: moment for stored in records}

    def truncated(self, partition: int, records: list[Stored]) -> None:
        """A log has lost its end."""
        self._truncated[partition] = moment = next(self._moments)
        self._taken |= {stored.serial: moment for stored in records}

    def topic_replaced(self, *, commits_stay: bool) -> None:
        """The topic was deleted and created again; an operator's number that stays is honoured for the new one."""
        self._replaced = next(self._moments)
        if not commits_stay:
            self._operator.clear()

    def operator_set(self, group: str, place: TopicPartition, offset: int) -> None:
        """An operator has set the group's offset: everything from there on is asked for again, nothing below."""
        self._operator[group, place.partition] = offset
        moment = next(self._moments)
        for stored in self._records(place):
            story = self._story(group, stored)
            if stored.offset >= offset:
                story.wanted_since, story.skipped = moment, False
            elif not story.settled:
                story.skipped = True

    def handed_over(self, group: str) -> None:
        """A consumer was killed, or partitions have changed hands."""
        self._handover[group] = next(self._moments)

    def interrupted(self, actor: Actor) -> None:
        """A worker, or its child, is gone."""
        for story in self._stories.values():
            for run in story.runs:
                run.interrupted |= run.actor is actor and not run.recorded

    # What the processes do.

    def script_ran(self, actor: Actor, name: str, words: tuple[Any, ...], reply: Any) -> None:
        """A script ran on the server."""
        keys, arguments = words[1 : 1 + words[0]], words[1 + words[0] :]
        where = self._heads.get(str(keys[0])) if keys else None
        if where is None or not isinstance(reply, list):
            return
        word = reply[0].decode() if isinstance(reply[0], bytes) else ""
        if name == "claim" and word in {"run", "poison"}:
            self._claims[actor.name, str(arguments[3])] = self._clock.now_ms + int(arguments[4])
            self._holders[where, str(arguments[1])] = str(arguments[3]), next(self._moments)
            if word == "run":
                self._starts[where, str(arguments[1])].setdefault(str(arguments[3]), next(self._moments))
        elif name in _OUTCOMES and word == "recorded":
            self._recorded(where, str(arguments[1]), str(arguments[3]), name)
        elif name == "acquire" and word == "acquired":
            self._epochs[where] = int(reply[1])
            topics = [word for word in map(str, arguments) if word.startswith("topic-")]
            self._ledger_acquired(actor, where, topics[-1], dropped="drop" in arguments)
            if (end := str(arguments[DROP_FROM])).isdigit():
                self._cut_back[where] = next(self._moments), int(end)
        elif name == "snapshot":
            self._looked[actor.name] = next(self._moments)
        elif actor.name.startswith("consumer") and name not in _READING_SCRIPTS:
            for copy in self._transport.new_in_queue():
                self._pushed(copy)

    def _ledger_acquired(self, actor: Actor, where: tuple[str, int], topic_id: str, *, dropped: bool) -> None:
        if self._owners.get(where) is not actor:
            self._owners[where] = actor
            self.handed_over(where[0])
        last, self._acquired[where] = self._acquired[where], next(self._moments)
        topic_before, self._ledger_topic[where] = self._ledger_topic.get(where, topic_id), topic_id
        # Whoever no longer belongs to the group may have made a ledger meanwhile; it could not sign that.
        own_last, _ = self._acquired_by.get((actor, where), (last, topic_id))
        self._acquired_by[actor, where] = self._acquired[where], topic_id
        lost = max(self._redis_lost, self._replaced) > min(last, own_last)
        causes = last == NEVER, lost, topic_before != topic_id, where in self._operator
        if not dropped:
            return
        if not any(causes):
            raise self._broken(f"DISPATCH: the ledger of {where} was dropped, and nothing had happened to it")
        self._dropped[where] = next(self._moments)

    def _pushed(self, copy: Copy) -> None:
        self.pushes += 1
        header = copy.header
        group, serial = header["group"], _serial_in(copy)
        stored, story = self._logs.produced[serial], self._stories[group, serial]
        if self._of_topic_before(group, stored):
            return
        another_log = self._reads_another_log(group, stored)
        if stored.kind is Kind.INVALID and not another_log:
            raise self._broken(f"DISPATCH: the invalid record {stored} was queued")
        if not another_log and story.pushed != NEVER and not self._may_push_again(group, stored, story):
            raise self._broken(
                f"DISPATCH: {group} {stored} was queued again as {copy.tag}; {story.tag} was still there"
            )
        if self._redis_lost < story.tags.get(copy.tag, NEVER):
            raise self._broken(f"DISPATCH: {group} {stored} was queued again with the same tag, {copy.tag}")
        story.pushed, story.tag = next(self._moments), copy.tag
        story.tags[copy.tag] = story.pushed
        story.pushes.append(story.pushed)
        if story.first_pushed == NEVER:
            story.first_pushed = story.pushed

    def _may_push_again(self, group: str, stored: Stored, story: Story) -> bool:
        if max(self._redis_lost, self._dropped[group, stored.partition], story.retried) > story.pushed:
            return True
        running = any(
            not run.recorded and not run.interrupted and run.lease_until_ms > self._clock.now_ms for run in story.runs
        )
        taken_ms = self._transport.taken_ms.get(story.tag)
        in_hand = taken_ms is not None and self._clock.now_ms - taken_ms < GAP_MS
        return not (running or in_hand or self._transport.has(story.tag) or (story.ended and story.runs[-1].recorded))

    def _of_topic_before(self, group: str, stored: Stored) -> bool:
        """The ledger is still that of a topic which is gone: read again from Kafka, an offset is another record."""
        where = group, stored.partition
        _, own_topic = self._acquired_by.get((Actor.current(), where), (NEVER, stored.topic_id))
        return stored.topic_id not in {own_topic} & {self._ledger_topic.get(where, stored.topic_id)}

    def _reads_another_log(self, group: str, stored: Stored) -> bool:
        """The same, or the ledger's log was truncated and has grown again."""
        where = group, stored.partition
        acquired, _ = self._acquired_by.get((Actor.current(), where), (self._acquired[where], ""))
        return self._truncated.get(stored.partition, NEVER) > acquired or self._of_topic_before(group, stored)

    def run_started(self, group: str, serial: int, actor: Actor, owner: str, header: Mapping[str, Any]) -> None:
        """A task begins."""
        self.runs += 1
        stored, story = self._logs.produced[serial], self._stories[group, serial]
        if stored.kind is Kind.INVALID:
            raise self._broken(f"EXECUTION: the invalid record {stored} ran")
        lease = self._claims.get((actor.name, owner))
        if lease is None:
            raise self._broken(f"EXECUTION: {group} {stored} ran without a claim")
        newest = story.tag.startswith(f"{header['ledger']}/") and f"/{header['token']}." in story.tag
        noticed, end = self._cut_back.get((group, stored.partition), (NEVER, 0))
        taken = stored.offset >= end and self._taken.get(serial, noticed) < noticed > self._redis_lost
        moved_on = max(self._dropped[group, stored.partition], story.retried) > story.pushed or taken
        if (moved_on or not newest) and self._redis_lost < story.pushed and not self._reads_another_log(group, stored):
            raise self._broken(
                f"EXECUTION: {group} {stored} ran by a copy with token {header['token']} after {story.tag}"
            )
        if story.runs and not self._may_run_again(group, stored, story):
            raise self._broken(f"EXECUTION: {group} {stored} ran again on {actor.name}; before: {story.runs[-1]}")
        story.runs.append(Run(actor, owner, next(self._moments), lease))
        # Of those before a loss Redis may know or not.
        since = max(self._begun(group, stored, story), self._redis_lost)
        if sum(run.started > since and not run.recorded for run in story.runs) > MAX_STARTS:
            raise self._broken(f"END: {group} {stored} was started more than {MAX_STARTS} times without an outcome")

    def _may_run_again(self, group: str, stored: Stored, story: Story) -> bool:
        last = story.runs[-1]
        if max(self._redis_lost, self._dropped[group, stored.partition], story.retried) > last.started:
            return True
        return not last.recorded and (last.interrupted or last.lease_until_ms <= self._clock.now_ms)

    def task_done(self, group: str, serial: int) -> None:
        """A task has written down that it was done."""
        self._stories[group, serial].done = next(self._moments)

    def _recorded(self, where: tuple[str, int], member: str, owner: str, name: str) -> None:
        group, partition = where
        holder, since = self._holders[where, member]
        if holder != owner and self._redis_lost < since:
            raise self._broken(
                f"EXECUTION: {group} {partition}-{member}: {name} by {owner}, which had lost it to {holder}"
            )
        for stored in self._records(TopicPartition(TOPIC, partition), any_topic=True):
            if str(stored.offset) == member:
                story = self._story(group, stored)
                for run in story.runs:
                    run.recorded |= run.owner == owner
                    if run.owner == owner and name == "retry":
                        story.retried = next(self._moments)

    def letter_written(self, value: bytes | None, headers: Mapping[str, bytes | None]) -> None:
        """A dead letter is in Kafka."""
        self.letters += 1
        group, stored = self._origin(value, headers)
        story = self._story(group, stored)
        reason = (headers["ferry.reason"] or b"").decode()
        if self._of_topic_before(group, stored):
            return
        if not self._reads_another_log(group, stored) and not self._explains(reason, group, stored, story):
            raise self._broken(f"END: {group} {stored} has a dead letter without that reason: {reason}")
        causes = self._redis_lost, self._dropped[group, stored.partition], self._handover[group]
        # Of two writers the one that stood still may have looked first, and write last.
        looked = self._looked[Actor.current().name]
        if story.dead != NEVER and max(*causes, story.letter_unconfirmed) < min(story.letter_asked_for, looked):
            raise self._broken(f"END: {group} {stored} has two dead letters, and nobody crashed in between")
        story.dead, story.letter_asked_for = next(self._moments), looked

    def _explains(self, reason: str, group: str, stored: Stored, story: Story) -> bool:
        since = self._begun(group, stored, story)
        match reason:
            case "poison":
                starts = self._starts[(group, stored.partition), str(stored.offset)].values()
                return sum(moment > since for moment in starts) >= MAX_STARTS
            case "never-acknowledged":
                return sum(moment > since for moment in story.pushes) >= MAX_DELIVERIES
            case "record-gone":
                return not self._logs.holds(stored)
        ran = stored.kind is Kind.INVALID or bool(story.runs)
        return ran and OWN_REASONS.get(stored.kind) == reason

    def _begun(self, group: str, stored: Stored, story: Story) -> int:
        """When starts and copies were last counted from 0, as far as Redis can't have forgotten that."""
        begun = max(self._dropped[group, stored.partition], story.retried)
        return begun if begun > self._redis_lost else NEVER

    def letter_lost(self, value: bytes | None, headers: Mapping[str, bytes | None]) -> None:
        """Nobody knows whether a dead letter is in Kafka."""
        self._story(*self._origin(value, headers)).letter_unconfirmed = next(self._moments)

    def _origin(self, value: bytes | None, headers: Mapping[str, bytes | None]) -> tuple[str, Stored]:
        group = (headers["__dlq.errors.group"] or b"").decode()
        if value:
            digits = value.split()[0] if value[:1].isdigit() else str(orjson.loads(value)["serial"]).encode()
            return group, self._logs.produced[int(digits)]
        place = [int(headers[f"x-original-{name}"] or 0) for name in ("partition", "offset")]
        found = [stored for stored in self._logs.produced.values() if [stored.partition, stored.offset] == place]
        return group, found[-1]

    def committed(self, group: str, place: TopicPartition, before: Committed | None, new: Committed) -> None:
        """A member's commit was taken."""
        if new == before:
            return
        signature = Signature.parse(before.metadata) if before else None
        same_topic = signature is not None and signature.topic_id == self._logs.topic_id
        truncated = self._truncated.get(place.partition, NEVER) > self._commit_moments.get((group, place), NEVER)
        self._commit_moments[group, place] = next(self._moments)
        log_end = self._logs.log(place).end
        if before and same_topic and not truncated and new.offset < min(before.offset, log_end):
            raise self._broken(f"COMMIT: {group} {place} went back from {before} to {new}")
        ours = Signature.parse(new.metadata)
        if ours and ours.topic_id != self._logs.topic_id:
            # It speaks of the topic before; the next acquisition reads that from it.
            return
        # What an earlier owner commits late is right for what it had queued itself.
        is_owner = ours is not None and ours.epoch == self._epochs.get((group, place.partition))
        for stored in self._records(place):
            story = self._story(group, stored)
            ended = story.settled if is_owner else story.ended
            if stored.offset < new.offset and self._logs.holds(stored) and not (ended or story.skipped):
                raise self._broken(f"COMMIT: {group} {place} is at {new}, and {stored} has not ended")
        if ours:
            self._operator.pop((group, place.partition), None)

    # At the end.

    def assert_nothing_lost(self) -> None:
        """Every record that Kafka holds has ended, and every one that was queued in time."""
        for group in self.groups:
            for stored in self._logs.produced.values():
                story = self._story(group, stored)
                if not (story.ended or story.skipped) and self._must_have_ended(group, stored, story):
                    raise self._broken(f"LOSS: {group} {stored} is neither done nor a dead letter: {story}")

    def _must_have_ended(self, group: str, stored: Stored, story: Story) -> bool:
        if self._logs.holds(stored):
            return True
        cut = self._cut.get(stored.serial, NEVER)
        forgotten = max(self._redis_lost, self._dropped[group, stored.partition], story.wanted_since, self._replaced)
        return forgotten < story.first_pushed != NEVER and story.first_pushed < cut

    def _story(self, group: str, stored: Stored) -> Story:
        return self._stories[group, stored.serial]

    def _records(self, place: TopicPartition, *, any_topic: bool = False) -> list[Stored]:
        return [
            stored
            for stored in self._logs.produced.values()
            if stored.place == place and (any_topic or stored.topic_id == self._logs.topic_id)
        ]


def _serial_in(copy: Copy) -> int:
    payload = orjson.loads(b64decode(copy.fields["body"]))[0][0]
    return int(orjson.loads(payload)["serial"])
