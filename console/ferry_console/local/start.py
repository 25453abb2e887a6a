"""Plan and start a local system: what `ferry up` and `ferry demo` have in common."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from pydantic import SecretStr

from ferry_console.local import kafka_jars
from ferry_console.local.errors import PortTaken
from ferry_console.local.log_lines import FollowedLog, colour_wanted, prefixed
from ferry_console.local.ports import first_free, free_port
from ferry_console.local.progress import progress
from ferry_console.local.running import DEFAULT_KAFKA_PORT, DEFAULT_VALKEY_PORT, Folder, Running
from ferry_console.local.stop_signals import stop_signals
from ferry_console.local.system import COMPONENTS, LocalSystem
from ferry_shared.settings import ConsumerSettings, RoutingSettings

#: Gives the environment of Ferry's processes for the ports of a plan.
Environment = Callable[[Running], Mapping[str, str]]
_DOWNLOAD = f"downloading Apache Kafka {kafka_jars.KAFKA_VERSION} (45 MB, the first time only)"


class PlannedSettings(RoutingSettings):
    """The settings that say what the local consumer reads and writes, and whether results are wanted."""

    celery_result_backend: SecretStr = SecretStr("")
    consumer_dead_letter_suffix: str = ConsumerSettings.model_fields["consumer_dead_letter_suffix"].default


def planned(command: str, settings: PlannedSettings, folder: Folder) -> Running:
    """The system to start: the usual ports if they are free, else those of the last time here, else others."""
    last = folder.last()
    return Running(
        pid=os.getpid(),
        command=command,
        kafka_port=first_free(DEFAULT_KAFKA_PORT, *([last.kafka_port] if last else [])),
        valkey_port=first_free(DEFAULT_VALKEY_PORT, *([last.valkey_port] if last else [])),
        http_port=free_port(),
        topic=settings.ferry_topic,
        dead_letter_topic=settings.ferry_topic + settings.consumer_dead_letter_suffix,
        group=settings.consumer_group,
    )


@contextmanager
def started(folder: Folder, plan: Callable[[], Running], environment: Environment, lock: int) -> Iterator[LocalSystem]:
    """A system that is ready; stopped in order at the end, also after Ctrl-C, which raises `KeyboardInterrupt`.

    It is planned again if another program takes a port while it starts. Raises `LocalSystemError` if a part does
    not become ready.
    """
    system = LocalSystem(folder, plan(), environment, lock=lock)
    with stop_signals(lambda: system.send_kill()):  # noqa: PLW0108 - whichever system it is by then
        try:
            with progress("starting Kafka, Valkey, consumer, worker and beat") as step:
                kafka_jars.class_path(before_download=lambda: step(_DOWNLOAD))
                try:
                    system.start()
                except PortTaken as error:
                    step(f"{error}: trying other ports")
                    system.stop()
                    system = LocalSystem(folder, plan(), environment, lock=lock)
                    system.start()
            folder.describe(system.running)
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
