"""Plan and start a local system: what `ferry up` and `ferry demo` have in common."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from ferry_console.local.kafka_jars import KAFKA_VERSION
from ferry_console.local.log_lines import FollowedLog, colour_wanted, prefixed
from ferry_console.local.ports import preferred_port
from ferry_console.local.progress import progress
from ferry_console.local.running import DEFAULT_HTTP_PORT, DEFAULT_KAFKA_PORT, DEFAULT_VALKEY_PORT, Folder, Running
from ferry_console.local.stop_signals import stop_signals
from ferry_console.local.system import COMPONENTS, LocalSystem
from ferry_shared.settings import ConsumerSettings, RoutingSettings


class ConsumerNames(RoutingSettings):
    """The settings that say what the consumer reads and writes."""

    consumer_dead_letter_suffix: str = ConsumerSettings.model_fields["consumer_dead_letter_suffix"].default


def planned(command: str, names: ConsumerNames) -> Running:
    """The system to start: the usual ports where they are free, others where not."""
    return Running(
        pid=os.getpid(),
        command=command,
        kafka_port=preferred_port(DEFAULT_KAFKA_PORT),
        valkey_port=preferred_port(DEFAULT_VALKEY_PORT),
        http_port=preferred_port(DEFAULT_HTTP_PORT),
        topic=names.ferry_topic,
        dead_letter_topic=names.ferry_topic + names.consumer_dead_letter_suffix,
        group=names.consumer_group,
    )


@contextmanager
def started(folder: Folder, running: Running, environment: Mapping[str, str], lock: int) -> Iterator[LocalSystem]:
    """A system that is ready; stopped in order at the end, also after Ctrl-C, which raises `KeyboardInterrupt`.

    Raises `LocalSystemError` if a part does not become ready.
    """
    download = f"downloading Apache Kafka {KAFKA_VERSION} (45 MB, the first time only)"
    step: Callable[[str], None] = print
    system = LocalSystem(folder, running, environment, lock=lock, before_download=lambda: step(download))
    with stop_signals(system.send_kill):
        try:
            with progress("starting Kafka, Valkey, consumer, worker and beat") as step:
                system.start()
            folder.describe(running)
            yield system
        finally:
            system.stop()


class SystemLog:
    """The one log of consumer, worker and beat, on standard output."""

    def __init__(self, system: LocalSystem) -> None:
        """It begins where the components began."""
        self._coloured = colour_wanted(sys.stdout)
        self._logs = {name: FollowedLog(system.log_path(name), from_start=True) for name in COMPONENTS}

    def show_new(self) -> None:
        """Print what has been written since the last call."""
        for name, log in self._logs.items():
            for line in log.new_lines():
                self.show(name, line)

    def show(self, component: str, line: str) -> None:
        """Print one line."""
        print(prefixed(component, line, coloured=self._coloured), flush=True)
