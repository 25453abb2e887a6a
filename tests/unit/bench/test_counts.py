"""What is counted from outside: work, tallies, lines of logs."""

import json
import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import tally
from bench.log_count import LogCount
from bench.work import MESSAGE_BYTES, TEXT_BEGINNING, value_of, write_lines


@given(st.integers(0, 10**9), st.floats(0, 1e10))
def test_each_message_has_its_size_and_three_fields(number: int, sent: float) -> None:
    """Whatever stands in it."""
    value = value_of(number, sent)

    assert len(value) == MESSAGE_BYTES
    fields = json.loads(value)
    assert (fields["number"], fields["sent"], len(fields)) == (number, sent, 3)
    assert fields["text"].startswith(TEXT_BEGINNING.decode())


def test_a_file_has_one_message_a_line(tmp_path: Path) -> None:
    """As many as were asked for."""
    write_lines(tmp_path / "lines", 7)

    lines = (tmp_path / "lines").read_bytes().splitlines()
    assert [json.loads(line)["number"] for line in lines] == list(range(7))


def _count_up(times: int) -> None:
    for _ in range(times):
        tally.add(1)


def test_processes_count_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forked after their parent has counted, they lose nothing of each other's."""
    monkeypatch.setenv(tally.FOLDER_VARIABLE, str(tmp_path))
    tally._cell.cache_clear()
    tally.add(5)
    forked = multiprocessing.get_context("fork")
    processes = [forked.Process(target=_count_up, args=(times,)) for times in (1_000, 300)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert tally.total(tmp_path) == 1_305
    assert len(list(tmp_path.iterdir())) == 3
    tally._cell.cache_clear()


def test_an_empty_folder_counts_nothing(tmp_path: Path) -> None:
    """Before the first process has begun; a file without its eight bytes is nothing yet, too."""
    assert tally.total(tmp_path) == 0
    (tmp_path / "1").touch()
    assert tally.total(tmp_path) == 0


@given(st.lists(st.lists(st.sampled_from([b"MARK", b"MA", b"RK", b"\n", b"x"])).map(b"".join), max_size=30))
def test_lines_are_counted_in_whatever_pieces_they_come(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    """A line with the marker counts once, when it is complete."""
    path = tmp_path_factory.mktemp("log") / "log"
    path.touch()
    count = LogCount(path, b"MARK")

    for piece in pieces:
        with path.open("ab") as file:
            file.write(piece)
        whole = path.read_bytes().rpartition(b"\n")[0]
        assert count() == sum(b"MARK" in line for line in whole.split(b"\n"))
