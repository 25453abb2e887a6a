"""Where a partition is taken up: one test a case of the specification."""

from dataclasses import replace

import pytest

from ferry_consumer.commit import Signature
from ferry_consumer.resume import Committed, Facts, Reason, is_signed, plan
from ferry_shared.errors import ConfigurationError
from ferry_shared.ledger.consumer_ledger import Condition, Head, Inspection

NO_LEDGER = Inspection(Condition.ABSENT, 0, None)
FRESH = Facts(None, NO_LEDGER, "cluster", "topic-id", 0, 100, "earliest", topic_known=False, epoch_in_memory=0)


def ledger(
    position: int, committed: int, epoch: int = 3, topic_id: str = "topic-id", cluster: str = "cluster"
) -> Inspection:
    """A sound ledger."""
    fields = {
        "format": "1", "ledger": "kept", "epoch": str(epoch), "position": str(position), "committed": str(committed),
        "cluster_id": cluster, "topic_id": topic_id,
    }  # fmt: skip
    return Inspection(Condition.SOUND, 0, Head.of(fields))


def signed(offset: int, epoch: int = 2, topic_id: str = "topic-id", ledger_id: str = "kept") -> Committed:
    """A commit of ours."""
    return Committed(offset, str(Signature(ledger_id, topic_id, epoch)))


def test_a_fresh_group_starts_where_the_setting_says() -> None:
    """Earliest is the log's start, latest its end."""
    assert (plan(replace(FRESH, log_start=7)).position, plan(FRESH).reason) == (7, Reason.FRESH)
    assert plan(replace(FRESH, offset_reset="latest")).position == 100


def test_a_partition_added_to_a_known_topic_starts_at_its_beginning() -> None:
    """Latest must not skip what came in before the group saw the new partition."""
    assert plan(replace(FRESH, offset_reset="latest", topic_known=True)).position == 0


def test_a_fresh_start_is_a_new_ledger_whose_start_counts_as_committed() -> None:
    """The resolved start is written at once."""
    wanted = plan(replace(FRESH, offset_reset="latest"))
    assert (wanted.ledger, wanted.drop, wanted.committed) == (None, True, 100)


def test_a_ledger_continues_at_its_position() -> None:
    """The committed offset is lower while tasks are in flight; they are not dispatched again."""
    wanted = plan(replace(FRESH, committed=signed(20), ledger=ledger(50, 20)))
    assert (wanted.reason, wanted.position, wanted.committed) == (Reason.CONTINUED, 50, 20)
    assert (wanted.ledger, wanted.drop) == ("kept", False)


def test_a_ledger_from_an_older_snapshot_starts_at_the_commit() -> None:
    """Redis went back in time: what Kafka has committed is done."""
    wanted = plan(replace(FRESH, committed=signed(60, epoch=3), ledger=ledger(50, 20, epoch=3)))
    assert (wanted.position, wanted.committed, wanted.drop) == (60, 60, False)


def test_a_ledger_from_before_the_acquisition_that_signed_the_commit_is_lost() -> None:
    """That acquisition may have been a rewind below the old position: continued there, it would be undone."""
    wanted = plan(replace(FRESH, committed=signed(5, epoch=4), ledger=ledger(50, 20, epoch=3)))
    assert (wanted.reason, wanted.position, wanted.committed) == (Reason.LEDGER_LOST, 5, 5)
    assert (wanted.ledger, wanted.drop, wanted.epoch_floor) == (None, True, 4)


def test_a_ledger_of_the_topic_before_that_redis_has_brought_back_counts_for_nothing() -> None:
    """The commit says which topic is meant; it must not begin anew."""
    wanted = plan(replace(FRESH, committed=signed(7, epoch=4), ledger=ledger(50, 20, epoch=3, topic_id="before")))
    assert (wanted.reason, wanted.position) == (Reason.LEDGER_LOST, 7)


