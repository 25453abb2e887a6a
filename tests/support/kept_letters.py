"""Dead letters kept by a test, where the consumer would write them into Kafka."""

from ferry_consumer.dead_letters import DeadLetter


class KeptLetters:
    """As much of the dead letters' writer as their entries' way needs; each is under way from then on."""

    def __init__(self) -> None:
        self.written: list[DeadLetter] = []

    def is_under_way(self, key: object) -> bool:
        """Whether it was written before."""
        return key in {letter.key for letter in self.written}

    def write(self, letter: DeadLetter) -> bool:
        """Take one."""
        self.written.append(letter)
        return True
