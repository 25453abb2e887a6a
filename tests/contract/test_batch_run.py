"""A batch in a pool process, on a real ledger: what becomes of each message, and of the batch."""

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from celery import Celery
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from pydantic import BaseModel

from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger.worker_ledger import WorkerLedger
from ferry_worker import track
from tests.support.batch_bench import BatchBench
from tests.support.celery_tracer import unobserved

#: Celery's own call in its Redis backend.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning"),
    pytest.mark.usefixtures("nobody_observes"),
]


class Order(BaseModel):
    """A message: what the task is to do with it."""

    number: int
    deed: str = "return"


#: What a task may raise.
ERRORS: dict[str, Callable[[], Exception]] = {
    "raise": lambda: LookupError("no such order"),
    "autoretry": lambda: ConnectionError("later"),
    "ignore": Ignore,
    "reject": lambda: Reject("no use"),
    "requeue": lambda: Reject("later", requeue=True),
    "memory": MemoryError,
    "soft limit": SoftTimeLimitExceeded,
}


def act(task: Any, order: Order) -> int:
    """End in the way that the message asks for."""
    if order.deed in ERRORS:
        raise ERRORS[order.deed]()
    match order.deed:
        case "retry":
            task.retry(countdown=60)
        case "change":
            task.retry(args=(Order(number=order.number + 1), "more"), kwargs={"note": "later"}, countdown=0)
        case "on and on":
            task.retry(throw=False)
        case "replace":
            task.replace(task.app.signature("shop.other", args=(order.number,)))
        case "chain":
            other = task.app.signature("shop.other", args=(order.number,), immutable=True)
            (other | other).delay()
    return order.number


def other(*arguments: Any) -> None:
    """Stand for a task that other tasks send."""


@pytest.fixture
def told() -> list[int]:
    """The orders that were run, in order."""
    return []


@pytest.fixture(params=[False, True], ids=["observed", "unobserved"])
def bench(redis_url: str, told: list[int], request: pytest.FixtureRequest) -> Iterator[BatchBench]:
    """A task that does what its message says; without results nobody else notices that it ran."""

    def task(self: Any, order: Order, *more: Any, **options: Any) -> int:
        told.append(order.number)
        return act(self, order)

    options = {"bind": True, "max_retries": 3, "autoretry_for": (ConnectionError,), "ignore_result": request.param}
    with BatchBench(redis_url, task, **options) as bench:
        bench.app.task(other, name="shop.other", shared=False)
        assert unobserved(bench.task) == request.param
        yield bench


def orders(*deeds: str) -> list[dict[str, Any]]:
    """Messages that ask for these, numbered from 0."""
    return [{"number": number, "deed": deed} for number, deed in enumerate(deeds)]


def test_a_batch_that_runs_well_leaves_nothing(bench: BatchBench, told: list[int]) -> None:
    """Each message is run once, in order; no entry, no state, and nothing in the queue is left."""
    assert bench.run(*orders(*["return"] * 100)) == "SUCCESS"
    assert told == list(range(100))
    assert bench.partition.entries == []
    assert bench.partition.left_in_transport == (0, 0)
    assert not bench.client.exists(bench.partition.keys.state, bench.partition.keys.attention)
    head = bench.client.hmget(bench.partition.keys.head, "entries", "messages")
    assert head == [b"0", b"0"]


@pytest.mark.parametrize(
    ("deed", "end"),
    [
        ("raise", "LookupError: no such order"),
        ("reject", "Reject: no use"),
        ("memory", "MemoryError"),
        ("retry", "retry"),
        ("change", "retry"),
        ("on and on", "retry"),
        ("autoretry", "retry"),
        ("requeue", "retry"),
        ("soft limit", "retry"),
        ("ignore", None),
        ("replace", None),
        ("chain", None),
    ],
)
def test_how_one_message_ends_is_its_own_affair(bench: BatchBench, told: list[int], deed: str, end: str | None) -> None:
    """It gets an entry of its own, or none; those before and behind it run, and are done."""
    assert bench.run(*orders("return", deed, "return")) == "SUCCESS"
    assert told == [0, 1, 2]
    assert bench.ends == ({"1": end} if end else {})
    head = bench.client.hmget(bench.partition.keys.head, "entries", "messages")
    assert head == [str(len(bench.ends)).encode()] * 2


