"""Of a batch, Celery's results, signals, log lines and requests are those of its single messages."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, signals
from celery.exceptions import Ignore
from kombu.exceptions import EncodeError

from ferry_worker import track
from tests.support.batch_bench import BatchBench
from tests.support.celery_tracer import unobserved

#: Celery's own call in its Redis backend.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning"),
    pytest.mark.usefixtures("nobody_observes"),
]

#: A request's fields that differ from receipt to receipt, or tell of the ledger's entry.
OF_THE_RECEIPT = {"ferry", "ferry_owner", "ferry_batched", "ferry_attempt", "headers", "properties", "ignore_result"}


def act(task: Any, deed: Any) -> Any:
    """Do what the message says."""
    match deed:
        case "raise":
            raise LookupError("no such order")
        case "retry":
            task.retry(exc=ConnectionError("not yet"), countdown=60)
        case "ignore":
            raise Ignore
        case "no json":
            return object()
    return deed


@pytest.fixture
def requests() -> list[dict[str, Any]]:
    """The fields of each request, as the task sees them."""
    return []


@pytest.fixture
def bench(redis_url: str, requests: list[dict[str, Any]]) -> Iterator[BatchBench]:
    """A task that does what its message says, and keeps its result."""

    def task(self: Any, deed: Any) -> Any:
        requests.append(dict(vars(self.request)))
        return act(self, deed)

    with BatchBench(redis_url, task, bind=True, max_retries=3) as bench:
        yield bench


def test_each_result_is_found_by_its_own_id(bench: BatchBench) -> None:
    """State and value, for every way to end; the batch's own id has none."""
    bench.run("first", "raise", "retry", {"third": 3}, "ignore", "no json")
    results = {offset: bench.result(offset) for offset in range(6)}
    assert results[0] == ("SUCCESS", "first")
    assert (results[1][0], repr(results[1][1])) == ("FAILURE", "LookupError('no such order')")
    assert (results[2][0], str(results[2][1])) == ("RETRY", "not yet")
    assert results[3] == ("SUCCESS", {"third": 3})
    assert results[4] == ("PENDING", None)
    assert (results[5][0], type(results[5][1]).__name__) == ("FAILURE", EncodeError.__name__)
    assert sorted(bench.client.keys("celery-task-meta-*")) == [
        b"celery-task-meta-orders-0-%d" % offset for offset in (0, 1, 2, 3, 5)
    ]
    assert bench.ends == {"1": "LookupError: no such order", "2": "retry"}


@pytest.mark.parametrize("by", ["task", "app"])
def test_results_can_be_left_out(redis_url: str, by: str) -> None:
    """By the task, or by the app for all of them."""
    app = Celery("shop", broker=redis_url, backend=redis_url, set_as_current=False)
    track(app)
    app.conf.task_ignore_result = by == "app"

    def task(self: Any, deed: Any) -> Any:
        return act(self, deed)

    with BatchBench(redis_url, task, app=app, bind=True, **({"ignore_result": True} if by == "task" else {})) as bench:
        bench.run("first", "raise", "retry", "no json")
        assert bench.ends == {"1": "LookupError: no such order", "2": "retry"}
        assert bench.client.keys("celery-task-meta-*") == []


