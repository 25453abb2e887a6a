"""What was missing at a first look gets its second one, wherever the first looks have come to meanwhile."""

from ferry_consumer.suspects import MAX_SUSPECTS, Suspects
from ferry_shared.ledger.redelivery import Look, Stranded


def missing(member: int, copy: int = 1) -> Stranded:
    """An entry whose message is nowhere."""
    return Stranded(str(member), "1.1", copy, b"")


def test_it_is_ripe_from_when_it_was_first_missed() -> None:
    """A later look that finds it again changes nothing, and one elsewhere doesn't forget it."""
    suspects = Suspects()
    suspects.note(Look((missing(4),), 1_000), 10.0)
    suspects.note(Look((missing(4), missing(2_000)), 0), 12.0)
    assert suspects.next == 0
    assert suspects.ripe(9.9, 10) == []
    assert suspects.ripe(10.0, 10) == [missing(4)]
    assert suspects.ripe(12.0, 10) == [missing(4), missing(2_000)]
    assert suspects.ripe(12.0, 1) == [missing(4)]


def test_the_next_copy_is_another_suspect() -> None:
    """It was queued since, so it has not been missed for long."""
    suspects = Suspects()
    suspects.note(Look((missing(4),), 0), 10.0)
    suspects.settle(missing(4))
    suspects.note(Look((missing(4, copy=2),), 0), 15.0)
    assert suspects.ripe(14.0, 10) == []


def test_memory_is_bounded() -> None:
    """While Kafka can't be read nothing new is looked for."""
    suspects = Suspects()
    suspects.note(Look(tuple(map(missing, range(MAX_SUSPECTS - 1))), 7), 0.0)
    assert not suspects.are_too_many
    suspects.note(Look((missing(MAX_SUSPECTS),), 8), 0.0)
    assert suspects.are_too_many