def test_a_payload_that_does_not_fit_has_failed(
    bench: BatchBench, told: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    """It alone, without being run; its value is never logged."""
    bench.run({"number": 0}, {"number": "secret"}, {"number": 2})
    assert told == [0, 2]
    assert list(bench.ends) == ["1"]
    assert bench.ends["1"].startswith("InvalidPayload: number: Input should be a valid integer")
    assert bench.partition.payload("1") == b'{"number":"secret"}'
    assert "secret" not in caplog.text


def test_a_failed_message_keeps_its_payload_and_its_start(bench: BatchBench) -> None:
    """For its dead letter; it was started once, and no later attempt of it can come."""
    bench.run(*orders("return", "raise"))
    state = bench.partition.state("1")
    assert (state["claims"], state["token"]) == (1, "1.1")
    assert bench.partition.payload("1") == b'{"number":1,"deed":"raise"}'


@pytest.mark.parametrize(
    ("deed", "attempt", "delay_ms"),
    [
        ("retry", (1, [{"number": 1, "deed": "retry"}], {}), 60_000),
        ("change", (1, [{"number": 2, "deed": "return"}, "more"], {"note": "later"}), 0),
        ("on and on", (1, [{"number": 1, "deed": "on and on"}], {}), 180_000),
        ("autoretry", (1, [{"number": 1, "deed": "autoretry"}], {}), 180_000),
        ("requeue", (0, [{"number": 1, "deed": "requeue"}], {}), 1_000),
        ("soft limit", (0, [{"number": 1, "deed": "soft limit"}], {}), 1_000),
    ],
)
def test_what_runs_again_is_a_single_message(bench: BatchBench, deed: str, attempt: Any, delay_ms: float) -> None:
    """With a later token, no claim yet, its delay, and the arguments that the retry was given."""
    bench.run(*orders("return", deed))
    state = bench.partition.state("1")
    assert (state["token"], state["copy"], state["claims"]) == ("1.2", 0, 0)
    assert delay_ms - 5_000 < bench.delay_ms(1) <= delay_ms
    assert bench.next_attempt(1) == attempt


def test_the_last_retry_fails(bench: BatchBench, redis_url: str) -> None:
    """`max_retries` counts from the single message on, as ever."""
    bench.task.max_retries = 0
    bench.run(*orders("return", "retry"))
    assert bench.ends["1"].startswith("MaxRetriesExceededError: Can't retry shop.order[orders-0-1]")


def sent(bench: BatchBench) -> list[dict[str, Any]]:
    """The tasks that were sent, in order."""
    messages = []
    while (message := bench.process.take()) is not None:
        messages.append(message)
    return messages


def test_what_a_message_starts_is_its_own(bench: BatchBench) -> None:
    """A chain's tasks have the single message for their parent and root; a replaced task keeps its id."""
    bench.partition.dispatch_batch(*map(orjson.dumps, orders("chain", "return", "replace")))
    bench.process.run_next()
    chained, replaced = (message["headers"] for message in sent(bench))
    assert (chained["task"], chained["parent_id"], chained["root_id"]) == ("shop.other", "orders-0-0", "orders-0-0")
    assert (replaced["task"], replaced["id"], replaced["root_id"]) == ("shop.other", "orders-0-2", "orders-0-2")
    assert [headers["ferry"] for headers in (chained, replaced) if headers.get("ferry")] == []


def test_the_ends_of_many_messages_at_once(bench: BatchBench, told: list[int]) -> None:
    """A batch in which nearly everything goes wrong: each end is recorded once."""
    deeds = ["raise", "retry", "return", "ignore", "reject", "requeue", "memory", "soft limit", "autoretry"] * 10
    assert bench.run(*orders(*deeds)) == "SUCCESS"
    assert told == list(range(90))
    assert list(bench.ends) == [str(n) for n, deed in enumerate(deeds) if deed not in {"return", "ignore"}]


# Claimed again


def queued_singles(bench: BatchBench) -> list[str]:
    """The ids of the messages in the queue, in the order in which a worker takes them."""
    messages: Any = bench.client.lrange("celery", 0, -1)
    return [orjson.loads(message)["headers"]["id"] for message in reversed(messages)]


def claim(bench: BatchBench, member: str, owner: str = "lost") -> None:
    """As a worker does that is lost a moment later."""
    bench.partition.worker_ledger.claim(bench.partition.header(member), owner, lease_ms=60_000, max_claims=3)


def release(bench: BatchBench, member: str, owner: str = "lost") -> None:
    """As that worker's parent process does."""
    bench.partition.worker_ledger.release(bench.partition.header(member), owner)


def test_a_batch_claimed_again_is_split_and_not_run(
    bench: BatchBench, told: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    """What killed the last worker must not end its neighbours again: they are queued alone, and run alone."""
    member = bench.partition.dispatch_batch(*map(orjson.dumps, orders(*["return"] * 3)))
    claim(bench, member)
    release(bench, member)
    assert bench.process.run_next() == "SUCCESS"
    assert (told, bench.ends) == ([], {"0": "queued", "1": "queued", "2": "queued"})
    assert queued_singles(bench) == ["orders-0-0", "orders-0-1", "orders-0-2"]
    assert "a worker was lost" in caplog.text
    bench.process.run_all()
    assert (told, bench.partition.entries) == ([0, 1, 2], [])


def test_of_a_batch_claimed_again_only_what_is_above_its_progress_goes_on(bench: BatchBench, told: list[int]) -> None:
    """What the ledger knows to be done stays done."""
    member = bench.partition.dispatch_batch(*map(orjson.dumps, orders(*["return"] * 5)))
    claim(bench, member)
    bench.partition.worker_ledger.progress(bench.partition.header(member), "lost", 2, ())
    release(bench, member)
    bench.process.run_next()
    bench.process.run_all()
    assert (told, bench.partition.entries) == ([3, 4], [])


def test_the_singles_of_a_split_are_as_the_consumer_makes_them(bench: BatchBench) -> None:
    """Byte for byte but for their clock, with the next token, under the route's limits, queue and priority."""
    bench.partition.options.update(priority=3, time_limit_seconds=20, soft_time_limit_seconds=15)
    bench.partition.__post_init__()
    bench.partition.acquire()
    member = bench.partition.dispatch_batch(*map(orjson.dumps, orders("return", "return")))
    batch = orjson.loads(bench.client.lindex("celery", 0) or b"")
    bench.client.lpop("celery")
    header = bench.partition.header(member)
    bench.partition.worker_ledger.claim(header, "lost", lease_ms=1, max_claims=3)
    release(bench, member)
    bench.process.run(batch)
    pushed: Any = bench.client.lrange("celery\x06\x163", 0, -1)
    singles = [orjson.loads(message) for message in reversed(pushed)]
    epoch = bench.partition.ownership.epoch
    made = [
        orjson.loads(bench.partition.message(str(n), orjson.dumps(order), token=f"{epoch}.2"))
        for n, order in enumerate(orders("return", "return"))
    ]
    for message in (*singles, *made):
        assert isinstance(message["headers"]["ferry"].pop("enqueued_ms"), int)
    assert singles == made


# What isn't this worker's


def test_a_batch_that_somebody_else_runs_is_left_to_them(bench: BatchBench, told: list[int]) -> None:
    """A late copy is acknowledged; nothing is recorded."""
    member = bench.partition.dispatch_batch(*map(orjson.dumps, orders("return", "return")))
    claim(bench, member)
    before = bench.partition.state(member)
    assert bench.process.run_next() == "SUCCESS"
    assert (told, bench.partition.state(member)) == ([], before)


def test_a_copy_of_a_batch_that_has_ended_is_not_run(bench: BatchBench, told: list[int]) -> None:
    """Done is done."""
    bench.partition.dispatch_batch(*map(orjson.dumps, orders("return", "return")))
    fields = bench.process.take()
    assert fields is not None
    for _ in range(2):
        assert bench.process.run(fields) == "SUCCESS"
    assert told == [0, 1]


def test_without_its_ledger_a_batch_is_not_run(bench: BatchBench, told: list[int]) -> None:
    """Once the group's ledger was seen: the consumer dispatches its messages again."""
    bench.run(*orders("return", "return"))
    told.clear()
    bench.partition.dispatch_batch(*map(orjson.dumps, orders("return", "return")))
    bench.client.delete(*bench.partition.keys.all)
    assert bench.process.run_next() == "SUCCESS"
    assert (told, bench.partition.entries) == ([], [])


def test_what_is_no_batch_fails_as_a_whole(bench: BatchBench, told: list[int]) -> None:
    """Arguments that don't match the header: the consumer makes dead letters of its records."""
    member = bench.partition.dispatch_batch(*map(orjson.dumps, orders("return", "return")))
    fields = bench.process.take()
    assert fields is not None
    single = orjson.loads(bench.partition.message("0", b"{}"))
    bench.process.run({**fields, "body": single["body"]})
    assert (told, bench.ends) == ([], {member: "not-a-batch: expected the texts of 2 records"})


@pytest.mark.parametrize("broken", [{"v": 2}, {"offsets": [1]}, {"timestamps_ms": [1]}, {"token": None}, {"v": 3}])
def test_a_header_that_can_not_be_read_goes_back(
    bench: BatchBench, told: list[int], broken: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the queue, for a worker that can read it."""
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    bench.partition.dispatch_batch(*map(orjson.dumps, orders("return", "return")))
    fields = bench.process.take()
    assert fields is not None
    header = broken if broken == {"v": 2} else fields["headers"]["ferry"] | broken
    fields["headers"]["ferry"] = header
    assert bench.process.run(fields) == "REJECTED"
    assert (told, len(bench.partition.entries)) == ([], 1)


@pytest.mark.parametrize("how", ["claimed", "ended", "flushed"])
def test_nothing_is_run_after_somebody_else_has_taken_it_over(
    bench: BatchBench, told: list[int], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next progress tells; the messages behind it are theirs."""
    monkeypatch.setattr("ferry_worker.batch_run.PROGRESS_EVERY_SECONDS", 0.0)
    taken: list[Any] = []

    def take_over(_task: Any, order: Order) -> int:
        if order.number == 2:
            (member,) = bench.partition.entries
            release(bench, member, bench.partition.state(member)["owner"])
            if how == "claimed":
                claim(bench, member, "somebody else")
            elif how == "ended":
                claim(bench, member, "somebody else")
                bench.partition.worker_ledger.done(bench.partition.header(member), "somebody else")
            else:
                bench.client.delete(*bench.partition.keys.all)
            taken.append(bench.client.hgetall(bench.partition.keys.state))
        return order.number

    monkeypatch.setattr("tests.contract.test_batch_run.act", take_over)
    assert bench.run(*orders(*["return"] * 5)) == "SUCCESS"
    assert told == [0, 1, 2]
    assert [bench.client.hgetall(bench.partition.keys.state)] == taken


@pytest.mark.parametrize("deeds", [["raise", "return", "return"], ["retry", "return", "return", "return"]])
def test_a_redis_that_goes_back_in_time_forgets_no_failure(
    bench: BatchBench, told: list[int], monkeypatch: pytest.MonkeyPatch, deeds: list[str]
) -> None:
    """What it knew of the first message is told again with the others."""
    monkeypatch.setattr("ferry_worker.batch_run.PROGRESS_EVERY_SECONDS", 0.0)
    saved: dict[str, Any] = {}

    def go_back(task: Any, order: Order) -> int:
        keys = bench.partition.keys.all
        if order.number == 0:
            saved.update({key: bench.client.dump(key) for key in keys if bench.client.exists(key)})
        if order.number == 1:
            assert "0" in bench.partition.entries
            bench.client.delete(*keys)
            for key, content in saved.items():
                bench.client.restore(key, 0, content)
            assert "0" not in bench.partition.entries
        return act_as_asked(task, order)

    act_as_asked = act
    monkeypatch.setattr("tests.contract.test_batch_run.act", go_back)
    assert bench.run(*orders(*deeds)) == "SUCCESS"
    assert told == list(range(len(deeds)))
    assert bench.ends == {"0": "LookupError: no such order" if deeds[0] == "raise" else "retry"}


@pytest.mark.parametrize("lost", ["progress", "progress all", "split"])
def test_a_lost_reply_changes_nothing(
    bench: BatchBench, told: list[int], lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call comes again, and whatever it says is counted once."""
    if lost == "progress":
        monkeypatch.setattr("ferry_worker.batch_run.PROGRESS_EVERY_SECONDS", 0.0)
    if lost == "split":
        monkeypatch.setattr("ferry_worker.batch_run.SHARE_OF_SOFT_LIMIT", 0.0)
    losses = lose_replies(monkeypatch, lost)
    assert bench.run(*orders("return", "raise", "retry", "return")) == "SUCCESS"
    assert losses
    bench.process.run_all()
    assert told == [0, 1, 2, 3]
    assert bench.ends == {"1": "LookupError: no such order", "2": "retry"}
    head = bench.client.hmget(bench.partition.keys.head, "entries", "messages")
    assert head == [b"2", b"2"]


def lose_replies(monkeypatch: pytest.MonkeyPatch, what: str) -> list[Any]:
    """Have the first reply to each such call get lost; returns those calls' arguments, but for the messages."""
    name, _, until = what.partition(" ")
    called: Callable[..., Any] = getattr(WorkerLedger, name)
    lost: list[Any] = []

    def lossy(ledger: WorkerLedger, header: Any, owner: str, *arguments: Any) -> Any:
        reply = called(ledger, header, owner, *arguments)
        is_meant = name == "split" or (arguments[0] is None) is (until == "all")
        if is_meant and arguments[0] not in lost:
            lost.append(arguments[0])
            raise RedisUnavailable
        return reply

    monkeypatch.setattr(WorkerLedger, name, lossy)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    return lost


def test_a_single_message_of_such_a_task_is_as_ever(bench: BatchBench, told: list[int]) -> None:
    """Beside batches."""
    bench.partition.dispatch(b'{"number": 5}')
    assert bench.process.run_next() == "SUCCESS"
    assert (told, bench.partition.entries) == ([5], [])
    assert bench.result(0) == (("PENDING", None) if bench.task.ignore_result else ("SUCCESS", 5))


def test_half_of_the_soft_limit_ends_a_batch(
    bench: BatchBench, told: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has not run by then is queued alone, and what has is done; in Celery's own words the batch succeeded."""
    bench.task.soft_time_limit, seconds = 20, [0.0]
    monkeypatch.setattr("ferry_worker.batch_run.time.monotonic", lambda: seconds[0])

    def take_four_seconds(_task: Any, order: Order) -> int:
        seconds[0] += 4.0
        return order.number

    monkeypatch.setattr("tests.contract.test_batch_run.act", take_four_seconds)
    assert bench.run(*orders(*["return"] * 5)) == "SUCCESS"
    assert told == [0, 1, 2]
    assert queued_singles(bench) == ["orders-0-3", "orders-0-4"]
    assert bench.ends == {"3": "queued", "4": "queued"}


def test_a_tasks_own_class_is_around_each_message(redis_url: str) -> None:
    """Of an app with `track(app)`: its `__call__` runs for each, with the message and inside of its request."""
    calls: list[tuple[str, int]] = []
    app = Celery("shop", broker=redis_url, backend=redis_url, set_as_current=False)
    base: Any = app.Task

    class Around(base):  # type: ignore[misc]  # made by Celery
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            calls.append((self.request.id, args[0].number))
            return super().__call__(*args, **kwargs)

    app.Task = Around
    track(app)
    told: list[int] = []

    def task(order: Order) -> int:
        told.append(order.number)
        return order.number

    with BatchBench(redis_url, task, app=app) as bench:
        bench.run(*orders("return", "return"))
        assert calls == [("orders-0-0", 0), ("orders-0-1", 1)]
        assert (told, bench.partition.entries) == ([0, 1], [])
        assert bench.result(1) == ("SUCCESS", 1)
