"""Everything together: the processes, the simulated cluster, the transport, the oracle; and what can happen to them."""

from typing import Any

import confluent_kafka
import pytest
import redis
from confluent_kafka.admin import AdminClient

import ferry_consumer.client
import ferry_consumer.service
import ferry_worker.attempt
import ferry_worker.ledger_access
import ferry_worker.tracked_task
from ferry_consumer.resume import Committed
from ferry_consumer.service import Consumer
from ferry_shared.ledger import scripts
from ferry_shared.ledger.keys import LedgerKeys
from ferry_shared.ledger.skipping import Skipped, skip
from ferry_shared.record import TaskId, TopicPartition
from ferry_shared.routes import Route
from ferry_shared.settings import ConsumerSettings
from tests.contract.model.actor import Actor, ChildLost, Fate
from tests.contract.model.oracle import MAX_PARTITIONS, Broken, Oracle
from tests.contract.model.simulated_clients import SimulatedAdmin, SimulatedProducer, SimulatedReader
from tests.contract.model.simulated_group import Coordinator, SimulatedMember
from tests.contract.model.simulated_log import TOPIC, Kind, SimulatedLogs
from tests.contract.model.simulated_transport import Transport
from tests.contract.model.simulated_worker import SETTINGS, SeenGroups, TaskBench, WorkerProcess, tracking_of_current
from tests.contract.model.stepped_redis import SteppedRedis
from tests.contract.model.virtual_time import NOW_KEY, VirtualTime, _modules, install

GROUPS = ("ferry", "other")
#: Two consumers of one group, one of another; the second worker reserves ahead.
CONSUMERS = {"consumer A": "ferry", "consumer B": "ferry", "consumer C": "other"}
WORKERS = {"worker 1": 1, "worker 2": 2}
SESSION_MS = 8_000
VISIBILITY_MS = SETTINGS.visibility_timeout_seconds * 1000
ROUTE = Route(TOPIC, dict[str, int], "handle")
DRAIN_ROUNDS = 250
STILL_TURN_SECONDS = 2
MEETING_STEPS = 40
#: A batch of several such tasks tells its progress before its last one.
TASK_MS = 30
#: Behind one of these nothing more of its batch is begun.
LONG_TASK_MS = 3_000


class Server:
    """The real server, its clock, and Ferry's modules led to the simulation; once for many examples."""

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.client = redis.Redis.from_url(url, protocol=2)
        self.url = url
        self.clock = VirtualTime(self.client)
        self.names = install(monkeypatch, self.clock)
        for name in self.names.values():
            self.client.script_load(scripts.script(name).text)
        self.workers: dict[Actor, WorkerProcess] = {}
        self.system: System
        original = ferry_consumer.client.created
        for module in _modules():
            if vars(module).get("created") is original:
                monkeypatch.setattr(module, "created", self._created)
        monkeypatch.setattr(ferry_consumer.service, "connect", lambda _url: self.system.redis_client())
        monkeypatch.setattr(ferry_worker.tracked_task, "tracking_of", tracking_of_current(self.workers))
        monkeypatch.setattr(ferry_worker.attempt, "_seen_groups", SeenGroups())
        self.bench = TaskBench(self._run_task)

    def _created(self, kind: Any, properties: dict[str, Any]) -> Any:
        return self.system.kafka_client(kind, properties)

    def _run_task(self, task: Any, serial: int) -> None:
        self.system.run_task(task, serial)


