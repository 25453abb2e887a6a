"""One run: what is sent, what is left, and where it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ferry_producer import sending
from ferry_producer.account import Account
from ferry_producer.delivery import Delivered, Undelivered
from ferry_producer.input import Input, file_input
from ferry_producer.job import Job
from ferry_producer.lines import Line
from ferry_producer.messages import InvalidText
from ferry_producer.outgoing import Recipe
from ferry_producer.sending import run
from ferry_producer.undelivered import UndeliveredFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ferry_producer.delivery import Outcome
    from ferry_producer.job import Offer, Told
    from ferry_producer.outgoing import Record
    from ferry_producer.report import End


def _value(content: bytes) -> bytes:
    if content == b"invalid":
        raise InvalidText("no message")
    return content


RECIPE = Recipe(_value, headers=[("trace", b"7")])


class Destination:
    """Settles each record at once, as `outcome_of` says; calls `before` with the number of records that came before."""

    pending = 0

    def __init__(
        self,
        outcome_of: Callable[[bytes], Outcome] = lambda _: Delivered("t", 0, 0),
        before: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._outcome_of = outcome_of
        self._before = before
        self._told: Told = Account()
        self.sent: list[bytes] = []
        self.headers: Sequence[tuple[str, bytes]] = ()

    async def open(self, told: Told, headers: Sequence[tuple[str, bytes]]) -> Offer:
        """Ready."""
        self._told, self.headers = told, headers
        return self.offer

    def offer(self, records: Sequence[Record]) -> int:
        """Settle the first one."""
        line, value, _ = records[0]
        self._before(len(self.sent))
        self.sent.append(value)
        outcome = self._outcome_of(value)
        if isinstance(outcome, Delivered):
            self._told.acknowledge([outcome.latency_seconds])
        else:
            self._told.fail(line, outcome)
        return 1

    async def room(self) -> None:
        """There is."""

    async def flush(self) -> None:
        """All is settled."""

    async def close(self, timeout_seconds: float | None = None) -> None:
        """Nothing is open."""


class Silent(Destination):
    """Has room for so many and answers none; what it holds is given up at the end."""

    def __init__(self, room: int = 1_000) -> None:
        super().__init__()
        self._room = room
        self._waiting: list[Line] = []

    def offer(self, records: Sequence[Record]) -> int:
        """Keep what there is room for."""
        room = self._room - len(self._waiting)
        self._waiting += [line for line, _, _ in records[:room]]
        return min(room, len(records))

    async def room(self) -> None:
        """Never."""
        await asyncio.Event().wait()

    async def flush(self) -> None:
        """Never."""
        await asyncio.Event().wait()

    async def close(self, timeout_seconds: float | None = None) -> None:
        """Give up."""
        for line in self._waiting:
            self._told.fail(line, Undelivered("given up", refused=False))


async def carry_out(job: Job, destination: Destination, account: Account | None = None) -> tuple[End, Account]:
    """Run it."""
    account = account or Account()
    return await run(job, destination, account, "acknowledged"), account


def lines(*contents: bytes) -> list[Line]:
    """Numbered."""
    return [Line(number, content) for number, content in enumerate(contents, 1)]


def pipe_with(content: bytes) -> Input:
    """A pipe that gives `content` and ends."""
    source, target = os.pipe()
    os.write(target, content)
    os.close(target)
    return Input("a pipe", source, again=False)


def file_with(path: Path, content: bytes) -> Input:
    """A file."""
    path.write_bytes(content)
    return file_input(path)


def interrupt() -> None:
    """Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


async def test_everything_is_sent_with_its_headers() -> None:
    """And an invalid line stops nobody else."""
    destination = Destination()
    end, account = await carry_out(Job(RECIPE, lines(b"a", b"invalid", b"b")), destination)
    assert (destination.sent, destination.headers, end.finished) == ([b"a", b"b"], [("trace", b"7")], True)
    assert (account.acknowledged, account.invalid, account.last_line) == (2, 1, 3)


