"""A run hands lines over in portions: whatever there is room for, wherever it is interrupted, no line is lost."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferry_producer import sending
from ferry_producer.account import Account
from ferry_producer.delivery import Undelivered
from ferry_producer.input import Input, file_input
from ferry_producer.job import Job
from ferry_producer.lines import Line
from ferry_producer.messages import InvalidText
from ferry_producer.outgoing import Recipe
from ferry_producer.sending import run
from ferry_producer.undelivered import UndeliveredFile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ferry_producer.job import Offer, Told
    from ferry_producer.outgoing import Record

INVALID, REFUSED, SILENT = b"i", b"r", b"s"


@dataclass
class Room:
    """Has room for so many records at each offer, in turn; Ctrl-C comes at the offer `interrupt_at`, and once more."""

    rooms: Sequence[int]
    interrupt_at: int | None = None
    pending: int = 0
    offers: int = 0
    acknowledged: list[Line] = field(default_factory=list)

    async def open(self, told: Told, headers: Sequence[tuple[str, bytes]]) -> Offer:
        """Ready."""
        self._told, self._rooms = told, cycle(self.rooms)
        return self.offer

    def offer(self, records: Sequence[Record]) -> int:
        """Settle those there is room for."""
        if self.offers == self.interrupt_at:
            for number in (signal.SIGINT, signal.SIGTERM):
                os.kill(os.getpid(), number)
        self.offers += 1
        taken = list(islice(records, next(self._rooms)))
        for line, value, _ in taken:
            if value[:1] in {REFUSED, SILENT}:
                self._told.fail(line, Undelivered("no", refused=value[:1] == REFUSED))
            else:
                self.acknowledged.append(line)
                self._told.acknowledge([None])
        return len(taken)

    async def room(self) -> None:
        """At the next turn."""
        await asyncio.sleep(0)

    async def flush(self) -> None:
        """All is settled."""

    async def close(self, timeout_seconds: float | None = None) -> None:
        """Nothing is open."""


@dataclass
class Watched:
    """Values are the contents; remembers whatever was looked at."""

    looked_at: list[bytes] = field(default_factory=list)

    def value_of(self, content: bytes) -> bytes:
        """The content, unless it is invalid."""
        self.looked_at.append(content)
        if content.startswith(INVALID):
            raise InvalidText("no message")
        return content


CONTENTS = st.lists(st.sampled_from([b"a", b"a", b"a", b"a", INVALID, REFUSED, SILENT]), max_size=30).map(
    lambda kinds: [kind + b"%d" % number for number, kind in enumerate(kinds, 1)]
)
ROOMS = st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any)


@pytest.fixture(scope="module", autouse=True)
def small_portions() -> object:
    """A few lines make several portions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sending, "LINES_AT_ONCE", 4)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For the files of all examples."""
    return tmp_path_factory.mktemp("portions")


def opened(folder: Path, contents: list[bytes], *, pipe: bool) -> Input:
    """A pipe or a file with these lines."""
    content = b"".join(line + b"\n" for line in contents)
    if not pipe:
        (folder / "in").write_bytes(content)
        return file_input(folder / "in")
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    return Input("a pipe", reading, again=False)


def read_to_the_end(descriptor: int) -> bytes:
    """What nobody has read."""
    rest = b"".join(iter(lambda: os.read(descriptor, 65_536), b""))
    os.close(descriptor)
    return rest


@settings(max_examples=150, deadline=None)
@given(
    contents=CONTENTS,
    rooms=ROOMS,
    interrupt_at=st.none() | st.integers(0, 20),
    pipe=st.booleans(),
    count=st.none() | st.integers(1, 20),
    rate=st.sampled_from([None, 1_000_000.0]),
    stop_at_invalid=st.booleans(),
)
def test_each_line_is_in_one_place(
    folder: Path,
    contents: list[bytes],
    rooms: list[int],
    interrupt_at: int | None,
    pipe: bool,
    count: int | None,
    rate: float | None,
    stop_at_invalid: bool,
) -> None:
    """Acknowledged, in the file, or not yet read; and the counts are those of the lines."""
    source, destination, watched = opened(folder, contents, pipe=pipe), Room(rooms, interrupt_at), Watched()
    job = Job(
        Recipe(watched.value_of), source=source, count=count, rate_per_second=rate, stop_at_invalid=stop_at_invalid
    )
    with UndeliveredFile(folder / "left") as file:
        account = Account(file)
        asyncio.run(run(job, destination, account, "acknowledged"))
    left = (folder / "left").read_bytes().splitlines() if (folder / "left").exists() else []
    (folder / "left").unlink(missing_ok=True)
    rest = read_to_the_end(source.descriptor).splitlines()
    if not pipe:
        rest = contents[account.last_line :]
    acknowledged = [line.content or b"" for line in destination.acknowledged]
    assert sorted([*acknowledged, *left, *rest]) == sorted(contents)
    assert acknowledged == [line for line in contents if line in acknowledged]
    assert (account.acknowledged, account.invalid) == (len(acknowledged), _number_of(INVALID, contents, account))
    assert count is None or account.handed_over <= count
    assert set(watched.looked_at) <= set(contents[: account.last_line + sending.LINES_AT_ONCE])


def _number_of(kind: bytes, contents: list[bytes], account: Account) -> int:
    return sum(line.startswith(kind) for line in contents[: account.last_line])


async def test_silence_and_the_count_end_it_before_the_next_portion() -> None:
    """Of a portion that is on its way nothing is taken back; the next one isn't begun."""
    for contents, count, sent, last in (
        ([b"a", SILENT, b"b", b"c", b"d", b"e"], None, [b"a", b"b", b"c"], 4),
        ([b"a", b"b", INVALID, b"c", b"d", b"e"], 3, [b"a", b"b", b"c"], 4),
    ):
        destination, watched = Room([9]), Watched()
        lines = [Line(number, content) for number, content in enumerate(contents, 1)]
        account = Account()
        await run(Job(Recipe(watched.value_of), lines, count=count), destination, account, "acknowledged")
        assert [line.content for line in destination.acknowledged] == sent
        assert account.last_line == last
        assert b"e" not in watched.looked_at
