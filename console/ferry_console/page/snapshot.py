"""What the page shows of a group at one look, as one JSON object."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ferry_console.status.document import document
from ferry_console.status.text import in_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ferry_console.page.failures import TaskFailures
    from ferry_console.page.progress import Sample
    from ferry_console.status.group_status import GroupStatus

#: Of more partitions those in trouble and the busiest are shown.
MOST_PARTITIONS = 200


def snapshot(
    status: GroupStatus,
    sample: Sample,
    oldest: dict[str, Any],
    failures: Sequence[TaskFailures],
    old_after_seconds: float,
) -> dict[str, Any]:
    """The whole look; `oldest` is the document of what is in flight longest."""
    whole = document(status, old_after_seconds)
    shown = in_order(status.partitions)[:MOST_PARTITIONS]
    rows = document(replace(status, partitions=tuple(shown)), old_after_seconds)["partitions"]
    return {
        "status": whole | {"partitions": rows},
        "partitions_left_out": len(status.partitions) - len(shown),
        "sample": asdict(sample),
        "oldest": oldest,
        "failures": [asdict(one) for one in failures],
    }
