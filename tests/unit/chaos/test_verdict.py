"""The verdict: a run passes only if everything holds; each check is shown to fail."""

from dataclasses import replace

import pytest

from tests.chaos.effects import Away, Effect, Forgot, Killed, Part, Rewound
from tests.chaos.ferry_counts import ProcessCount
from tests.chaos.kinds import KILLED_PROCESSES
from tests.chaos.limits import Limits
from tests.chaos.messages import Behaviour
from tests.chaos.monitor_lines import Cause
from tests.chaos.oracle.blind_moments import completed
from tests.chaos.oracle.moments import Moments
from tests.chaos.oracle.verdict import FULL, Demands, Verdict, judge
from tests.chaos.outcome import Run
from tests.chaos.services import Stop, UnexpectedExit
from tests.unit.chaos.harness import GOOD_RUN, NO_COUNTS, fault, sent
from tests.unit.chaos.story import BATCHED, TASK, Story

DEMANDS = Demands(faults=2, kinds=2, with_enough_in_flight=1, kills_of_each=0)


def good_story() -> Story:
    """200 messages, queued at 1, done at 100 and later."""
    story = Story(log={})
    for offset in range(200):
        task_id = f"chaos-0-{offset}"
        story.log[task_id] = Behaviour.ORDINARY
        story.push(1.0, task_id=task_id).run(100.0, 100.1 + offset / 1000, task_id=task_id)
    return story


def verdict(story: Story, run: Run = GOOD_RUN, demands: Demands = DEMANDS) -> Verdict:
    """Judge."""
    return judge(story.evidence, run, Limits(), demands)


def problem(story: Story, run: Run = GOOD_RUN, demands: Demands = DEMANDS) -> str:
    """The one problem."""
    (found,) = verdict(story, run, demands).problems
    return found


def test_a_good_run_passes() -> None:
    """Two faults, all done, everything seen."""
    passed = verdict(good_story())

    assert passed.passed
    assert [line.in_flight for line in passed.faults] == [200, 200]
    assert passed.faults[0].recovery_seconds == pytest.approx(49.1)


def test_a_lost_message_fails_the_run() -> None:
    """One line less in the task's file."""
    story = good_story()
    story.executions.pop(17)

    assert problem(story) == "partition 0: 1 lost: chaos-0-17"


@pytest.mark.parametrize("cause", list(Cause))
def test_a_copy_too_many_fails_the_run(cause: Cause) -> None:
    """Whoever queued it."""
    problems = verdict(good_story().push(60.0, cause, task_id="chaos-0-3")).problems

    assert problems[0].startswith(f"1 queued again ({cause}) without an explanation: chaos-0-3")


def test_a_run_too_many_fails_the_run() -> None:
    """Of a task that had ended."""
    assert "executed again (execution) without" in problem(good_story().run(150.0, 150.1, task_id="chaos-0-3"))


def test_a_dead_letter_too_many_fails_the_run() -> None:
    """Of a valid message, and a second one of an invalid one."""
    assert "ended wrongly (dead letter: poison)" in problem(good_story().dead(99.0, "poison", "chaos-0-3"))
    story = good_story().of(Behaviour.INVALID).dead(50.0).dead(60.0)
    story.executions = [run for run in story.executions if run.task_id != TASK]
    story.pushes = [push for push in story.pushes if push.task_id != TASK]
    assert "dead again" in problem(story)


def test_a_copy_that_was_never_seen_fails_the_run() -> None:
    """The observer's record has a hole."""
    story = good_story()
    story.pushes.pop(9)

    assert "never saw queued" in problem(story)


@pytest.mark.parametrize(
    "observed",
    [(), ("first",), ("first", "second", "second"), ("second", "first"), ("first", "third")],
    ids=["never", "once", "twice the same", "the wrong way round", "another"],
)
def test_each_start_of_valkey_must_be_observed_once(observed: tuple[str, ...]) -> None:
    """The same run ids, as often and in the same order."""
    run = replace(GOOD_RUN, servers_started=("first", "second"))

    assert verdict(good_story(), replace(run, servers_observed=("first", "second"))).passed
    assert "expected the same run ids" in problem(good_story(), replace(run, servers_observed=observed))


def test_a_run_id_that_comes_twice_proves_no_restart() -> None:
    """Even if it was observed twice."""
    run = replace(GOOD_RUN, servers_started=("first", "first"), servers_observed=("first", "first"))

    assert "expected the same run ids" in problem(good_story(), run)