def test_started_is_told_of_each_message(bench: BatchBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `task_track_started`, as its turn comes."""
    bench.task.track_started = True
    seen: list[list[str]] = []
    monkeypatch.setattr(bench.task, "run", lambda _deed: seen.append([bench.result(offset)[0] for offset in (0, 1)]))
    bench.run("first", "second")
    assert seen == [["STARTED", "PENDING"], ["SUCCESS", "STARTED"]]


@pytest.mark.parametrize("ignoring", [False, True])
def test_a_request_is_that_of_a_single_message(
    bench: BatchBench, requests: list[dict[str, Any]], ignoring: bool
) -> None:
    """Id, root, correlation, retries, delivery, time limits, arguments and all else that Celery tells a task."""
    bench.task.ignore_result = ignoring
    assert unobserved(bench.task) == ignoring
    bench.partition.dispatch(b'"first"', b'"second"')
    for _ in range(2):
        bench.process.run_next()
    alone, bench.partition.position = list(requests), 0
    requests.clear()
    bench.client.delete(*bench.partition.keys.all)
    bench.partition.acquire()
    bench.run("first", "second")
    assert [fields["id"] for fields in requests] == ["orders-0-0", "orders-0-1"]
    assert [told_of(fields) for fields in requests] == [told_of(fields) for fields in alone]
    for fields, single in zip(requests, alone, strict=True):
        assert fields.keys() - {"ferry_batched"} == single.keys()
        assert fields["headers"].keys() == single["headers"].keys()


def told_of(fields: dict[str, Any]) -> dict[str, Any]:
    """What both must have in common."""
    return {name: value for name, value in fields.items() if name not in OF_THE_RECEIPT}


def test_no_message_sees_what_another_did_to_its_request(bench: BatchBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has a request of its own."""
    seen: list[Any] = []

    def note(_task: Any, _deed: Any) -> None:
        request = bench.task.request
        seen.append((getattr(request, "note", None), request.headers.get("note")))
        request.update(note="mine")
        request.headers["note"] = "mine"

    monkeypatch.setattr("tests.contract.test_batch_results.act", note)
    bench.run("first", "second")
    assert seen == [(None, None)] * 2


def test_signals_speak_of_single_messages(bench: BatchBench) -> None:
    """Before and after each, of success, failure and retry; none speaks of the batch."""
    heard: list[tuple[str, str]] = []

    def listen(name: str, id_of: Callable[..., str]) -> Callable[..., None]:
        def hear(**told: Any) -> None:
            heard.append((name, id_of(told)))

        getattr(signals, f"task_{name}").connect(hear, weak=False, dispatch_uid=f"test-{name}")
        return hear

    names: dict[str, Callable[..., str]] = {
        "prerun": lambda told: told["task_id"],
        "postrun": lambda told: f"{told['task_id']} {told['state']}",
        "success": lambda told: told["sender"].request.id,
        "failure": lambda told: told["task_id"],
        "retry": lambda told: told["request"].id,
    }
    for name, id_of in names.items():
        listen(name, id_of)
    try:
        bench.run("first", "raise", "retry")
    finally:
        for name in names:
            getattr(signals, f"task_{name}").disconnect(dispatch_uid=f"test-{name}")
    assert heard == [
        ("prerun", "orders-0-0"), ("success", "orders-0-0"), ("postrun", "orders-0-0 SUCCESS"),
        ("prerun", "orders-0-1"), ("failure", "orders-0-1"), ("postrun", "orders-0-1 FAILURE"),
        ("prerun", "orders-0-2"), ("retry", "orders-0-2"), ("postrun", "orders-0-2 RETRY"),
    ]  # fmt: skip


def test_log_lines_speak_of_single_messages(bench: BatchBench, caplog: pytest.LogCaptureFixture) -> None:
    """Celery's own about each end, and the task's."""
    caplog.set_level("INFO", logger="celery.app.trace")
    bench.run("first", "raise", "retry")
    told = [record.__dict__["data"]["id"] if "data" in record.__dict__ else record.args["id"]  # type: ignore[index, call-overload]
            for record in caplog.records if record.name == "celery.app.trace"]  # fmt: skip
    assert told == ["orders-0-0", "orders-0-1", "orders-0-2"]


def test_a_backend_that_is_away_does_not_undo_what_is_done(
    bench: BatchBench, requests: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results are lost; each message is run, once, and is done, and the batch is over."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no backend")

    monkeypatch.setattr(bench.app.backend, "store_result", refuse)
    with pytest.warns(RuntimeWarning, match="outside body"):
        assert bench.run("first", "raise", "third") == "SUCCESS"
    assert [fields["id"] for fields in requests] == ["orders-0-0", "orders-0-1", "orders-0-2"]
    assert bench.ends == {"1": "LookupError: no such order"}


def test_what_breaks_before_the_task_runs_it_again_alone(redis_url: str) -> None:
    """A handler of Celery's that fails is no outcome of a message; the others aren't held up by it."""
    started: list[str] = []

    def before_start(task_id: str, *_: Any) -> None:
        started.append(task_id)
        if task_id == "orders-0-1":
            raise LookupError("not today")

    def task(deed: Any) -> Any:
        return deed

    with BatchBench(redis_url, task, before_start=staticmethod(before_start)) as bench:
        bench.run("first", "second", "third")
        assert started == ["orders-0-0", "orders-0-1", "orders-0-2"]
        assert bench.ends == {"1": "retry"}
