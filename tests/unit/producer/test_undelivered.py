"""What was not acknowledged is kept, line by line."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

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
