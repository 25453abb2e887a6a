"""The kinds of faults: what each does, what it needs for itself meanwhile, how often it comes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Resource(StrEnum):
    """What a fault needs for itself: two faults overlap only if they need different ones."""

    CONSUMER_A = "consumer-a"
    CONSUMER_B = "consumer-b"
    CONSUMER_C = "consumer-c"
    WORKER_A = "worker-a"
    WORKER_B = "worker-b"
    BEAT_A = "beat-a"
    BEAT_B = "beat-b"
    VALKEY = "valkey"
    KAFKA = "kafka"
    NETWORK = "network"


R = Resource
CONSUMERS = (R.CONSUMER_A, R.CONSUMER_B, R.CONSUMER_C)
ALONE_A, ALONE_B = (R.CONSUMER_A,), (R.CONSUMER_B,)
WORKERS = ((R.WORKER_A,), (R.WORKER_B,))
BEATS = ((R.BEAT_A,), (R.BEAT_B,))


#: What a busy machine of two cores may take on top of what a recovery should take.
SLACK_SECONDS = 10.0
#: Clients that wait longer from try to try, up to half a minute, have found a server again by then.
LONGEST_RECOVERY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault.

    `targets` are the alternatives of what it needs, taken in turn; the first resource of one is its target. It lasts
    `shortest` to `longest` seconds (0: a moment) and then needs `settle` seconds until its proof is complete. `count`
    is how often it comes in a full run. `killed` names the process that it kills with SIGKILL, if any. Within
    `recovery` seconds after it has healed the next task must be done, as long as no other fault is in the way.
    """

    name: str
    targets: tuple[tuple[Resource, ...], ...]
    count: int
    settle: float
    shortest: float = 0.0
    longest: float = 0.0
    killed: str = ""
    recovery: float = LONGEST_RECOVERY_SECONDS


MOST_OF_A_KIND = 5
KILLED_PROCESSES = ("consumer", "worker", "worker child", "beat", "valkey", "kafka")


def _quickly(seconds: float) -> float:
    return seconds + SLACK_SECONDS


#: Session timeout 6 s, hard limit 5 s, visibility timeout 15 s: what "beyond" is measured by (see `settings`).
KINDS = (
    Kind("consumer with an instance id killed", (ALONE_A,), 3, settle=6, killed="consumer", recovery=_quickly(3)),
    Kind("consumer without an instance id killed", (ALONE_B,), 3, settle=10, killed="consumer", recovery=_quickly(12)),
    Kind(
        "consumer held beyond its session",
        (ALONE_A, ALONE_B),
        2,
        settle=4,
        shortest=8,
        longest=11,
        recovery=_quickly(12),
    ),
    Kind("consumer joins and leaves", ((R.CONSUMER_C,),), 2, settle=6, shortest=8, longest=12, recovery=_quickly(12)),
    Kind("worker killed, its children orphaned", WORKERS, 3, settle=8, killed="worker", recovery=_quickly(3)),
    Kind("worker killed with its children", WORKERS, 2, settle=8, killed="worker", recovery=_quickly(3)),
    Kind(
        "worker held beyond the visibility timeout", WORKERS, 1, settle=4, shortest=22, longest=25, recovery=_quickly(3)
    ),
    Kind("worker restarted", WORKERS, 2, settle=10, recovery=_quickly(3)),
    Kind("worker child killed", WORKERS, 3, settle=3, killed="worker child", recovery=_quickly(3)),
    Kind("worker child held beyond its hard limit", WORKERS, 2, settle=4, shortest=8, longest=10, recovery=_quickly(3)),
    Kind("beat killed", BEATS, 3, settle=5, killed="beat", recovery=_quickly(1)),
    Kind("beat held", BEATS, 1, settle=3, shortest=6, longest=12, recovery=_quickly(1)),
    Kind("Valkey killed, append-only file kept", ((R.VALKEY,),), 3, settle=5, killed="valkey"),
    Kind("Valkey killed, data gone", ((R.VALKEY,),), 2, settle=6, killed="valkey"),
    Kind("Valkey held", ((R.VALKEY,),), 2, settle=4, shortest=3, longest=9),
    Kind("Valkey away", ((R.VALKEY,),), 1, settle=5, shortest=20, longest=45),
    Kind("Valkey restored from an older snapshot", ((R.VALKEY,),), 2, settle=5, shortest=3, longest=8),
    Kind("FLUSHALL", ((R.VALKEY,),), 2, settle=5),
    Kind("Valkey out of memory", ((R.VALKEY,),), 1, settle=4, shortest=4, longest=8),
    Kind("key evicted", ((R.VALKEY,),), 2, settle=4, recovery=_quickly(3)),
    # The proof of these two begins with an answer, and Valkey has to give it.
    Kind(
        "replies to the consumers delayed",
        ((R.NETWORK, R.VALKEY),),
        1,
        settle=2,
        shortest=5,
        longest=10,
        recovery=_quickly(3),
    ),
    Kind("packets of the consumers dropped", ((R.NETWORK, R.VALKEY),), 1, settle=4, shortest=5, longest=10),
    Kind("reply to a script cut", ((R.NETWORK, R.VALKEY),), 3, settle=5),
    Kind("Kafka killed", ((R.KAFKA,),), 3, settle=8, killed="kafka"),
    Kind("Kafka held", ((R.KAFKA,),), 1, settle=5, shortest=7, longest=10),
    Kind("Kafka away", ((R.KAFKA,),), 1, settle=8, shortest=20, longest=45),
    Kind("group rewound by an operator", ((*CONSUMERS, R.KAFKA),), 1, settle=18),
    Kind("partitions added", ((R.KAFKA,),), 2, settle=5, recovery=_quickly(3)),
)
