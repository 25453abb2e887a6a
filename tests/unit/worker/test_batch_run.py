"""When a batch's progress is told, wherever a time limit strikes, and whatever the ledger answers."""

import itertools
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any
from unittest.mock import patch

import pytest
from celery import signals
from celery.app.trace import trace_ok_t
from celery.exceptions import Reject, SoftTimeLimitExceeded
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from ferry_shared.errors import RedisUnavailable
from ferry_shared.ledger.singles import FailedSingle, RetriedSingle
from ferry_shared.ledger.worker_ledger import Recorded, TaskHeader
from ferry_worker.batch_run import _run_batch
from ferry_worker.batched import messages_of
from ferry_worker.tracked_task import TrackedTask
from tests.unit.worker.fake_ledger import FIELDS, Bench

FIRST = 7


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench with default settings."""
    return Bench(monkeypatch)


def acting(run: list[Any], between: Callable[[Any], None] = lambda _order: None) -> Callable[..., None]:
    """Return a task's function that notes what it has run; a text makes it fail."""

    def task(order: Any) -> None:
        between(order)
        run.append(order)
        if order in {"x", "no", "neither"}:
            raise LookupError(order)

    return task


@given(
    durations_ms=st.lists(st.integers(0, 120), min_size=2, max_size=30),
    failing=st.sets(st.integers(0, 29)),
)
def test_progress_is_told_at_most_every_50_ms(durations_ms: list[int], failing: set[int]) -> None:
    """With all that has failed; never past a message that has no outcome yet; at the end all is told."""
    clock, run = [1_000.0], list[Any]()
    told: list[tuple[float, int | None, int]] = []
    singles: list[list[int]] = []

    def tell(_batch: Any, _owner: str, done_up_to: int | None, new: Any) -> Recorded:
        told.append((clock[0], done_up_to, len(run)))
        singles.append([single.offset for single in new])
        return Recorded.RECORDED

    def work(_order: Any) -> None:
        clock[0] += durations_ms[len(run)] / 1000

    with pytest.MonkeyPatch.context() as patched, patch("ferry_worker.batch_run.time.monotonic", lambda: clock[0]):
        bench = Bench(patched)
        patched.setattr(bench.ledger, "progress", tell)
        payloads = ['"x"' if index in failing else "1" for index in range(len(durations_ms))]
        bench.run_batch(bench.task(acting(run, work)), *payloads)
    assert len(run) == len(durations_ms)
    moments = [1_000.0, *(moment for moment, _, _ in told[:-1])]
    assert all(later - earlier >= 0.05 for earlier, later in itertools.pairwise(moments))
    assert [(FIRST + ran - 1, ran) for _, _, ran in told[:-1]] == [(up_to, ran) for _, up_to, ran in told[:-1]]
    assert (told[-1][1], told[-1][2]) == (None, len(run))
    assert singles == [[FIRST + index for index in range(ran) if index in failing] for _, _, ran in told]