def test_the_load_must_have_arrived() -> None:
    """All that was to be sent was sent, is in Kafka, and nothing else."""
    load = GOOD_RUN.load
    for wrong in (
        replace(load, acknowledged=199), replace(load, sent=201), replace(load, wanted=201),
        replace(load, refused=("timed out",)), sent(201),
    ):  # fmt: skip
        assert "the load itself failed" in problem(good_story(), replace(GOOD_RUN, load=wrong))


def test_a_run_needs_its_messages() -> None:
    """300,000 in a full one."""
    assert FULL.messages == 300_000
    assert verdict(good_story(), demands=replace(DEMANDS, messages=200)).passed
    assert "200 messages acknowledged, expected 201 or more" in problem(
        good_story(), demands=replace(DEMANDS, messages=201)
    )


def test_each_rule_has_its_place_in_the_verdict() -> None:
    """What each is about is tested with it; here: that it is asked at all."""
    wrong_stop = replace(GOOD_RUN, stops=(Stop("worker-a", 7, 1, 2.0),))
    wrong_exit = replace(GOOD_RUN, unexpected_exits=(UnexpectedExit("worker-a", 7, 1, 60.0, ""),))
    not_drained = replace(GOOD_RUN, drained=replace(GOOD_RUN.drained, rest="3 queued"))
    slow = replace(GOOD_RUN, faults=(fault(1, "a", limit=20.0), fault(2, "b")))
    counts = replace(
        GOOD_RUN, counts=replace(NO_COUNTS, processes=(ProcessCount("consumer-a.1.log", "retried", 1, 2),))
    )

    assert "ended with exit code 1 after SIGTERM" in problem(good_story(), wrong_stop)
    assert "ended by itself with exit code 1" in problem(good_story(), wrong_exit)
    assert "did not drain" in problem(good_story(), not_drained)
    assert "no task was done for 49.1 s" in problem(good_story(), slow)
    assert "beat never sent anything" in problem(good_story(), replace(GOOD_RUN, ticks=()))
    assert "/metrics says 1 retried" in problem(good_story(), counts)
    assert "5 messages, expected 1" in verdict(good_story().push_batch(0.5)).problems[0]
    rewound = Rewound(2, Part.KAFKA, 40.0, 41.0, offsets={0: 190})
    assert "10 messages were not dispatched again" in problem(good_story().when(rewound))


def test_what_an_outage_of_kafka_excuses_is_counted() -> None:
    """The record shows how many exits it was."""
    ended = UnexpectedExit("consumer-a", 7, 2, 60.0, "CONSUMER_INSTANCE_ID: another consumer of this group has ...")
    run = replace(GOOD_RUN, unexpected_exits=(ended,))

    excused = verdict(good_story().when(Away(1, Part.KAFKA, 50.0, 58.0)), run)
    assert (excused.passed, excused.fenced) == (True, (ended,))
    assert "ended by itself" in problem(good_story(), run)


def test_an_unproven_fault_fails_the_run() -> None:
    """And doesn't count."""
    run = replace(GOOD_RUN, faults=(*GOOD_RUN.faults, fault(3, "c", proven=False)))

    assert "fault 3 (c) is not proven" in problem(good_story(), run)


@pytest.mark.parametrize(
    ("demands", "sentence"),
    [
        (replace(DEMANDS, faults=3), "2 faults, expected 3"),
        (replace(DEMANDS, kinds=3), "2 kinds of faults, expected 3"),
        (replace(DEMANDS, with_enough_in_flight=3), "2 faults with 100 or more in flight, expected 3"),
    ],
)
def test_a_run_without_enough_faults_does_not_count(demands: Demands, sentence: str) -> None:
    """However well it went."""
    assert sentence in problem(good_story(), demands=demands)


def test_each_process_must_have_been_killed() -> None:
    """One sentence for each that wasn't."""
    demands = replace(DEMANDS, kills_of_each=1)
    kills = tuple(fault(number, name, killed=name) for number, name in enumerate(KILLED_PROCESSES))

    assert verdict(good_story(), replace(GOOD_RUN, faults=kills), demands).passed
    assert len(verdict(good_story(), replace(GOOD_RUN, faults=kills[2:]), demands).problems) == 2


def test_too_many_of_a_kind_do_not_count() -> None:
    """At most five."""
    faults = tuple(fault(number, "b" if number else "a") for number in range(7))

    assert "6 faults of the kind 'b'" in problem(good_story(), replace(GOOD_RUN, faults=faults))


