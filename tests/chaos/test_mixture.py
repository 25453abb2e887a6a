"""Two minutes of every kind of fault at random, for CI: once as always, once as never before."""

import secrets
from pathlib import Path

import pytest

from tests.chaos.display import Display
from tests.chaos.mixture import mixture
from tests.chaos.record import PAGE_FILE
from tests.chaos.run import Task

SECONDS, RATE = 120.0, 500
FIXED_SEED = 20_260_901

pytestmark = pytest.mark.timeout(1_800)


@pytest.mark.parametrize("seed", [FIXED_SEED, secrets.randbelow(1_000_000)], ids=["fixed seed", "fresh seed"])
def test_nothing_is_lost_and_every_repetition_explained(seed: int, tmp_path: Path) -> None:
    """12 faults in 60,000 messages; `make chaos SECONDS=120 SEED=...` repeats a run."""
    with Display() as display:
        display.tell(f"seed {seed}")
        verdict = mixture(Task("mixture", seed, SECONDS, RATE, tmp_path / "run"), display)
    print((tmp_path / "run" / PAGE_FILE).read_text())

    assert verdict.problems == ()
