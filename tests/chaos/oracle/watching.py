"""Did the observer see everything? Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos.oracle.sentences import some
from tests.chaos.tags import task_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.oracle.blind_moments import Completed
    from tests.chaos.outcome import Run

#: Copies that only their execution tells of, for 1,000 that were seen. A killed Valkey takes along some milliseconds of
#: what it had to tell, and of that only what workers had already taken is executed.
MOST_INFERRED_OF_1000 = 1


def holes(whole: Completed, run: Run) -> Iterator[str]:
    """Copies that were never seen, too many that are only inferred, starts of Valkey that were not watched."""
    if whole.unseen:
        yield f"{len(whole.unseen)} copies were executed that the observer never saw queued: {some(whole.unseen)}"
    # A batch is one copy: MONITOR tells of it in one line.
    copies = len({(push.tag, push.at) for push in whole.evidence.pushes})
    tags = list(dict.fromkeys(push.tag for push in whole.inferred))
    if len(tags) * 1000 > copies * MOST_INFERRED_OF_1000:
        yield (
            f"{len(tags)} of {copies} copies are only inferred, expected {MOST_INFERRED_OF_1000} of 1,000 at most: "
            f"{some([task_in(tag) for tag in tags])}"
        )
    started, observed = list(run.servers_started), list(run.servers_observed)
    if started != observed or len(set(started)) != len(started):
        yield (
            f"Valkey was started {len(started)} times and observed {len(observed)} times, "
            f"as {some(started)} and {some(observed)}: expected the same run ids, once each"
        )
