"""What the harness knows of runs that never were, for the oracles' tests."""

from tests.chaos.drain import Drained
from tests.chaos.effects import Effect
from tests.chaos.ferry_counts import FerryCounts, LedgerCount
from tests.chaos.injection import FaultRecord
from tests.chaos.load import Sent
from tests.chaos.oracle.remains import must_remain
from tests.chaos.outcome import Run
from tests.chaos.ticks import SENDING, Tick

LOAD_ENDED, DRAINED_AT = 200.0, 210.0
#: No lines; and ledgers that have counted more than enough.
NO_COUNTS = FerryCounts((), (), (), {0: LedgerCount(1_000, 1_000)})


def fault(
    number: int,
    kind: str,
    at: float = 50.0,
    *,
    target: str = "worker-a",
    seconds: float = 1.0,
    proven: bool = True,
    in_flight: int = 200,
    killed: str = "",
    effects: tuple[Effect, ...] = (),
    limit: float = 100.0,
) -> FaultRecord:
    """A fault of the record."""
    return FaultRecord(
        number, kind, target, killed, at, at + seconds, in_flight, proven, "seen", effects, recovery_limit=limit
    )


def sent(messages: int) -> Sent:
    """A load that arrived."""
    return Sent(messages, messages, messages, (), LOAD_ENDED)


def ticks(start: float = 0.0, end: float = DRAINED_AT, interval: float = 5.0) -> tuple[Tick, ...]:
    """A schedule that is kept."""
    count = int((end - start) // interval)
    return tuple(Tick(SENDING, start + number * interval, f"tick-{number}", 40) for number in range(count + 1))


GOOD_RUN = Run(
    load=sent(200),
    faults=(fault(1, "a"), fault(2, "b")),
    unexpected_exits=(),
    stops=(),
    drained=Drained(10.0, 600.0, "", DRAINED_AT),
    partitions=1,
    keys_left=tuple(must_remain(1)),
    servers_started=("first",),
    servers_observed=("first",),
    ticks=ticks(),
    counts=NO_COUNTS,
    harness_cpu_seconds=0.0,
)
