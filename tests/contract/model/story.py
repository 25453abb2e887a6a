"""What became of one record in one group, as the oracle has seen it."""

from dataclasses import dataclass, field

from tests.contract.model.actor import Actor

NEVER = -1


@dataclass
class Run:
    """One execution of a task. `heard`: when its worker had last heard that the message is its own."""

    actor: Actor
    owner: str
    heard: int
    lease_until_ms: int
    interrupted: bool = False
    recorded: bool = False


@dataclass
class Story:
    """What became of one record in one group. Moments are counted in events.

    `member` is the entry that it was last queued for, `alone` when it went on without its batch, and
    `given_up` when an operator skipped that entry.
    """

    first_pushed: int = NEVER
    pushed: int = NEVER
    tag: str = ""
    member: str = "0"
    alone: int = NEVER
    given_up: int = NEVER
    retried: int = NEVER
    done: int = NEVER
    dead: int = NEVER
    letter_asked_for: int = NEVER
    letter_unconfirmed: int = NEVER
    wanted_since: int = NEVER
    skipped: bool = False
    runs: list[Run] = field(default_factory=list)
    pushes: list[int] = field(default_factory=list)
    tags: dict[str, int] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Done or a dead letter, since it was last asked for."""
        return max(self.done, self.dead) > self.wanted_since

    @property
    def settled(self) -> bool:
        """The same, and since it was last queued."""
        return max(self.done, self.dead) > max(self.wanted_since, self.pushed)

    @property
    def is_told(self) -> bool:
        """The ledger knows what became of it since it was last queued."""
        return any(run.recorded and run.heard > self.pushed for run in self.runs)