def test_the_count_in_flight_is_checked_afterwards() -> None:
    """Both the count of that moment and the one from the files must be high enough."""
    early = replace(GOOD_RUN, faults=(fault(1, "a", at=0.5), fault(2, "b", at=200.0)))
    boasting = replace(GOOD_RUN, faults=(fault(1, "a", in_flight=99), fault(2, "b", in_flight=10)))

    for run in (early, boasting):
        assert "0 faults with 100 or more in flight" in problem(good_story(), run)


def test_in_flight_is_from_the_first_copy_to_the_first_end() -> None:
    """A dead letter is an end, too; a run without an end is none."""
    story = Story().push(10.0).push(20.0).run(12.0).run(30.0, 31.0)
    moments = Moments(story.evidence)
    assert [moments.in_flight(at) for at in (9.9, 10.0, 30.9, 31.0)] == [0, 1, 1, 0]
    assert Moments(story.dead(25.0).evidence).in_flight(26.0) == 0
    assert moments.recovery_seconds(11.0) == 20.0
    assert moments.recovery_seconds(31.5) is None


BLIND: list[Effect] = [
    Killed(1, Part.VALKEY, 20.0, 20.1, 5),
    Away(1, Part.VALKEY, 20.0, 22.0),
    Forgot(1, Part.VALKEY, 20.0, 22.0, since=17.0),
]


def test_what_a_killed_valkey_could_not_tell_is_inferred() -> None:
    """From its execution, as queued before the kill; only around a kill."""
    seen = Story().push(5.0).when(*BLIND)
    near, far = "chaos-0-6", "chaos-0-7"
    whole = completed(seen.run(19.5, 19.6, task_id=near).run(60.0, 60.1, task_id=far).evidence)

    assert [(push.task_id, push.at, push.cause) for push in whole.inferred] == [(near, 19.5, Cause.DISPATCH)]
    assert len(whole.unseen) == 1
    assert far in whole.unseen[0]
    assert len(whole.evidence.pushes) == 2


def test_a_batch_that_a_killed_valkey_could_not_tell_of_is_inferred_whole() -> None:
    """From the one message that ran; what leaves it later leaves a batch."""
    story = Story().push(5.0, task_id="chaos-0-0").when(*BLIND).runs_in_batch((19.5, 19.6))
    whole = completed(story.push(25.0, Cause.SPLIT, copy="1.2.1", task_id=BATCHED[1]).evidence)

    assert {push.task_id for push in whole.inferred} == set(BATCHED)
    assert {(push.at, push.cause) for push in whole.inferred} == {(19.5, Cause.DISPATCH)}
    assert [push.cause for push in whole.evidence.pushes_of[BATCHED[1]]] == [Cause.DISPATCH, Cause.SPLIT]
    alone = story.run(19.7, 19.8, copy="1.2.1", task_id=BATCHED[2]).push_batch(4.0)
    assert [push.cause for push in completed(alone.evidence).inferred] == [Cause.LEFT_BATCH]


def test_a_message_that_was_not_in_its_copy_was_never_queued() -> None:
    """The copy was seen, with other messages."""
    story = Story().push_batch(5.0)
    story.executions.append(replace(story.run(6.0, 6.1, batch=True).executions.pop(), task_id="chaos-0-77"))

    assert len(completed(story.evidence).unseen) == 1


def test_a_server_that_only_forgot_was_seen_all_the_time() -> None:
    """FLUSHALL leaves MONITOR as it is."""
    story = Story().push(5.0).run(20.0, 20.1, task_id="chaos-0-6").when(Forgot(1, Part.VALKEY, 20.0, 20.1))

    assert len(completed(story.evidence).unseen) == 1


def test_only_a_few_copies_may_be_inferred() -> None:
    """One of 1,000: of 2,000 two, not three."""
    story = Story(log={}).when(*BLIND)
    for offset in range(2_000):
        task_id = f"chaos-0-{offset}"
        story.log[task_id] = Behaviour.ORDINARY
        story.push(1.0, task_id=task_id).run(19.5, 19.6, task_id=task_id)
    run = replace(GOOD_RUN, load=sent(2_000), faults=())
    none = Demands(faults=0, kinds=0, with_enough_in_flight=0, kills_of_each=0)

    del story.pushes[:2]
    few = verdict(story, run, none)
    assert (few.passed, few.inferred) == (True, 2)
    del story.pushes[0]
    assert "3 of 2000 copies are only inferred, expected 1 of 1,000 at most" in problem(story, run, none)