async def test_an_invalid_line_may_stop_it(tmp_path: Path) -> None:
    """Then the rest of a pipe is kept, a file's rest isn't read."""
    content, left = b"a\ninvalid\nb\nc\n", tmp_path / "left"
    for source, kept in ((pipe_with(content), b"invalid\nb\nc\n"), (file_with(tmp_path / "f", content), b"invalid\n")):
        destination = Destination()
        with UndeliveredFile(left) as file:
            end, account = await carry_out(Job(RECIPE, source=source, stop_at_invalid=True), destination, Account(file))
        assert (destination.sent, end.finished, account.last_line) == ([b"a"], False, 2)
        assert left.read_bytes() == kept
        left.unlink()
        os.close(source.descriptor)


async def test_silence_ends_an_input(tmp_path: Path) -> None:
    """Whatever was read and not acknowledged is kept."""
    source, destination = pipe_with(b"a\nb\nc\n"), Destination(lambda value: _silence_at(value, b"b"))
    with UndeliveredFile(tmp_path / "left") as file:
        end, account = await carry_out(Job(RECIPE, source=source), destination, Account(file))
    assert (end.finished, account.acknowledged, account.failed, account.unsent) == (False, 1, 1, 1)
    assert (tmp_path / "left").read_bytes() == b"b\nc\n"
    os.close(source.descriptor)


def _silence_at(value: bytes, silent: bytes) -> Outcome:
    return Undelivered("silence", refused=False) if value == silent else Delivered("t", 0, 0)


@pytest.mark.parametrize("count", [1, 2, 4, 5])
async def test_a_count_ends_it(count: int) -> None:
    """Texts are repeated until then; of an input only so many are sent, and the rest is nobody's loss."""
    destination = Destination()
    end, _ = await carry_out(Job(RECIPE, lines(b"a", b"b"), in_turn=True, count=count), destination)
    assert (destination.sent, end.finished) == ([b"a", b"b", b"a", b"b", b"a"][:count], True)

    source, destination = pipe_with(b"a\nb\ninvalid\nc\nd\ne\n"), Destination()
    end, account = await carry_out(Job(RECIPE, source=source, count=count), destination)
    assert (destination.sent, end.finished, account.unsent) == ([b"a", b"b", b"c", b"d", b"e"][:count], True, 0)
    os.close(source.descriptor)


async def test_an_input_may_be_shorter_than_the_count() -> None:
    """Then its end is the end."""
    source = pipe_with(b"a\n")
    end, account = await carry_out(Job(RECIPE, source=source, count=5), Destination())
    assert (end.finished, account.acknowledged) == (True, 1)
    os.close(source.descriptor)


async def test_a_message_is_made_when_its_turn_comes() -> None:
    """Its time is the one at which it goes, and a line that is refused takes no turn."""
    made, sent = list[float](), list[float]()

    def value_of(content: bytes) -> bytes:
        value = _value(content)
        made.append(time.monotonic())
        return value

    destination = Destination(before=lambda _: sent.append(time.monotonic()))
    texts = lines(b"a", b"b", b"invalid", b"c", b"d")
    await carry_out(Job(Recipe(value_of), texts, rate_per_second=5.0), destination)
    assert [round((moment - sent[0]) / 0.2) for moment in sent] == [0, 1, 2, 3]
    assert max(late - early for early, late in zip(made, sent, strict=True)) < 0.1


async def test_the_rate_is_kept() -> None:
    """Whatever else the machine does: never faster; the mean of a minute is measured with a real Kafka."""
    started = time.monotonic()
    await carry_out(Job(RECIPE, lines(b"a"), in_turn=True, count=101, rate_per_second=200.0), Destination())
    assert time.monotonic() - started >= 100 / 200 - 2 * sending.MIN_WAIT_SECONDS


