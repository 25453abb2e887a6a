"""A run's folder is read back as it was written, so that the run can be judged again."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.commits import Sample, read_commits
from tests.chaos.effects import Away, Effect, Forgot, Full, Held, History, Killed, Left, Part, Rewound
from tests.chaos.evidence import DeadLetter
from tests.chaos.judge_again import main
from tests.chaos.kept import keep, keep_processes, read_effects, read_letters, read_values
from tests.chaos.messages import SHARES, Behaviour, payload, payloads, serial_of

LETTERS = [
    DeadLetter("t-0-1", 1.5, "invalid", "t-0-1", b"\xff\x00 is no JSON"),
    DeadLetter("t-0-2", 2.5, "record-gone", "t-0-3", None),
]
EFFECTS: list[Effect] = [
    Killed(1, Part.WORKER, 1.0, 2.0, 7),
    Held(2, Part.CONSUMER, 1.0, 2.0, 8),
    Left(3, Part.CONSUMER, 1.0, 2.0, 9),
    Away(4, Part.VALKEY, 1.0, 2.0),
    Full(5, Part.VALKEY, 1.0, 2.0),
    Forgot(6, Part.VALKEY, 1.0, 2.0, since=0.5, partition=3),
    Rewound(7, Part.KAFKA, 1.0, 2.0, offsets={0: 17, 2: 4}),
]


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    """Every kind of effect, values of any bytes, dead letters with and without one."""
    load = payloads(1, dict.fromkeys(SHARES, 1_000))
    values = {f"t-0-{serial}": next(load) for serial in range(200)}
    keep(tmp_path, values, LETTERS, EFFECTS)

    assert read_values(tmp_path) == values
    assert read_letters(tmp_path) == LETTERS
    assert list(read_effects(tmp_path)) == EFFECTS


def test_a_run_is_judged_again(tmp_path: Path) -> None:
    """From its folder alone; a second run without a cause fails it."""
    tag = "l/chaos-0-5/1.1.1"
    run = f"chaos-0-5\t{tag}\t5\t100\t99\n"
    keep(tmp_path, {"chaos-0-5": payload(5, Behaviour.ORDINARY)}, [], [])
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "consumer-a.1.log").write_text("")
    keep_processes(tmp_path, {"consumer-a.1.log": 50})
    (tmp_path / "commits.tsv").write_text("9.0\t0\t6\n")
    (tmp_path / "pushes.tsv").write_text(f"attached\t0.5\trun\npushed\t1.0\tdispatch\tchaos-0-5\t{tag}\n")
    executions = tmp_path / "executions.tsv"
    executions.write_text(f"started\t2.0\t{run}done\t2.1\t{run}")
    assert main(tmp_path) == 0

    executions.write_text(f"started\t2.0\t{run}done\t2.1\t{run}started\t3.0\t{run}done\t3.1\t{run}")
    assert main(tmp_path) == 1


def test_a_loss_ends_when_the_server_was_seen_started_or_emptied() -> None:
    """The last such moment within it; what only a ledger lost has none."""
    flushed, evicted = Forgot(1, Part.VALKEY, 10.0, 20.0), Forgot(2, Part.VALKEY, 10.0, 20.0, partition=1)
    away = Away(1, Part.VALKEY, 10.0, 20.0)
    history = History((flushed, evicted, away))

    assert [effect.until for effect in history.narrowed([5.0, 12.0, 14.0, 25.0]).effects] == [14.0, 20.0, 20.0]
    assert history.narrowed([5.0, 25.0]) == history


def test_a_commit_counts_from_the_answer_that_told_it() -> None:
    """By partition; before the first sample nothing is known."""
    commits = read_commits(["1.0\t0\t5\n", "2.0\t1\t50\n", "3.0\t0\t7\n"])

    assert [commits.before(0, moment) for moment in (0.9, 1.0, 2.9, 3.0)] == [
        None,
        Sample(1.0, 5),
        Sample(1.0, 5),
        Sample(3.0, 7),
    ]
    assert commits.before(2, 9.0) is None


@given(st.integers(0, 10**9), st.sampled_from(Behaviour))
def test_a_message_tells_its_serial(serial: int, behaviour: Behaviour) -> None:
    """Unless it is invalid."""
    assert serial_of(payload(serial, behaviour)) == (None if behaviour is Behaviour.INVALID else serial)
