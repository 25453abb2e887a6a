"""When each entry of beat's schedule ran last: kept in Redis, and changed only by who knows the present value.

The changes are compare-and-set, so of several beats that find an entry due, exactly one gets to send it, however long
any of them was paused. Every time is the server's: beats on hosts with different clocks agree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ferry_shared.ledger.client import translated
from ferry_shared.ledger.keys import encoded, last_runs_stem

if TYPE_CHECKING:
    from collections.abc import Mapping

    import redis

MICROSECONDS = 1_000_000

# Without allow-oom: on a full Redis nothing could be queued, so no run may be recorded either.
_CLAIM = """#!lua
local name, expected, wanted = ARGV[1], ARGV[2], ARGV[3]
if redis.call('HGET', KEYS[1], name) ~= expected then
  return 0
end
redis.call('HSET', KEYS[1], name, wanted)
return 1
"""
_PUT_BACK = """#!lua
local function at_us(run)
  return tonumber(string.match(run or '', '^(%d+):') or -1)
end
for index = 1, #ARGV, 2 do
  if at_us(redis.call('HGET', KEYS[1], ARGV[index])) < at_us(ARGV[index + 1]) then
    redis.call('HSET', KEYS[1], ARGV[index], ARGV[index + 1])
  end
end
return 0
"""
_STORED = re.compile(r"(?P<at_us>[0-9]{1,16}):(?P<sender>[0-9a-z]+)", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class LastRun:
    """When an entry ran last (microseconds since 1970, the server's clock), and the random id of the beat that sent it.

    Who meets an entry for the first time records `first`: nobody has sent it, its first interval begins.
    """

    at_us: int
    sender: str = "first"

    def __str__(self) -> str:
        return f"{self.at_us}:{self.sender}"

    @classmethod
    def parse(cls, text: str) -> LastRun | None:
        """Read `at_us:sender`; None when it is something else."""
        match = _STORED.fullmatch(text)
        return cls(int(match["at_us"]), match["sender"]) if match else None


@dataclass(frozen=True, slots=True)
class Look:
    """What Redis holds, and the server's time (microseconds since 1970) when it was read."""

    now_us: int
    runs: Mapping[str, LastRun]


class LastRuns:
    """The hash `ferry:beat:<group>:<app>`: entry → last run. Each call raises `RedisUnavailable`."""

    def __init__(self, client: redis.Redis, key_prefix: str, group: str, app: str) -> None:
        """`app` is the name of the Celery app: two apps on one Redis have schedules of their own."""
        self.key = f"{last_runs_stem(key_prefix, group)}{encoded(app)}"
        self._client = client
        self._claim = client.register_script(_CLAIM)
        self._put_back = client.register_script(_PUT_BACK)

    def look(self) -> Look:
        """Read all last runs and the time in one round trip."""
        pipeline = self._client.pipeline(transaction=False)
        pipeline.hgetall(self.key)
        pipeline.time()
        with translated():
            stored, (seconds, microseconds) = pipeline.execute()
        runs = {_text(name): run for name, text in stored.items() if (run := LastRun.parse(_text(text)))}
        return Look(int(seconds) * MICROSECONDS + int(microseconds), runs)

    def claim(self, name: str, seen: LastRun, wanted: LastRun) -> bool:
        """Record a run if the last one is still `seen`; true: nobody else will send it.

        After `RedisUnavailable` it is unknown whether it is recorded; the next look tells, by the sender.
        """
        with translated():
            reply: Any = self._claim(keys=[self.key], args=[name, str(seen), str(wanted)])
        return bool(reply)

    def put_back(self, runs: Mapping[str, LastRun]) -> None:
        """Record these runs where Redis knows none, or an older one."""
        words = [word for name, run in runs.items() for word in (name, str(run))]
        with translated():
            self._put_back(keys=[self.key], args=words)

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
        self._client.close()


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