@pytest.mark.parametrize("topic_id", ["topic-id", "before"])
def test_a_lower_start_that_was_not_signed_any_more_stands(topic_id: str) -> None:
    """A truncation or a new topic was found and written into the ledger, then the consumer died; the log has grown."""
    wanted = plan(replace(FRESH, committed=signed(60, epoch=2, topic_id=topic_id), ledger=ledger(30, 25, epoch=3)))
    assert (wanted.reason, wanted.position, wanted.committed) == (Reason.CONTINUED, 30, 25)
    assert not is_signed(signed(60, epoch=2), wanted)


def test_a_commit_below_the_ledgers_stays_above() -> None:
    """Kafka accepts a lower commit of ours from a member that owned nothing: it counts for nothing."""
    wanted = plan(replace(FRESH, committed=signed(5), ledger=ledger(50, 20)))
    assert (wanted.position, wanted.committed) == (50, 20)


def test_the_ledger_wins_when_the_commit_has_expired() -> None:
    """Kafka forgets the offsets of a group that was away for long."""
    assert plan(replace(FRESH, ledger=ledger(50, 20))).position == 50


@pytest.mark.parametrize("offset", [10, 30, 90])
def test_an_operators_offset_is_honoured_exactly(offset: int) -> None:
    """Below the committed, between, above the position: every entry goes, whatever the topic id says."""
    wanted = plan(replace(FRESH, committed=Committed(offset, ""), ledger=ledger(50, 20, topic_id="older")))
    assert (wanted.reason, wanted.position, wanted.committed) == (Reason.OPERATOR, offset, offset)
    assert (wanted.drop, wanted.ledger) == (True, "kept")


def test_an_operators_offset_without_a_ledger_begins_above_all_epochs() -> None:
    """Seconds by Redis' clock: an older ledger that a snapshot brings back must not pass for the younger one."""
    facts = replace(FRESH, committed=Committed(10, ""), now_seconds=1_795_000_000)
    assert plan(facts).epoch_floor == 1_795_000_000
    assert plan(replace(facts, epoch_in_memory=1_795_000_007)).epoch_floor == 1_795_000_007
    assert (
        plan(replace(facts, ledger=ledger(50, 20))).epoch_floor
        == plan(replace(facts, now_seconds=0, ledger=ledger(50, 20))).epoch_floor
    )
    assert plan(replace(facts, committed=signed(20))).epoch_floor < 1_795_000_000


def test_a_lost_ledger_starts_at_our_commit() -> None:
    """After FLUSHALL, what was in flight runs again, under a new ledger."""
    for condition in (Condition.ABSENT, Condition.DAMAGED, Condition.WRONG_TYPE):
        head = None if condition is Condition.ABSENT else ledger(50, 20).head
        wanted = plan(replace(FRESH, committed=signed(20), ledger=Inspection(condition, 0, head)))
        assert (wanted.reason, wanted.position, wanted.ledger, wanted.drop) == (Reason.LEDGER_LOST, 20, None, True)


def test_a_recreated_topic_gets_a_new_ledger_from_its_beginning() -> None:
    """Also when it is already longer than the old position."""
    wanted = plan(replace(FRESH, committed=signed(20), ledger=ledger(50, 20, topic_id="older"), log_end=500))
    assert (wanted.reason, wanted.position, wanted.ledger, wanted.drop) == (Reason.RECREATED, 0, None, True)


def test_a_recreated_topic_is_known_by_the_commit_alone() -> None:
    """The ledger is gone, but the signature names the old topic."""
    assert plan(replace(FRESH, committed=signed(20, topic_id="older"))).reason is Reason.RECREATED


def test_another_cluster_on_the_same_keys_is_refused() -> None:
    """Offsets of one cluster mean nothing in another."""
    with pytest.raises(ConfigurationError, match="belongs to Kafka cluster other"):
        plan(replace(FRESH, ledger=ledger(50, 20, cluster="other")))


def test_a_ledger_that_names_no_cluster_may_be_of_any() -> None:
    """It was made while Kafka didn't tell its cluster's id."""
    assert plan(replace(FRESH, ledger=ledger(50, 20, cluster=""))) == plan(replace(FRESH, ledger=ledger(50, 20)))


