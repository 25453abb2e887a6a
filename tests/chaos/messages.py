"""What is sent: a stream of small messages that a seed determines, a known share of them unusual. Pure."""

from __future__ import annotations

import random
import re
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Behaviour(StrEnum):
    """What becomes of a message when its task runs."""

    ORDINARY = "ordinary"
    INVALID = "invalid"
    RETRIES = "retries"
    RAISES = "raises"
    SLOW = "slow"
    EXITS = "exits"
    HANGS = "hangs"


#: How many of 10,000; the rest is ordinary. `EXITS` and `HANGS` do so at their first run.
SHARES: Mapping[Behaviour, int] = {
    Behaviour.INVALID: 100,
    Behaviour.RETRIES: 100,
    Behaviour.RAISES: 50,
    Behaviour.SLOW: 5,
    Behaviour.EXITS: 2,
    Behaviour.HANGS: 1,
}
#: For runs that watch processes from beginning to end.
CALM_SHARES: Mapping[Behaviour, int] = {
    behaviour: share for behaviour, share in SHARES.items() if behaviour not in {Behaviour.EXITS, Behaviour.HANGS}
}
_OF = 10_000
#: What no schema of the task takes; Ferry must carry each into the dead-letter topic as it is.
_BROKEN = ("%d is no JSON", '{"serial": %d}', '{"serial": %d, "behaviour": "ordinary", "serial": "x"}', "[%d]")


_VALID = re.compile(rb'\{"serial": (\d+), "behaviour": "[a-z]+"\}')


class ChaosMessage(BaseModel):
    """A message of the load; `serial` counts from 0."""

    serial: int
    behaviour: Behaviour


def payloads(seed: int, shares: Mapping[Behaviour, int] = SHARES) -> Iterator[bytes]:
    """Endless: message 0, 1, 2 and so on."""
    chance = random.Random(f"messages of {seed}")
    behaviours = [behaviour for behaviour, share in shares.items() for _ in range(share)]
    serial = 0
    while True:
        drawn = chance.randrange(_OF)
        behaviour = behaviours[drawn] if drawn < len(behaviours) else Behaviour.ORDINARY
        yield payload(serial, behaviour)
        serial += 1


def payload(serial: int, behaviour: Behaviour) -> bytes:
    """One message as it is sent."""
    if behaviour is Behaviour.INVALID:
        return (_BROKEN[serial % len(_BROKEN)] % serial).encode()
    return b'{"serial": %d, "behaviour": "%s"}' % (serial, behaviour.encode())


def behaviour_of(value: bytes) -> Behaviour:
    """What a message that was read back is: whatever isn't one of ours is invalid."""
    for behaviour in Behaviour:
        if value.endswith(b'"behaviour": "%s"}' % behaviour.encode()):
            return behaviour
    return Behaviour.INVALID


def serial_of(value: bytes) -> int | None:
    """The serial of a message that was read back; None where it is invalid."""
    match = _VALID.fullmatch(value)
    return int(match[1]) if match else None