async def test_a_signal_ends_a_slow_run_at_once(tmp_path: Path) -> None:
    """With a rate, what a pipe has already given is kept; a file's rest is still there."""
    content, left = b"a\nb\nc\nd", tmp_path / "left"
    for source, kept, last in ((pipe_with(content), b"b\nc\nd", 1), (file_with(tmp_path / "f", content), b"", 1)):
        destination = Destination(before=lambda _: interrupt())
        with UndeliveredFile(left) as file:
            started = time.monotonic()
            end, account = await carry_out(Job(RECIPE, source=source, rate_per_second=0.01), destination, Account(file))
        assert time.monotonic() - started < 5
        assert (destination.sent, end.stopped_by, end.finished) == ([b"a"], signal.SIGINT, False)
        assert account.last_line == last
        assert (left.read_bytes() if left.exists() else b"") == kept
        left.unlink(missing_ok=True)
        os.close(source.descriptor)


@pytest.mark.parametrize(("content", "taken"), [(b"a\nb", 1), (b"a\nb\n", 1), (b"a\nb\nc", 2)])
async def test_a_line_whose_turn_did_not_come_is_not_the_end_of_a_file(
    tmp_path: Path, content: bytes, taken: int
) -> None:
    """Also the last one without a line feed, behind which no more is read."""
    source, destination = file_with(tmp_path / "f", content), Destination()
    asyncio.get_running_loop().call_later((taken - 0.5) * 0.5, interrupt)
    end, account = await carry_out(Job(RECIPE, source=source, rate_per_second=2.0), destination)
    assert (end.finished, account.last_line) == (False, taken)
    assert destination.sent == content.split()[:taken]
    os.close(source.descriptor)


async def test_a_signal_is_the_end_of_an_endless_run_and_cuts_a_counted_one() -> None:
    """Nothing is left over: texts can be repeated."""
    for count, finished in ((None, True), (100, False)):
        destination = Destination(before=lambda sent: interrupt() if sent == 2 else None)
        job = Job(RECIPE, lines(b"a"), in_turn=True, count=count, rate_per_second=50.0)
        end, account = await carry_out(job, destination)
        assert (end.finished, account.unsent, len(destination.sent)) == (finished, 0, 3)


@pytest.mark.parametrize("moment", range(8))
async def test_interrupted_at_any_moment_every_line_is_somewhere(tmp_path: Path, moment: int) -> None:
    """Acknowledged, in the file, or still in the pipe; the file and then the pipe are what was not acknowledged."""
    reading, writing = os.pipe()
    source, written = Input("a pipe", reading, again=False), bytearray()

    def act(sent: int) -> None:
        if sent == moment:
            interrupt()
        piece = b"line %d\nbeginning" % sent if sent % 3 else b" of line %d\n" % sent
        os.write(writing, piece)
        written.extend(piece)

    os.write(writing, b"first\nsecond")
    written.extend(b"first\nsecond")
    destination = Destination(before=act)
    if moment == 7:
        asyncio.get_running_loop().call_later(0.2, interrupt)
    with UndeliveredFile(tmp_path / "left") as file:
        await carry_out(Job(RECIPE, source=source), destination, Account(file))
    os.close(writing)
    left = (tmp_path / "left").read_bytes() if (tmp_path / "left").exists() else b""
    rest = os.read(reading, 100_000)
    assert b"".join(line + b"\n" for line in destination.sent) + left + rest == bytes(written)
    os.close(reading)


def interrupt_twice() -> None:
    """Ctrl-C, and again when the run waits for what will never come."""
    loop = asyncio.get_running_loop()
    for seconds in (0.2, 0.4):
        loop.call_later(seconds, interrupt)


