"""`python -m tests.chaos.judge_again FOLDER`: what the present rules say of the repetitions of a run that is over."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from tests.chaos.kept import read_evidence
from tests.chaos.limits import Limits
from tests.chaos.oracle.blind_moments import completed
from tests.chaos.oracle.repeats import find_repeats


def main(directory: Path) -> int:
    """Print how often each cause was found, and every unexplained id; returns 1 if there is one."""
    whole = completed(read_evidence(directory))
    repeats = [repeat for found in find_repeats(whole.evidence, Limits()).by_name.values() for repeat in found]
    for (what, cause), count in Counter((repeat.what, repeat.cause) for repeat in repeats).most_common():
        print(f"{count:7}  {what}: {cause}")
    unexplained = [repeat for repeat in repeats if repeat.explanation is None]
    for repeat in unexplained:
        print(f"unexplained: {repeat.what} {repeat.task_id} at {repeat.at:.6f}")
    print(f"never seen queued: {', '.join(whole.unseen) or 'none'}")
    return 1 if unexplained or whole.unseen else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
