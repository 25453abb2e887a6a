"""What must hold. It knows what was produced, which tasks ran, what was queued and dead-lettered, and what the test did
to whom; of Ferry's own account it knows only which scripts ran and what they answered.

A broken promise is a `Broken`, whose text begins with the promise: DISPATCH, EXECUTION, LOSS, COMMIT, END.
"""

from collections import defaultdict
from collections.abc import Mapping
from itertools import count
from typing import Any

from ferry_consumer.commit import Signature
from ferry_consumer.resume import Committed
from ferry_shared.ledger.keys import LedgerKeys, member_span, message_count
from ferry_shared.record import TopicPartition
from ferry_worker.batch_run import PROGRESS_EVERY_SECONDS
from tests.contract.model.actor import Actor
from tests.contract.model.claims import OUTCOMES, Claim, Claims, Told, Where
from tests.contract.model.simulated_log import OWN_REASONS, TOPIC, Kind, SimulatedLogs, Stored
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
_READING_SCRIPTS = {"stranded", "inspect", "committed"}
#: So long after a worker last heard that a batch is its own it may begin another message of it.
UNHEARD_MS = int(PROGRESS_EVERY_SECONDS * 1000)


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
        self._claims = Claims(clock, self._moments)
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
        for stored in self._logs.every_record(place):
            story = self._story(group, stored)
            if stored.offset >= offset:
                story.wanted_since, story.skipped = moment, False
            else:
                # Also what had ended: a consumer that hasn't heard of it yet may queue that again, after a loss.
                story.skipped = True

    def entry_skipped(self, group: str, place: TopicPartition, member: str) -> None:
        """An operator has given up an entry: what its worker has not told yet becomes dead letters."""
        first, last = member_span(member)
        for stored in self._logs.every_record(place, any_topic=True):
            story = self._story(group, stored)
            if first <= stored.offset <= last and member in {story.member, str(stored.offset)}:
                story.given_up = next(self._moments)

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
        if actor.name.startswith("worker"):
            self._worker_told(actor, where, name, arguments, word)
        elif name == "acquire" and word == "acquired":
            self._epochs[where] = int(reply[1])
            topics = [word for word in map(str, arguments) if word.startswith("topic-")]
            self._ledger_acquired(actor, where, topics[-1], dropped="drop" in arguments)
            if (end := str(arguments[DROP_FROM])).isdigit():
                self._cut_back[where] = next(self._moments), int(end)
        elif name == "snapshot":
            self._looked[actor.name] = next(self._moments)
        elif name not in _READING_SCRIPTS:
            if name == "divide" and word == "divided":
                self._divided(where, str(arguments[2]))
            for copy in self._transport.new_in_queue():
                self._pushed(copy)

    def _worker_told(self, actor: Actor, where: Where, name: str, arguments: tuple[Any, ...], word: str) -> None:
        if name == "claim" and word in {"run", "poison"}:
            self._claims.claimed(where, actor.name, arguments, runs=word == "run")
        elif name in OUTCOMES and word == "recorded":
            told = Told.of(name, arguments)
            self._recorded(where, told)
            if name == "split":
                for copy in self._transport.new_in_queue():
                    self._pushed(copy, told.owner)

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

    def _pushed(self, copy: Copy, splitter: str = "") -> None:
        """A message was queued by a consumer, or by a worker, the `splitter`, that lets go of its batch."""
        self.pushes += 1
        header = copy.header
        offsets = header.get("offsets") or [int(header["member"])]
        for offset, serial in zip(offsets, copy.serials, strict=True):
            stored = self._logs.produced[serial]
            if stored.offset != offset:
                raise self._broken(f"DISPATCH: {stored} was queued as the offset {offset}")
            self._pushed_record(copy, header, stored, splitter)

    def _pushed_record(self, copy: Copy, header: Mapping[str, Any], stored: Stored, splitter: str) -> None:
        group = header["group"]
        story = self._story(group, stored)
        if self._of_topic_before(group, stored):
            return
        another_log = self._reads_another_log(group, stored)
        if stored.kind is Kind.INVALID and not another_log:
            raise self._broken(f"DISPATCH: the invalid record {stored} was queued")
        if not another_log and story.pushed != NEVER and not self._may_push_again(group, stored, story, splitter):
            raise self._broken(
                f"DISPATCH: {group} {stored} was queued again as {copy.tag}; {story.tag} was still there"
            )
        if self._redis_lost < story.tags.get(copy.tag, NEVER):
            raise self._broken(f"DISPATCH: {group} {stored} was queued again with the same tag, {copy.tag}")
        if message_count(header["member"]) < message_count(story.member):
            story.alone = next(self._moments)
        story.pushed, story.tag, story.member = next(self._moments), copy.tag, header["member"]
        story.tags[copy.tag] = story.pushed
        story.pushes.append(story.pushed)
        if story.first_pushed == NEVER:
            story.first_pushed = story.pushed

    def _may_push_again(self, group: str, stored: Stored, story: Story, splitter: str) -> bool:
        if max(self._redis_lost, self._dropped[group, stored.partition], story.retried) > story.pushed:
            return True
        runs = [run for run in story.runs if run.heard > story.pushed]
        if story.is_told or (splitter and any(run.owner == splitter for run in runs)):
            return False
        if any(not run.interrupted and run.lease_until_ms > self._clock.now_ms for run in runs):
            return False
        taken_ms = self._transport.taken_ms.get(story.tag)
        in_hand = taken_ms is not None and self._clock.now_ms - taken_ms < GAP_MS
        return bool(splitter) or not (in_hand or self._transport.has(story.tag))

    def _divided(self, where: Where, member: str) -> None:
        """A consumer has ended a batch. Where it had gaps, nobody can tell which of them were records that are gone."""
        first, last = member_span(member)
        if message_count(member) == last + 1 - first:
            return
        for stored in self._logs.every_record(TopicPartition(TOPIC, where[1]), any_topic=True):
            story = self._story(where[0], stored)
            story.skipped |= story.member == member and stored.serial in self._cut

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
        claim = self._claims.of(actor.name, owner)
        if claim is None:
            raise self._broken(f"EXECUTION: {group} {stored} ran without a claim")
        if (unheard_ms := self._clock.now_ms - claim.heard_ms) > UNHEARD_MS:
            raise self._broken(f"EXECUTION: {group} {stored} ran {unheard_ms} ms after its worker last heard")
        if self._is_outdated(group, stored, story, claim, header) and not self._reads_another_log(group, stored):
            raise self._broken(
                f"EXECUTION: {group} {stored} ran by a copy with token {header['token']} after {story.tag}"
            )
        if story.runs and not self._may_run_again(group, stored, story, claim):
            raise self._broken(f"EXECUTION: {group} {stored} ran again on {actor.name}; before: {story.runs[-1]}")
        story.runs.append(Run(actor, owner, claim.heard, claim.lease_until_ms))
        # Of those before a loss Redis may know or not.
        since = max(self._begun(group, stored, story), self._redis_lost)
        if sum(run.heard > since and not run.recorded for run in story.runs) > MAX_STARTS:
            raise self._broken(f"END: {group} {stored} was started more than {MAX_STARTS} times without an outcome")

    def _is_outdated(self, group: str, stored: Stored, story: Story, claim: Claim, header: Mapping[str, Any]) -> bool:
        """Whether its worker must have heard that this copy no longer counts: a batch can be lost between two words."""
        if self._redis_lost >= story.pushed:
            return False
        newest = story.tag.startswith(f"{header['ledger']}/") and f"/{header['token']}." in story.tag
        noticed, end = self._cut_back.get((group, stored.partition), (NEVER, 0))
        first, _ = member_span(header["member"])
        taken = first >= end and self._taken.get(stored.serial, noticed) < noticed > self._redis_lost
        ends = self._dropped[group, stored.partition], story.retried
        moved_on = any(story.pushed < end < claim.heard for end in ends) or (taken and noticed < claim.heard)
        return moved_on or (not newest and story.pushed < claim.heard)

    def _may_run_again(self, group: str, stored: Stored, story: Story, claim: Claim) -> bool:
        last = max(story.runs, key=lambda run: run.heard)
        dropped = self._dropped[group, stored.partition]
        if max(self._redis_lost, dropped, story.retried) > last.heard or max(self._redis_lost, dropped) > claim.heard:
            return True
        return not last.recorded and (last.interrupted or last.lease_until_ms <= self._clock.now_ms)

    def task_done(self, group: str, serial: int) -> None:
        """A task has written down that it was done."""
        self._stories[group, serial].done = next(self._moments)

    def _recorded(self, where: Where, told: Told) -> None:
        group, partition = where
        holder = self._claims.holder(where, told.member)
        if holder.owner != told.owner and self._redis_lost < holder.heard:
            raise self._broken(
                f"EXECUTION: {group} {partition}-{told.member}: {told.name} by {told.owner}, "
                f"which had lost it to {holder.owner}"
            )
        if holder.owner == told.owner:
            self._claims.confirmed(holder)
        for stored in self._logs.every_record(TopicPartition(TOPIC, partition), any_topic=True):
            story = self._story(group, stored)
            for run in story.runs:
                if stored.offset in told.covered and run.owner == told.owner and not run.recorded:
                    run.recorded = True
                    if stored.offset in told.retried:
                        story.retried = next(self._moments)

    def letter_written(self, value: bytes | None, headers: Mapping[str, bytes | None]) -> None:
        """A dead letter is in Kafka."""
        self.letters += 1
        group, stored = self._logs.origin(value, headers)
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
                return self._claims.starts_since((group, stored.partition), str(stored.offset), since) >= MAX_STARTS
            case "never-acknowledged":
                return sum(moment > since for moment in story.pushes) >= MAX_DELIVERIES
            case "record-gone":
                return not self._logs.holds(stored)
            case "skipped":
                told = story.is_told and max(self._redis_lost, story.retried) < story.pushed
                return story.given_up != NEVER and not told
        ran = stored.kind is Kind.INVALID or bool(story.runs)
        return ran and OWN_REASONS.get(stored.kind) == reason

    def _begun(self, group: str, stored: Stored, story: Story) -> int:
        """When starts and copies were last counted from 0, as far as Redis can't have forgotten that."""
        begun = max(self._dropped[group, stored.partition], story.retried, story.alone)
        return begun if begun > self._redis_lost else NEVER

    def letter_lost(self, value: bytes | None, headers: Mapping[str, bytes | None]) -> None:
        """Nobody knows whether a dead letter is in Kafka."""
        self._story(*self._logs.origin(value, headers)).letter_unconfirmed = next(self._moments)

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
        for stored in self._logs.every_record(place):
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
