"""The Compose system under test: started, asked and taken down through the command that a user types."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROJECT_DIRECTORY = Path(__file__).parents[2]
STAND_INS = PROJECT_DIRECTORY / "deploy" / "stand_ins" / "build.sh"

#: What the worker prints when beat asks for the status.
STATUS = re.compile(r"ferry\.worker \[-\] group \S+: \d+ partitions, lag \d+")
#: What the worker prints of a message: its logger, the task id and the text.
PRINTED = re.compile(r"ferry\.worker \[(?P<task_id>\S+-\d+-\d+)\] (?P<text>.*)")


def docker_problem() -> str:
    """Say why no container can be started; empty when one can."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    asked = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    return "" if asked.returncode == 0 else asked.stderr.strip() or "docker info failed"


def compose_command() -> list[str]:
    """Compose v2 where Docker has it, else docker-compose 1.29."""
    asked = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return ["docker", "compose"] if asked.returncode == 0 else ["docker-compose"]


def public_images() -> list[str]:
    """The images that the Dockerfile and the compose file start from."""
    dockerfile = (PROJECT_DIRECTORY / "Dockerfile").read_text()
    compose = (PROJECT_DIRECTORY / "docker-compose.yml").read_text()
    return re.findall(r"^ARG PYTHON_IMAGE=(\S+)", dockerfile, re.MULTILINE) + re.findall(
        r"^ +image: (\S+:\S+)$", compose, re.MULTILINE
    )


def provide_images(images: Sequence[str]) -> None:
    """Have the public images here: those that are, those that can be pulled, else stand-ins of the same names."""
    if not all(_is_here(image) or _is_pulled(image) for image in images):
        subprocess.run([str(STAND_INS)], check=True)


def _is_here(image: str) -> bool:
    """Is it here, and not only a stand-in, whose recipe may have changed since?"""
    label = '{{index .Config.Labels "ferry.stand-in"}}'
    asked = subprocess.run(["docker", "image", "inspect", "--format", label, image], capture_output=True, check=False)
    return asked.returncode == 0 and not asked.stdout.strip()


def _is_pulled(image: str) -> bool:
    return subprocess.run(["docker", "pull", "--quiet", image], capture_output=True, check=False).returncode == 0


def wait_until(
    condition: Callable[[], bool], what: str | Callable[[], str], timeout_seconds: float, interval_seconds: float = 0.5
) -> None:
    """Ask until the condition holds; fail with what was waited for when the time is over."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            told = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {timeout_seconds:g} s: {told}")
        time.sleep(interval_seconds)


@dataclass(frozen=True)
class ComposeSystem:
    """One Compose project of its own name, port and (empty) `.env`."""

    project: str
    kafka_port: int
    env_file: Path
    command: list[str] = field(default_factory=compose_command)

    def compose(self, *arguments: str, check: bool = True, timeout_seconds: float = 120) -> str:
        """Run one Compose command and return what it printed; with `check`, a failure shows it."""
        ran = subprocess.run(
            [*self.command, "--project-name", self.project, "--env-file", str(self.env_file), *arguments],
            cwd=PROJECT_DIRECTORY,
            env=os.environ | {"KAFKA_PUBLISHED_PORT": str(self.kafka_port), "WORKER_STATUS_INTERVAL_SECONDS": "5"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout_seconds,
        )
        if check and ran.returncode != 0:
            raise AssertionError(f"compose {' '.join(arguments)} ended with {ran.returncode}:\n{ran.stdout}")
        return ran.stdout

    def states(self) -> dict[str, str]:
        """Each service's health, or its state where it has no health check."""
        containers = self.compose("ps", "--quiet").split()
        described = json.loads(
            subprocess.run(["docker", "inspect", *containers], capture_output=True, check=True).stdout
        )
        return {
            container["Config"]["Labels"]["com.docker.compose.service"]: container["State"]
            .get("Health", {})
            .get("Status", container["State"]["Status"])
            for container in described
        }

    def logs(self, *services: str) -> str:
        """Everything the services printed so far."""
        return self.compose("logs", "--no-color", *services)

    def printed(self) -> list[tuple[str, str]]:
        """Task id and text of each message that the worker printed, in its order."""
        return [(line["task_id"], line["text"]) for line in PRINTED.finditer(self.logs("worker"))]

    def has_printed(self, text: str) -> bool:
        """Did the worker print this message?"""
        return any(text in printed for _, printed in self.printed())

    def status_lines(self) -> int:
        """How often the worker printed the status so far."""
        return len(STATUS.findall(self.logs("worker")))

    def send(self, text: str) -> None:
        """Send one message the way the documentation tells."""
        self.compose("run", "--rm", "producer", text)
