"""Did the observer see everything? Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos.oracle.sentences import some

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
    copies = len(whole.evidence.pushes)
    if len(whole.inferred) * 1000 > copies * MOST_INFERRED_OF_1000:
        ids = [push.task_id for push in whole.inferred]
        yield (
            f"{len(ids)} of {copies} copies are only inferred, expected {MOST_INFERRED_OF_1000} of 1,000 at most: "
            f"{some(ids)}"
        )
    started, observed = list(run.servers_started), list(run.servers_observed)
    if started != observed or len(set(started)) != len(started):
        yield (
            f"Valkey was started {len(started)} times and observed {len(observed)} times, "
            f"as {some(started)} and {some(observed)}: expected the same run ids, once each"
        )
