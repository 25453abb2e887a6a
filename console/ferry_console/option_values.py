"""What options of several commands take."""

import argparse

#: What is taken as an interval or an age; the longest is a year.
SHORTEST_SECONDS, LONGEST_SECONDS = 0.1, 31_536_000.0
#: The rows of a list are held in memory.
MOST_ROWS = 10_000
#: Kafka numbers partitions with 32 bits.
HIGHEST_PARTITION = 2_147_483_647
HIGHEST_PORT = 65_535


def seconds(text: str) -> float:
    """A duration in seconds."""
    found = float(text)
    if not SHORTEST_SECONDS <= found <= LONGEST_SECONDS:
        raise argparse.ArgumentTypeError(f"expected seconds, from {SHORTEST_SECONDS} to {LONGEST_SECONDS:,.0f}")
    return found


def rows(text: str) -> int:
    """How many rows a list has at most."""
    return _whole(text, 1, MOST_ROWS)


def partition(text: str) -> int:
    """A partition's number."""
    return _whole(text, 0, HIGHEST_PARTITION)


def port(text: str) -> int:
    """A TCP port; 0 stands for any that is free."""
    return _whole(text, 0, HIGHEST_PORT)


def _whole(text: str, least: int, most: int) -> int:
    # int() takes more than digits: 1_000, +1, digits of every script.
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(most)) or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"expected a number, from {least} to {most:,}")
    return int(text)