def test_a_slow_message_is_told_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each that took longer than that; the last one ends the batch."""
    clock = [0.0]
    monkeypatch.setattr("ferry_worker.batch_run.time.monotonic", lambda: clock[0])

    def work(_order: Any) -> None:
        clock[0] += 1.0

    bench.run_batch(bench.task(acting([], work)), "1", "2", "3")
    assert bench.ledger.named("progress") == [(7, []), (8, []), (None, [])]


def test_a_claim_that_takes_long_counts_towards_the_limit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit strikes so long after the process got the batch, not after its ledger answered."""
    clock, run = [0.0], list[Any]()
    claim = bench.ledger.claim

    def wait_for_redis(*arguments: Any, **options: Any) -> Any:
        clock[0] += 130.0
        return claim(*arguments, **options)

    def work(_order: Any) -> None:
        clock[0] += 4.0

    monkeypatch.setattr("ferry_worker.batch_run.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(bench.ledger, "claim", wait_for_redis)
    bench.run_batch(bench.task(acting(run, work)), "1", "2", "3", "4")
    assert run == [1, 2]


class Strike:
    """Raises a soft time limit before the n-th line of Ferry's own code for batches, as a signal's handler does."""

    MODULES = tuple(
        f"ferry_worker/{name}.py" for name in ("batch_run", "batched", "tracked_task", "attempt", "unobserved")
    )

    def __init__(self, line: int) -> None:
        self.lines_left = line
        self.is_running = False

    @property
    def has_struck(self) -> bool:
        """Whether there were so many lines."""
        return self.lines_left <= 0

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Any:
        self.is_running |= frame.f_code is _run_batch.__code__
        if not self.is_running or not frame.f_code.co_filename.endswith(self.MODULES):
            return None
        if event == "line":
            self.lines_left -= 1
            if self.lines_left == 0:
                sys.settrace(None)
                raise SoftTimeLimitExceeded
        return self


def goes_back(ended: Any) -> bool:
    """Tell whether the parent process puts the message back into its queue, as it hears of it."""
    if ended.info is None:
        return False
    assert isinstance(ended.retval.exception.exc, Reject)
    return bool(ended.retval.exception.exc.requeue)


def struck(bench: Bench, task: Any, line: int, *payloads: str) -> bool | None:
    """Run a batch and strike at that line; None when there are less, else whether its message goes back."""
    strike, rejected = Strike(line), list[bool]()

    def run() -> None:
        sys.settrace(strike)
        try:
            ended = bench.run_batch(task, *payloads)
        except SoftTimeLimitExceeded:
            # As it was handed back: it comes again when its lease is over.
            rejected.append(True)
        else:
            rejected.append(goes_back(ended))

    # An exception out of a trace function can leave Python's record of what is being handled behind: a thread's own.
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return rejected == [True] if strike.has_struck else None


@pytest.mark.filterwarnings("ignore:Exception raised outside body:RuntimeWarning")
@pytest.mark.parametrize("takes_list", [False, True])
def test_wherever_the_soft_limit_strikes_nothing_is_lost(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, takes_list: bool
) -> None:
    """Before any line: what the ledger takes for done has run, and a failure isn't taken for that."""
    monkeypatch.setattr("ferry_worker.batch_run.PROGRESS_EVERY_SECONDS", 0.0)
    payloads = ("1", '"no"', "2", '"neither"')
    run: list[Any] = []
    single = acting(run)

    def several(orders: list[Any]) -> None:
        for order in orders:
            single(order)

    task = bench.task(several if takes_list else single, takes_list=takes_list)
    line, went_back = 0, 0
    while True:
        line += 1
        run.clear()
        bench.ledger.calls.clear()
        goes_back = struck(bench, task, line, *payloads)
        if goes_back is None:
            break
        went_back += goes_back
        covered, singles, ended = what_is_recorded(bench)
        assert ended or goes_back, f"line {line}: nothing goes on"
        well = {FIRST + index for index, order in ((0, 1), (2, 2)) if order in run}
        assert covered - singles <= well, f"line {line}: {bench.ledger.calls}"
    assert line > 100
    assert went_back < line / 2


def what_is_recorded(bench: Bench) -> tuple[set[int], set[int], bool]:
    """What the ledger takes for ended, what of it goes on or has failed, and whether the batch has ended."""
    covered: set[int] = set()
    singles: set[int] = set()
    ended = False
    for name, *arguments in bench.ledger.calls:
        if name == "progress":
            up_to = arguments[1]
            covered |= set(range(FIRST, FIRST + 4 if up_to is None else up_to + 1))
            ended |= up_to is None
        elif name == "split":
            covered, ended = set(range(FIRST, FIRST + 4)), True
        elif name == "fail":
            ended = True
        if name in {"progress", "split"}:
            singles |= {single.offset for single in arguments[-1]}
    return covered, singles, ended


@pytest.mark.parametrize(
    ("reply", "runs_on"), [(Recorded.RECORDED, True), (Recorded.GONE, False), (Recorded.STALE, False),
                           (Recorded.NOT_OWNER, False), (Recorded.NO_LEDGER, False)],
)  # fmt: skip
@pytest.mark.parametrize("lost", [0, 1])
def test_what_the_ledger_says_to_progress_decides_whether_it_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, reply: Recorded, runs_on: bool, lost: int
) -> None:
    """Also after a lost reply: a batch that goes on is there and current, however often its progress is told."""
    monkeypatch.setattr("ferry_worker.batch_run.PROGRESS_EVERY_SECONDS", 0.0)
    run: list[Any] = []

    def answer_so(order: Any) -> None:
        if order == 2:
            bench.ledger.recorded, bench.ledger.lost = reply, lost

    bench.run_batch(bench.task(acting(run, answer_so)), "1", "2", "3", "4")
    assert run == ([1, 2, 3, 4] if runs_on else [1, 2])
    assert ("split" in bench.ledger.names) is False


@pytest.mark.parametrize(("lost", "warned"), [(0, True), (1, False)])
def test_a_lost_reply_to_the_end_is_no_warning(
    bench: Bench, caplog: pytest.LogCaptureFixture, lost: int, warned: bool
) -> None:
    """The first call has ended it."""

    def lose(_order: Any) -> None:
        bench.ledger.recorded, bench.ledger.lost = Recorded.GONE, lost

    bench.run_batch(bench.task(acting([], lose)), "1", "2")
    assert ("its progress was not recorded" in caplog.text) is warned


@pytest.mark.parametrize("during", ["claim", "progress", "split"])
def test_a_ledger_that_stays_away_gives_the_batch_back(
    monkeypatch: pytest.MonkeyPatch, during: str, caplog: pytest.LogCaptureFixture
) -> None:
    """To the queue; nothing behind is run."""
    monkeypatch.setattr("ferry_worker.batch_run.PROGRESS_EVERY_SECONDS", 0.0)
    bench = Bench(monkeypatch, worker_redis_wait_seconds=0)
    bench.ledger.claims = 2 if during == "split" else 1
    run: list[Any] = []

    def unavailable(*_: Any, **__: Any) -> None:
        raise RedisUnavailable

    monkeypatch.setattr(bench.ledger, during, unavailable)
    assert goes_back(bench.run_batch(bench.task(acting(run)), "1", "2", "3"))
    assert run == ([1] if during == "progress" else [])
    assert "the message goes back to the queue" in caplog.text


