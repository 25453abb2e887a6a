"""Watch a demo's messages end: what Kafka holds, what the worker prints, what becomes a dead letter."""

import sys
from pathlib import Path

from confluent_kafka import KafkaException, Message

from ferry_console.demo.account import Account, Printed, settle
from ferry_console.demo.sending import Run
from ferry_console.demo.topic_reader import TopicReader
from ferry_console.demo.worker_lines import printed
from ferry_console.local.errors import LocalSystemError
from ferry_console.local.log_lines import FollowedLog, colour_wanted, prefixed
from ferry_console.local.running import Running
from ferry_shared.record import TaskId

_FILE_LINES_SHOWN = 3
_TASK_ID_HEADER = "ferry.task-id"


class Watch:
    """Collects from its creation on; shows the worker's lines as they come, of the file only the first."""

    def __init__(self, logs: Path, running: Running, run: Run, given: int) -> None:
        """`given` is how many messages there will be."""
        self._running = running
        self._run = run
        self._given = given
        self._worker_log = FollowedLog(logs / "worker.log")
        self._consumer_log = FollowedLog(logs / "consumer.log")
        self._topic = TopicReader(running.bootstrap_servers, running.topic)
        self._dead_letter_topic = TopicReader(running.bootstrap_servers, running.dead_letter_topic)
        self._words: set[str] = set()
        self._file: set[str] = set()
        self._printed: list[Printed] = []
        self._dead: list[str] = []
        self._file_lines = 0
        self._coloured = colour_wanted(sys.stdout)

    @property
    def example(self) -> str:
        """The task id of a word that the worker printed, else of any message, else of none of this run."""
        words = [line.task_id for line in self._printed if line.task_id in self._words]
        return next(iter([*words, *sorted(self._file)]), f"{self._running.topic}-0-0")

    def look(self) -> Account:
        """Take in what is new and return the account so far; raises `LocalSystemError` if Kafka does not answer."""
        # The logs first: what they tell of is in Kafka by now, so that it is known whose it is.
        worker_lines, consumer_lines = list(self._worker_log.new_lines()), list(self._consumer_log.new_lines())
        try:
            for message in self._topic.read():
                self._take_sent(message)
            self._dead += [_dead_task_id(message) for message in self._dead_letter_topic.read()]
        except KafkaException as error:
            raise LocalSystemError(f"Kafka does not answer: {error.args[0]}") from error
        for line in worker_lines:
            self._take_worker_line(line)
        for line in consumer_lines:
            if "dead letter" in line and any(f"[{task_id}]" in line for task_id in self._words):
                self._show("consumer", line)
        return settle(self._given, self._words | self._file, self._printed, self._dead)

    def finish(self) -> Account:
        """Look for the last time and tell how many lines were not shown."""
        account = self.look()
        if self._file_lines > _FILE_LINES_SHOWN:
            self._show("worker", f"… and {self._file_lines - _FILE_LINES_SHOWN:,} more lines of the file")
        return account

    def close(self) -> None:
        """Leave Kafka."""
        self._topic.close()
        self._dead_letter_topic.close()

    def _take_sent(self, message: Message) -> None:
        key, value = message.key(), message.value()
        if key == self._run.key:
            self._words.add(self._task_id(message))
        elif self._run.owns_line(value):
            self._file.add(self._task_id(message))

    def _take_worker_line(self, line: str) -> None:
        found = printed(line)
        if found is None or found.task_id not in self._words | self._file:
            return
        self._printed.append(found)
        if found.task_id in self._file:
            self._file_lines += 1
            if self._file_lines > _FILE_LINES_SHOWN:
                return
        self._show("worker", line)

    def _show(self, component: str, line: str) -> None:
        print(prefixed(component, line, coloured=self._coloured), flush=True)

    def _task_id(self, message: Message) -> str:
        partition, offset = message.partition(), message.offset()
        if partition is None or offset is None:
            raise ValueError("a record that was read has a partition and an offset")
        return TaskId(self._running.group, self._running.topic, partition, offset, offset).text


def _dead_task_id(message: Message) -> str:
    value = dict(message.headers() or []).get(_TASK_ID_HEADER)
    return value.decode(errors="replace") if isinstance(value, bytes) else "unknown"
