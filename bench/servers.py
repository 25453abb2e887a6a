"""A real Kafka and a real Valkey on this machine, for one measurement."""

from __future__ import annotations

import itertools
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

from bench.failures import MeasurementFailed
from ferry_console.local.kafka import LocalKafka
from ferry_console.local.valkey import LocalValkey

if TYPE_CHECKING:
    from collections.abc import Iterator

REWRITE_SECONDS = 60.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Servers:
    """Both servers, running; logs of what runs against them go to `folder`."""

    folder: Path
    kafka: LocalKafka
    valkey: LocalValkey
    client: redis.Redis
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def fresh_name(self, stem: str) -> str:
        """A name that nothing else has here: for a consumer group, a topic, a folder or a log."""
        return f"{stem}-{next(self._numbers)}"

    def fresh_folder(self, stem: str) -> Path:
        """A new and empty folder."""
        path = self.folder / self.fresh_name(stem)
        path.mkdir()
        return path

    def empty_valkey(self) -> None:
        """Leave nothing of the last round, neither in memory nor in the append-only file.

        Raises:
            MeasurementFailed: the file could not be written anew in time.
        """
        self.client.flushall()
        deadline = time.monotonic() + REWRITE_SECONDS
        self.client.bgrewriteaof()
        while self._persistence()["aof_rewrite_in_progress"] or self._persistence()["aof_rewrite_scheduled"]:
            if time.monotonic() > deadline:
                raise MeasurementFailed("Valkey did not write its append-only file anew")
            time.sleep(_POLL_SECONDS)

    def _persistence(self) -> dict[str, Any]:
        facts: Any = self.client.info("persistence")
        return dict(facts)


@contextmanager
def started_servers() -> Iterator[Servers]:
    """Start both; stop both at the end, also after an error.

    Raises:
        LocalSystemError: one of them can't start.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ferry-bench-")))
        kafka, valkey = LocalKafka(folder / "kafka", quick_start=False), LocalValkey(folder / "valkey")
        for server in (kafka, valkey):
            stack.callback(server.stop)
            server.start()
        kafka.wait_ready()
        valkey.wait_ready()
        client = stack.enter_context(redis.Redis.from_url(valkey.url))
        # The file is written anew between rounds: whom a rewrite in the middle of one would strike is chance.
        client.config_set("auto-aof-rewrite-percentage", "0")
        yield Servers(folder, kafka, valkey, client)