def test_what_a_full_redis_refuses_goes_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A split needs room; it is asked for again."""

    def refuse(*_: Any) -> None:
        raise ResponseError("OOM command not allowed")

    monkeypatch.setattr(bench.ledger, "split", refuse)
    bench.ledger.claims = 2
    assert goes_back(bench.run_batch(bench.task(acting([])), "1", "2"))


def test_progress_of_an_earlier_worker_is_passed_over(bench: Bench) -> None:
    """Only what is above it goes on, also when a worker was lost behind the last message."""
    bench.ledger.claims, bench.ledger.progressed = 2, FIRST
    task = bench.task(acting([]))
    bench.run_batch(task, "1", "2", "3")
    ((singles,),) = bench.ledger.named("split")
    assert [single.offset for single in singles] == [FIRST + 1, FIRST + 2]
    bench.ledger.calls.clear()
    bench.ledger.progressed = FIRST + 2
    bench.run_batch(task, "1", "2", "3")
    assert bench.ledger.named("progress") == [(None, [])]


def test_what_a_truncation_of_the_log_has_taken_is_not_run(bench: Bench) -> None:
    """Its offsets are, or will be, other records'."""
    run: list[Any] = []
    bench.ledger.truncated_at = FIRST + 2
    bench.run_batch(bench.task(acting(run)), "1", "2", "3", "4")
    assert run == [1, 2]
    assert bench.ledger.named("progress")[-1] == (None, [])


class Handling(TrackedTask):
    """A task whose handler looks at the request, and calls the task as a function."""

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Note what it finds."""
        self.found = [task_id, self.request.noted, self("again"), self.request.ferry_attempt is not None]


@pytest.mark.parametrize("traced", [True, False])
@pytest.mark.usefixtures("nobody_observes")
def test_a_handler_of_a_failure_finds_the_request_that_the_task_ran_in(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, traced: bool
) -> None:
    """Whoever ran it first, Celery's tracer or nobody."""

    def function(self: Any, order: Any) -> Any:
        if order == "again":
            return "called"
        self.request.noted = order
        if order == 1:
            raise LookupError(order)
        return None

    monkeypatch.setattr(signals.task_prerun, "receivers", [((0, 0), print)] if traced else [])
    task = bench.task(function, bind=True, base=Handling)
    bench.run_batch(task, "1", "2")
    assert task.found == ["orders-0-7", 1, "called", True]


def test_each_end_is_what_the_ledger_hears(bench: Bench) -> None:
    """Of a failure its error and payload, of what was put off its next attempt."""

    def task(order: Any) -> None:
        if order == 2:
            raise LookupError("two")
        if order == 3:
            raise Reject("later", requeue=True)

    bench.run_batch(bench.task(task), "1", "2", "3")
    ((reached, (failed, retried)),) = bench.ledger.named("progress")
    assert reached is None
    assert failed == FailedSingle(FIRST + 1, "LookupError: two", b"2")
    assert isinstance(retried, RetriedSingle)
    assert (retried.offset, retried.delay_ms) == (FIRST + 2, 1_000)


@given(
    topic=st.from_regex(r"[a-z._-]{1,9}", fullmatch=True),
    group=st.sampled_from(["ferry", "audit", "a@b"]),
    offsets=st.lists(st.integers(0, 2**63 - 1), min_size=2, max_size=9, unique=True),
)
def test_the_ids_of_a_batchs_messages_are_theirs(topic: str, group: str, offsets: list[int]) -> None:
    """As each would have it alone; so has the origin that its model is built with."""
    fields = FIELDS | {"v": 2, "topic": topic, "group": group, "offsets": sorted(offsets)}
    batch = TaskHeader.of(fields | {"timestamps_ms": [5, *[None] * (len(offsets) - 1)]})
    for message, offset in zip(messages_of(batch, ["{}"] * len(offsets)), sorted(offsets), strict=True):
        alone = TaskHeader.of(FIELDS | {"topic": topic, "group": group, "member": str(offset)})
        assert message.task_id == alone.task_id.text
        assert message.origin.task_id == alone.task_id
    assert messages_of(batch, ["{}"] * len(offsets))[0].origin.timestamp_ms == 5


def test_a_task_is_wrapped_once_for_each_tracer(bench: Bench) -> None:
    """Celery builds tracers at a worker's start and again in each pool process; before it has none."""
    task = bench.task(acting([]))
    assert task.__trace__ is None
    told: list[str] = []

    def trace(name: str) -> Callable[..., Any]:
        def run(uuid: str, *_: Any) -> Any:
            told.append(f"{name} {uuid}")
            return trace_ok_t(None, None, 0.0, "None")

        return run

    for name in ("parent", "child"):
        task.__trace__ = trace(name)
        task.__trace__("orders-0-7", [], {}, {"ferry": FIELDS})
        task.__trace__("plain", [], {})
    assert told == ["parent orders-0-7", "parent plain", "child orders-0-7", "child plain"]
    task.__trace__ = None
    assert task.__trace__ is None
