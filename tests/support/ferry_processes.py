"""Ferry's programs as processes of a test: started with a clean environment, always stopped, their output kept."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ferry_console.local.service_process import ServiceProcess
from tests.support.clean_environment import clean_environment

_POLL_SECONDS = 0.02


class FerryProcess(ServiceProcess):
    """A running Ferry program whose output can be waited for."""

    def output(self) -> str:
        """Everything it has written to standard output and error so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def lines(self) -> list[str]:
        """The same, as lines."""
        return self.output().splitlines()

    def wait_for(self, condition: Callable[[str], bool], timeout_seconds: float = 30.0) -> str:
        """Wait until `condition` holds for the output, and return that; fails when time is over or it ended before."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            ended = not self.running
            output = self.output()
            if condition(output):
                return output
            if ended:
                raise AssertionError(f"{self.name} ended with exit code {self.exit_code}:\n{output[-4000:]}")
            time.sleep(_POLL_SECONDS)
        raise AssertionError(f"{self.name}: nothing of the kind within {timeout_seconds} s:\n{self.output()[-4000:]}")

    def wait_for_text(self, pattern: str, timeout_seconds: float = 30.0) -> str:
        """Wait until the regular expression `pattern` is found in the output; returns what it matched."""
        output = self.wait_for(lambda text: re.search(pattern, text) is not None, timeout_seconds)
        match = re.search(pattern, output)
        assert match is not None
        return match.group()

    def wait(self, timeout_seconds: float = 30.0) -> int:
        """Wait for its end; returns the exit code."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            code = self.exit_code
            if code is not None:
                return code
            time.sleep(_POLL_SECONDS)
        raise AssertionError(f"{self.name} did not end within {timeout_seconds} s:\n{self.output()[-4000:]}")

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process alone, not to its children."""
        if self.running:
            os.kill(self.pid, number)


class FerryProcesses:
    """Starts Ferry's programs for one test, in `directory` (which has no `.env`) with `settings` as environment."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        """Every process gets `settings`; a call of `start` or `run` can add its own."""
        self.directory = directory
        self.settings = dict(settings)
        self.started: list[FerryProcess] = []

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """A clean environment with the settings of this test."""
        return clean_environment() | self.settings | dict(extra or {})

    def start(self, name: str, *arguments: str, settings: Mapping[str, str] | None = None) -> FerryProcess:
        """Start `python ARGUMENTS...`; `name` tells it from others in a failed test's report."""
        log_path = self.directory / f"{name}-{len(self.started)}.log"
        process = FerryProcess(
            name,
            [sys.executable, *arguments],
            log_path,
            environment=self.environment(settings),
            directory=self.directory,
        )
        process.start()
        self.started.append(process)
        return process

    def consumer(self, name: str = "consumer", **settings: str) -> FerryProcess:
        """Start `ferry-consumer run`."""
        return self.start(name, "-m", "ferry_consumer", "run", settings=settings)

    def worker(self, *arguments: str, name: str = "worker", **settings: str) -> FerryProcess:
        """Start `celery -A ferry_worker worker`."""
        return self.start(name, "-m", "celery", "-A", "ferry_worker", "worker", *arguments, settings=settings)

    def beat(self, *arguments: str, name: str = "beat", **settings: str) -> FerryProcess:
        """Start `celery -A ferry_worker beat`."""
        schedule = f"--schedule={self.directory / 'beat-schedule'}"
        return self.start(
            name, "-m", "celery", "-A", "ferry_worker", "beat", "--pidfile=", schedule, *arguments, settings=settings
        )

    def run(
        self,
        *arguments: str,
        settings: Mapping[str, str] | None = None,
        standard_input: str | bytes = b"",
        timeout_seconds: float = 60.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run `python ARGUMENTS...` to its end; the output is text."""
        given = standard_input.encode() if isinstance(standard_input, str) else standard_input
        done = subprocess.run(
            [sys.executable, *arguments],
            input=given,
            capture_output=True,
            timeout=timeout_seconds,
            env=self.environment(settings),
            cwd=self.directory,
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )

    def produce(self, *arguments: str, standard_input: str | bytes = b"") -> subprocess.CompletedProcess[str]:
        """Run `ferry-producer ARGUMENTS...` to its end."""
        return self.run("-m", "ferry_producer", *arguments, standard_input=standard_input)

    def stop_all(self) -> None:
        """Stop what still runs, the last started first."""
        for process in reversed(self.started):
            process.stop(grace_seconds=10.0)

    def reports(self) -> Iterator[tuple[str, str]]:
        """A title and the last lines of each process, for the report of a failed test."""
        for process in self.started:
            yield f"output of {process.name} ({process.log_path})", process.log_tail()
