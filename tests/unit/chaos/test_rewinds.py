"""An operator's rewind must be seen."""

from tests.chaos.effects import Part, Rewound
from tests.chaos.messages import Behaviour
from tests.chaos.monitor_lines import Cause
from tests.chaos.oracle.rewinds import unheeded_rewinds
from tests.unit.chaos.story import Story

REWOUND = Rewound(3, Part.KAFKA, 50.0, 51.0, offsets={0: 4})


def rewound_story(again: tuple[int, ...]) -> Story:
    """Offsets 0 to 9 in partition 0, dispatched once; rewound to 4; those in `again` are dispatched again."""
    story = Story(log={f"chaos-0-{offset}": Behaviour.ORDINARY for offset in range(10)}).when(REWOUND)
    for offset in range(10):
        story.push(10.0, task_id=f"chaos-0-{offset}")
    for offset in again:
        story.push(60.0, task_id=f"chaos-0-{offset}", copy="2.1.1")
    return story


def test_everything_above_the_target_comes_again() -> None:
    """Nothing below it needs to."""
    assert list(unheeded_rewinds(rewound_story((4, 5, 6, 7, 8, 9)).evidence)) == []


def test_what_does_not_come_again_fails_the_run() -> None:
    """All of it, or one."""
    (problem,) = unheeded_rewinds(rewound_story(()).evidence)
    assert problem.startswith("fault 3: partition 0 was rewound to 4, and 6 messages were not dispatched again: ")
    (problem,) = unheeded_rewinds(rewound_story((4, 5, 6, 8, 9)).evidence)
    assert problem.endswith("1 messages were not dispatched again: chaos-0-7")


def test_only_a_dispatch_counts() -> None:
    """A copy that is handed back is none."""
    story = rewound_story((4, 5, 6, 7, 8)).push(60.0, Cause.TRANSPORT, task_id="chaos-0-9")

    assert len(list(unheeded_rewinds(story.evidence))) == 1


def test_what_had_not_been_dispatched_before_is_not_again() -> None:
    """Above the former position; an invalid message never is; other partitions were left alone."""
    story = rewound_story((4, 5, 6, 8, 9))
    story.log |= {"chaos-0-10": Behaviour.ORDINARY, "chaos-0-7": Behaviour.INVALID, "chaos-1-8": Behaviour.ORDINARY}
    story.push(10.0, task_id="chaos-1-8")

    assert list(unheeded_rewinds(story.evidence)) == []
