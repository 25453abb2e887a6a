"""What was not acknowledged is kept, line by line."""

from __future__ import annotations

import fcntl
import os
import resource
import time
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from ferry_producer import undelivered
from ferry_producer.undelivered import UndeliveredFile
from ferry_shared.errors import ConfigurationError


def test_lines_are_there_at_once(tmp_path: Path) -> None:
    """Also before it is closed; a beginning has no end."""
    path = tmp_path / "left"
    with UndeliveredFile(path) as file:
        file.add(b"one")
        file.add(b"two")
        assert path.read_bytes() == b"one\ntwo\n"
        file.add(b"thr", end=b"")
    assert (path.read_bytes(), file.lines, file.failed) == (b"one\ntwo\nthr", 3, 0)


def test_an_empty_file_does_not_stay(tmp_path: Path) -> None:
    """Its being there says that something is left."""
    with UndeliveredFile(tmp_path / "left"):
        assert (tmp_path / "left").exists()
    assert not (tmp_path / "left").exists()


def test_what_an_earlier_run_left_is_not_mixed_up(tmp_path: Path) -> None:
    """Nor is the input itself overwritten."""
    (tmp_path / "left").write_bytes(b"one\n")
    with pytest.raises(ConfigurationError, match="exists and isn't empty; send it first, or name another"):
        UndeliveredFile(tmp_path / "left")
    assert (tmp_path / "left").read_bytes() == b"one\n"


def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigurationError, match="can't be written: No such file or directory"):
        UndeliveredFile(tmp_path / "missing" / "left")


def test_what_was_there_before_stays(tmp_path: Path) -> None:
    """A device, a link, an empty file: only what this run has made goes when it is empty."""
    empty, link = tmp_path / "empty", tmp_path / "link"
    empty.touch()
    link.symlink_to(empty)
    for path in (Path("/dev/null"), empty, link):
        with UndeliveredFile(path):
            pass
        assert path.exists()
    assert link.is_symlink()


def test_two_runs_do_not_share_a_file(tmp_path: Path) -> None:
    """The one that ends would take it away from the other."""
    with UndeliveredFile(tmp_path / "left"), pytest.raises(ConfigurationError, match="another run writes to"):
        UndeliveredFile(tmp_path / "left")


def test_a_file_that_another_run_takes_away_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one ends between our opening and our lock: what we opened is in no folder any more."""
    path, lock, other = tmp_path / "left", fcntl.flock, UndeliveredFile(tmp_path / "left")

    def other_ends_first(*arguments: Any) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        other.__exit__(None, None, None)
        lock(*arguments)

    monkeypatch.setattr(fcntl, "flock", other_ends_first)
    with UndeliveredFile(path) as file:
        file.add(b"one")
    assert path.read_bytes() == b"one\n"


def test_a_file_that_is_taken_away_and_made_by_a_third_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path has an owner again."""
    path, lock, other = tmp_path / "left", fcntl.flock, UndeliveredFile(tmp_path / "left")

    def third_run_is_faster(*arguments: Any) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        other.__exit__(None, None, None)
        third.append(UndeliveredFile(path))
        lock(*arguments)

    third: list[UndeliveredFile] = []
    monkeypatch.setattr(fcntl, "flock", third_run_is_faster)
    with pytest.raises(ConfigurationError, match="another run writes to"):
        UndeliveredFile(path)
    third[0].__exit__(None, None, None)
    assert not path.exists()


def test_a_pipe_that_nobody_reads_is_told(tmp_path: Path) -> None:
    """Instead of waiting for its reader."""
    os.mkfifo(tmp_path / "left")
    with pytest.raises(ConfigurationError, match="can't be written: No such device or address"):
        UndeliveredFile(tmp_path / "left")


def test_a_full_disk_is_told_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Once; each line that is in no file is counted."""
    file = UndeliveredFile(Path("/dev/full"))
    file.add(b"one")
    file.add(b"two")
    assert (file.lines, file.failed) == (0, 2)
    assert caplog.text.count("/dev/full can't be written: No space left on device") == 1
    file._file.close()


def test_a_line_that_fits_only_in_part_is_not_there(tmp_path: Path) -> None:
    """A disk that is full: the next line, for which there is room, isn't its end."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    long = b"1" * (1 << 20)
    with UndeliveredFile(tmp_path / "left") as file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(long) + 8, limit[1]))
        try:
            added = [file.add(content) for content in (long, b"12345678", b"two")]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert added == [True, False, True]
    assert (tmp_path / "left").read_bytes() == long + b"\ntwo\n"


class SlowReader(Thread):
    """Opens a FIFO at once and reads it after some seconds, to its end."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__()
        os.mkfifo(path)
        self._pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._seconds = seconds
        self.content = b""
        self.start()

    def run(self) -> None:
        """Wait, and read."""
        time.sleep(self._seconds)
        os.set_blocking(self._pipe, True)
        while piece := os.read(self._pipe, 65_536):
            self.content += piece
        os.close(self._pipe)


def test_a_slow_reader_of_a_pipe_is_waited_for(tmp_path: Path) -> None:
    """More than the pipe holds, and a line longer than that; each is whole."""
    lines = [*(b"%0100d" % number for number in range(2_000)), b"x" * 300_000, b"last"]
    reader = SlowReader(tmp_path / "left", 0.3)
    with UndeliveredFile(tmp_path / "left") as file:
        added = [file.add(line) for line in lines]
    reader.join()
    assert added == [True] * len(lines)
    assert reader.content.splitlines() == lines


def test_a_pipe_that_is_read_no_more_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has of a line is its end: no other line follows, also when there is room again."""
    monkeypatch.setattr(undelivered, "MOST_WAIT_SECONDS", 0.05)
    reader = SlowReader(tmp_path / "left", 1.0)
    started = time.monotonic()
    with UndeliveredFile(tmp_path / "left") as file:
        added = [file.add(line) for line in (b"one", b"x" * 300_000, *[b"two"] * 50)]
        assert time.monotonic() - started < 1.0
        time.sleep(1.2)
        added.append(file.add(b"three"))
    reader.join()
    assert added == [True, *[False] * 52]
    assert file.failed == 52
    assert reader.content.startswith(b"one\nxxx")
    assert reader.content.count(b"\n") == 1