class System:
    """One example, in which up to `batch_size` records go out as one Celery message."""

    def __init__(self, server: Server, batch_size: int = 1) -> None:
        server.system = self
        self._batch_size = batch_size
        self._server, self.clock = server, server.clock
        server.workers.clear()
        server.client.flushdb()
        self.clock.reset()
        self.logs = SimulatedLogs(2)
        self.transport = Transport(server.client, self.clock)
        self.oracle = Oracle(GROUPS, self.logs, self.transport, self.clock)
        self.coordinators = {
            group: Coordinator(group, self.logs, self.oracle.committed, self.oracle.handed_over) for group in GROUPS
        }
        self.actors: dict[str, Actor] = {}
        self.consumers: dict[str, Consumer] = {}
        self.members: dict[str, SimulatedMember] = {}
        self._ghosts: dict[SimulatedMember, int] = {}
        self.snapshots: list[dict[str, bytes]] = []
        for name in [*CONSUMERS, *WORKERS]:
            self.start(name)

    # The processes.

    def start(self, name: str) -> None:
        """Start a process that isn't running."""
        main = self._consumer_main if name in CONSUMERS else self._worker_main
        if name not in self.actors or self.actors[name].ended:
            self.actors[name] = Actor(name, lambda: main(name))

    def _consumer_main(self, name: str) -> None:
        settings = ConsumerSettings(
            consumer_group=CONSUMERS[name], celery_broker_url=self._server.url, consumer_http_port=0,
            consumer_redeliver_after_seconds=5, consumer_status_interval_seconds=60, consumer_max_deliveries=3,
            consumer_intake_max_messages=4, consumer_max_in_flight_per_partition=6, consumer_max_backoff_seconds=1,
            consumer_batch_size=self._batch_size,
        )  # fmt: skip
        self.consumers[name] = consumer = Consumer(settings, [ROUTE])
        consumer.run()

    def _worker_main(self, name: str) -> None:
        worker = WorkerProcess(
            self._server.bench, self.transport, self.redis_client(), WORKERS[name], self.oracle.interrupted
        )
        self._server.workers[Actor.current()] = worker
        worker.run()

    def redis_client(self) -> SteppedRedis:
        """The client of a process."""
        return SteppedRedis(self._server.client.connection_pool, self.clock, self._server.names, self.oracle)

    def kafka_client(self, kind: Any, properties: dict[str, Any]) -> Any:
        """What `created` makes here."""
        if kind is AdminClient:
            return SimulatedAdmin(self.logs)
        if kind is confluent_kafka.Producer:
            return SimulatedProducer(self.oracle.letter_written, self.oracle.letter_lost)
        if "on_commit" not in properties:
            return SimulatedReader(self.logs)
        member = SimulatedMember(properties, self.coordinators[properties["group.id"]], self.clock)
        self.members[Actor.current().name] = member
        return member

    def run_task(self, task: Any, serial: int) -> None:
        """What the user's task does."""
        actor = Actor.current()
        group = TaskId.parse(task.request.id).group
        self.oracle.run_started(group, serial, actor, task.request.get("ferry_owner"), task.request.get("ferry"))
        kind = self.logs.produced[serial].kind
        duration_ms = LONG_TASK_MS if kind is Kind.LONG else TASK_MS
        actor.step("work", lambda: self.clock.advance(duration_ms), lambda: None)
        match kind:
            case Kind.FAILS:
                raise ValueError("it fails")
            case Kind.CRASHES:
                raise ChildLost
            case Kind.RETRIES if not task.request.retries:
                raise task.retry(countdown=1)
        self.oracle.task_done(group, serial)

    def go(self, name: str, steps: int, fate: Fate = Fate.WORKS) -> None:
        """Let a process make some steps; a killed one starts again first."""
        self.start(name)
        for _ in range(steps):
            self.actors[name].run(fate)
            if self.oracle.broken is not None:
                raise self.oracle.broken
        if self.actors[name].ended:
            self._is_gone(name)
        self._expire_sessions()

    def meet(self, name: str, meeting: int | str) -> None:
        """Let it make so many steps, or come to such a call if it does soon."""
        self.go(name, meeting if isinstance(meeting, int) else 0)
        for _ in range(0 if isinstance(meeting, int) else MEETING_STEPS):
            if str(meeting) in self.actors[name].pending:
                return
            self.go(name, 1)

    def kill(self, name: str) -> None:
        """kill -9."""
        self.actors[name].kill()
        self._is_gone(name)

    def _is_gone(self, name: str) -> None:
        self.oracle.interrupted(self.actors[name])
        member = self.members.pop(name, None)
        if member is not None:
            self.oracle.handed_over(CONSUMERS[name])
            self._ghosts[member] = self.clock.now_ms

    def _expire_sessions(self) -> None:
        for member, died_ms in list(self._ghosts.items()):
            if self.clock.now_ms - died_ms >= SESSION_MS:
                del self._ghosts[member]
                for coordinator in self.coordinators.values():
                    coordinator.give_up(member)

    def stop(self, name: str) -> None:
        """SIGTERM: it ends in its own time."""
        process: Any = self.consumers.get(name) or self._server.workers.get(self.actors[name])
        if process is not None and not self.actors[name].ended:
            process.stop()

    def think_dead(self, name: str, polls_until_noticed: int) -> None:
        """The group gives up a consumer that lives on, and doesn't notice at once."""
        member = self.members.get(name)
        if member is not None:
            member.polls_until_noticed = polls_until_noticed
            self.coordinators[CONSUMERS[name]].give_up(member)

    def stand_still(self, name: str, seconds: int, pace: int, polls_until_noticed: int) -> None:
        """SIGSTOP and SIGCONT; a consumer that stands still too long is given up."""
        for passed in range(0, seconds, STILL_TURN_SECONDS):
            if passed * 1000 >= SESSION_MS:
                self.think_dead(name, polls_until_noticed)
            self.clock.advance(STILL_TURN_SECONDS * 1000)
            for other in [*CONSUMERS, *WORKERS]:
                if other != name:
                    self._turn(other, pace)
            self.restore_invisible()

    # What happens to Kafka and Redis.

    def produce(self, partition: int, kind: Kind, gap: int) -> None:
        """A record arrives."""
        stored = self.logs.produce(partition % len(self.logs.partitions), kind, gap)
        self.oracle.produced(stored, {group: self._position(group, stored.place) for group in GROUPS})

    def _position(self, group: str, place: TopicPartition) -> int:
        """How far the group believes to be: beyond the log's end after a truncation it has not noticed."""
        if not self.logs.log(place).was_truncated:
            return 0
        head: Any = self._server.client.hget(LedgerKeys.of("", group, place).head, "position")
        commit = self.coordinators[group].committed.get(place)
        known = int(head) if head else commit.offset if commit else 0
        names = [name for name in self.members if CONSUMERS[name] == group]
        return max([known, *(self.members[name].fetched_to(place) for name in names)])

    def cut(self, partition: int, offset: int) -> None:
        """Retention."""
        self.oracle.cut(self.logs.partitions[partition % len(self.logs.partitions)].delete_before(offset))

    def truncate(self, partition: int, count: int) -> None:
        """A leader that lacks the last offsets takes over."""
        number = partition % len(self.logs.partitions)
        log = self.logs.partitions[number]
        self.oracle.truncated(number, log.truncate(log.end - count))

    def recreate(self, *, commits_stay: bool) -> None:
        """The topic is deleted and created again; Kafka forgets its commits, sooner or later."""
        self.logs.recreate()
        self.oracle.topic_replaced(commits_stay=commits_stay)
        for coordinator in self.coordinators.values():
            if not commits_stay:
                coordinator.committed.clear()
            coordinator.topic_replaced()

    def add_partition(self) -> None:
        """The topic gets another partition, up to a limit."""
        if len(self.logs.partitions) < MAX_PARTITIONS:
            self.logs.add_partition()
        for coordinator in self.coordinators.values():
            coordinator.rebalance()

    def operator_sets(self, group: str, partition: int, offset: int, *, zombies: bool) -> None:
        """An operator stops the consumers, as far as he knows of them, and sets an offset."""
        for name in [name for name, of in CONSUMERS.items() if of == group]:
            if zombies:
                self.think_dead(name, 3)
            else:
                self.kill(name)
        for member in list(self.coordinators[group].members):
            self.coordinators[group].give_up(member)
        place = TopicPartition(TOPIC, partition % len(self.logs.partitions))
        self.coordinators[group].committed[place] = Committed(offset, "")
        self.oracle.operator_set(group, place, offset)

    def operator_skips(self, group: str, partition: int, index: int) -> None:
        """An operator gives up an entry in flight, whoever has it."""
        place = TopicPartition(TOPIC, partition % len(self.logs.partitions))
        keys = LedgerKeys.of("", group, place)
        members: Any = self._server.client.zrange(keys.inflight, 0, -1)
        if members:
            member = members[index % len(members)].decode()
            if skip(self._server.client, keys, member, "skipped: by an operator") is Skipped.SKIPPED:
                self.oracle.entry_skipped(group, place, member)

    def flush(self) -> None:
        """FLUSHALL."""
        self._server.client.flushdb()
        self.clock.publish()
        self._redis_changed()

    def snapshot(self) -> None:
        """Redis saves what it has."""
        keys: Any = self._server.client.keys("*")
        names = [key.decode() for key in keys if key.decode() != NOW_KEY]
        saved: dict[str, Any] = {name: self._server.client.dump(name) for name in names}
        self.snapshots.append(saved)

    def restore(self, index: int) -> None:
        """Redis is started from an older snapshot."""
        saved = self.snapshots[index % len(self.snapshots)]
        self._server.client.flushdb()
        for name, content in saved.items():
            self._server.client.restore(name, 0, content)
        self.clock.publish()
        self._redis_changed()

    def _redis_changed(self) -> None:
        self.transport.adopt()
        self.oracle.redis_lost()

    def restore_invisible(self) -> None:
        """Some worker hands back what others have held too long."""
        self.transport.restore_held_since(self.clock.now_ms - VISIBILITY_MS)

    # The end.

    def drain(self) -> None:
        """Heal everything, run everybody in turn until nothing is left to do, and count."""
        for name in CONSUMERS:
            if (member := self.members.get(name)) is not None:
                member.polls_until_noticed = 0
        for number in range(DRAIN_ROUNDS):
            for name in [*CONSUMERS, *WORKERS]:
                self._turn(name)
            self.restore_invisible()
            if self._is_quiet():
                self.oracle.assert_nothing_lost()
                return
            self.clock.advance(200 if number < 20 else 3_000)
        raise Broken(f"STUCK: {self._state()}")

    def _turn(self, name: str, steps: int = 80) -> None:
        self.go(name, 1)
        self.actors[name].idle = False
        for _ in range(steps):
            if self.actors[name].idle:
                return
            self.go(name, 1)

    def _is_quiet(self) -> bool:
        if not self.transport.is_empty:
            return False
        return all(self._has_ended(group, place) for group in GROUPS for place in self.logs.places)

    def _has_ended(self, group: str, place: TopicPartition) -> bool:
        commit = self.coordinators[group].committed.get(place)
        keys = LedgerKeys.of("", group, place)
        return (
            commit is not None
            and commit.offset == self.logs.log(place).end
            and not self._server.client.exists(keys.inflight, keys.state, keys.attention)
        )

    def _state(self) -> str:
        lines = [f"{actor.name} before {actor.pending!r}, {actor.steps} steps" for actor in self.actors.values()]
        for group in GROUPS:
            for place in self.logs.places:
                head: Any = self._server.client.hgetall(LedgerKeys.of("", group, place).head)
                commit, log = self.coordinators[group].committed.get(place), self.logs.log(place)
                lines.append(f"{group} {place}: log {log.start}-{log.end}, {commit}, {head}")
        return "\n".join(lines)

    def close(self) -> None:
        """End all processes."""
        for actor in self.actors.values():
            actor.kill()