async def test_the_beginning_of_a_line_comes_last(tmp_path: Path) -> None:
    """What is given up at the end would otherwise be written behind it, as one line with it."""
    reading, writing = os.pipe()
    os.write(writing, b"one\ntwo\nthr")
    interrupt_twice()
    with UndeliveredFile(tmp_path / "left") as file:
        await carry_out(Job(RECIPE, source=Input("a pipe", reading, again=False)), Silent(), Account(file))
    assert (tmp_path / "left").read_bytes() == b"one\ntwo\nthr"
    os.close(writing)
    os.close(reading)


async def test_all_arguments_are_somewhere(tmp_path: Path) -> None:
    """Also those behind the one for which there was no room."""
    interrupt_twice()
    with UndeliveredFile(tmp_path / "left") as file:
        _, account = await carry_out(Job(RECIPE, lines(*b"abcdefgh".split(b"x"))), Silent(), Account(file))
    assert (tmp_path / "left").read_bytes() == b"abcdefgh\n"
    (tmp_path / "left").unlink()
    interrupt_twice()
    with UndeliveredFile(tmp_path / "left") as file:
        _, account = await carry_out(Job(RECIPE, lines(b"a", b"b", b"c", b"d", b"e")), Silent(room=2), Account(file))
    assert (account.failed, account.unsent) == (2, 3)
    assert sorted((tmp_path / "left").read_bytes().split()) == [b"a", b"b", b"c", b"d", b"e"]


async def test_lines_beyond_the_count_are_kept(tmp_path: Path) -> None:
    """A pipe has given them; they are nobody's failure."""
    source = pipe_with(b"a\nb\nc\nd")
    with UndeliveredFile(tmp_path / "left") as file:
        end, account = await carry_out(Job(RECIPE, source=source, count=1), Destination(), Account(file))
    assert (end.finished, account.unsent, (tmp_path / "left").read_bytes()) == (True, 0, b"b\nc\nd")
    os.close(source.descriptor)


async def test_two_signals_at_once_lose_no_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the moment at which it has been read, and nobody has it yet; each of its lines is counted."""
    source, read = pipe_with(b"one\ntwo\nthr"), os.read

    def read_and_interrupt(descriptor: int, size: int) -> bytes:
        chunk = read(descriptor, size)
        if descriptor == source.descriptor:
            interrupt()
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
        return chunk

    monkeypatch.setattr("os.read", read_and_interrupt)
    with UndeliveredFile(tmp_path / "left") as file:
        _, account = await carry_out(Job(RECIPE, source=source), Silent(), Account(file))
    monkeypatch.undo()
    assert (tmp_path / "left").read_bytes() == b"one\ntwo\nthr"
    assert (account.failed + account.unsent, file.lines) == (2, 3)
    os.close(source.descriptor)


async def test_a_full_disk_ends_the_run() -> None:
    """What is read on would be lost."""
    source = pipe_with(b"invalid\n" * 5 + b"a\n")
    destination, file = Destination(), UndeliveredFile(Path("/dev/full"))
    end, account = await carry_out(Job(RECIPE, source=source), destination, Account(file))
    assert (destination.sent, end.finished, account.invalid, account.last_line) == ([], False, 1, 1)
    file._file.close()
    os.close(source.descriptor)


async def test_invalid_lines_take_no_turn() -> None:
    """The rate is that of messages."""
    texts = [line for _ in range(20) for line in lines(b"invalid", b"a")]
    started = time.monotonic()
    await carry_out(Job(RECIPE, texts, rate_per_second=50.0), Destination())
    assert 19 / 50 - 0.01 <= time.monotonic() - started < 39 / 50


async def test_a_closed_terminal_is_a_signal() -> None:
    """SIGHUP, as when a connection is lost: the account is told."""
    destination = Destination(before=lambda _: os.kill(os.getpid(), signal.SIGHUP))
    end, account = await carry_out(Job(RECIPE, lines(b"a"), in_turn=True, rate_per_second=1.0), destination)
    assert (end.stopped_by, account.acknowledged) == (signal.SIGHUP, 1)
