"""Send the demo's messages: words and a file by `ferry-producer`, a broken one by a bare Kafka client."""

import json
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from confluent_kafka import Producer

from ferry_console.local.errors import LocalSystemError

FILE_MESSAGES = 1_000
BROKEN = b'{"text": 42, "note": "a text must be a string"}'
_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Run:
    """One demo: its name is the Kafka key of the words and of the broken message, and begins the ids of the file."""

    name: str

    @classmethod
    def new(cls) -> Self:
        """A run with a name of its own."""
        return cls(f"demo-{secrets.token_hex(3)}")

    @property
    def key(self) -> bytes:
        """The key of its words and of its broken message."""
        return self.name.encode()

    def owns_line(self, value: bytes | None) -> bool:
        """Whether a record's value is a line of this run's file."""
        try:
            return str(json.loads(value or b"")["id"]).startswith(f"{self.name}-")
        except (ValueError, KeyError, TypeError, RecursionError):
            return False


def write_file(path: Path, run: Run) -> None:
    """Write a thousand messages as JSON lines, as `ferry-producer -` reads them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for number in range(1, FILE_MESSAGES + 1):
            message = {"id": f"{run.name}-{number}", "text": f"line {number:,} of {FILE_MESSAGES:,}"}
            file.write(json.dumps(message) + "\n")


def send_words(words: Sequence[str], run: Run, environment: Mapping[str, str]) -> None:
    """Run `ferry-producer WORDS...`; raises `LocalSystemError` if Kafka did not acknowledge all of them."""
    _ferry_producer(["--key", run.name, "--", *words], environment, None)


def send_file(path: Path, environment: Mapping[str, str]) -> None:
    """Run `ferry-producer - < FILE`; raises `LocalSystemError` if Kafka did not acknowledge all of it."""
    _ferry_producer(["-"], environment, path)


def send_broken(bootstrap_servers: str, topic: str, run: Run) -> None:
    """Send a record that is no valid message, as a foreign producer could; raises `LocalSystemError` if it fails."""
    producer = Producer({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    producer.produce(topic, BROKEN, run.key)
    if producer.flush(_TIMEOUT_SECONDS) != 0:
        raise LocalSystemError("Kafka did not acknowledge the broken message")


def _ferry_producer(arguments: Sequence[str], environment: Mapping[str, str], given: Path | None) -> None:
    source = given.open("rb") if given is not None else None
    try:
        done = subprocess.run(
            [sys.executable, "-m", "ferry_producer", *arguments],
            stdin=source or subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(environment),
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    finally:
        if source is not None:
            source.close()
    if done.returncode != 0:
        raise LocalSystemError(f"ferry-producer ended with exit code {done.returncode}:\n{done.stderr}")