def test_a_truncated_log_starts_at_its_end_and_drops_what_it_no_longer_has() -> None:
    """Entries at or above the end have no record any more."""
    wanted = plan(replace(FRESH, committed=signed(20), ledger=ledger(150, 120)))
    assert (wanted.position, wanted.committed, wanted.drop_from, wanted.truncated) == (100, 100, 100, 50)


def test_retention_past_the_position_is_counted() -> None:
    """The missing range was never dispatched."""
    wanted = plan(replace(FRESH, committed=signed(20), ledger=ledger(50, 20), log_start=70))
    assert (wanted.position, wanted.lost_to_retention, wanted.committed) == (70, 20, 20)


def test_an_operators_offset_outside_the_log_is_moved_into_it() -> None:
    """That is no loss: nobody asked for what is gone."""
    assert plan(replace(FRESH, committed=Committed(10, None), log_start=70)).lost_to_retention == 0
    assert plan(replace(FRESH, committed=Committed(500, None))).position == 100


def test_the_epoch_rises_above_everything_known() -> None:
    """The head, the commit's signature and this process' memory each can be the highest."""
    facts = replace(FRESH, committed=signed(20, epoch=9), ledger=ledger(50, 20, epoch=3))
    assert plan(facts).epoch_floor == 9
    assert plan(replace(facts, epoch_in_memory=12)).epoch_floor == 12
    assert plan(replace(facts, committed=signed(20, epoch=1))).epoch_floor == 3


def test_a_start_is_signed_unless_kafka_has_it_already() -> None:
    """After a truncation Kafka's commit is too high: left there, the next acquisition would skip what is new."""
    continued = plan(replace(FRESH, committed=signed(20), ledger=ledger(50, 20)))
    assert is_signed(signed(20), continued)
    assert not is_signed(None, continued)
    truncated = replace(FRESH, committed=signed(120), ledger=ledger(150, 120))
    assert not is_signed(signed(120), plan(truncated))
    operator = replace(FRESH, committed=Committed(30, ""), ledger=ledger(50, 20))
    assert not is_signed(Committed(30, ""), plan(operator))


@pytest.mark.parametrize(
    ("offset", "rewound"), [(2, 88), (90, 0), (95, 0)], ids=["below the position", "at it", "above it"]
)
def test_an_operators_rewind_is_counted(offset: int, rewound: int) -> None:
    """From the new start to the position: they are dispatched again."""
    assert plan(replace(FRESH, committed=Committed(offset, ""), ledger=ledger(90, 10))).rewound == rewound


def test_what_redis_forgot_is_counted_by_memory() -> None:
    """No head, or one from before this process' tenure: the end of what was dispatched is in memory only."""
    lost = replace(FRESH, committed=signed(20), epoch_in_memory=5, reached_in_memory=60)
    assert plan(lost).rewound == 40
    assert plan(replace(lost, ledger=ledger(30, 10, epoch=5))).rewound == 30
    assert plan(replace(lost, epoch_in_memory=0, reached_in_memory=0)).rewound == 0


def test_a_ledger_that_somebody_acquired_since_has_counted() -> None:
    """Memory from an earlier tenure would count the same offsets twice."""
    later = replace(
        FRESH, committed=signed(20), epoch_in_memory=5, reached_in_memory=60, ledger=ledger(30, 20, epoch=6)
    )
    assert plan(later).rewound == 0


def test_other_records_under_the_same_offsets_are_not_counted() -> None:
    """A topic that was created anew or truncated holds other records."""
    recreated = replace(FRESH, committed=signed(20), ledger=ledger(90, 10), topic_id="another")
    assert plan(recreated).rewound == 0
    truncated = replace(FRESH, committed=signed(20), ledger=ledger(150, 10))
    assert (plan(truncated).truncated, plan(truncated).rewound) == (50, 0)
