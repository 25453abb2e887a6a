"""One entry in flight, and a list of such, for the tests of `ferry in-flight`: the message `orders-3-42@blue`."""

from dataclasses import replace

from ferry_console.in_flight.flights import Flight, InFlight, flight_of
from ferry_shared.ledger.entry_page import Entry
from ferry_shared.ledger.entry_view import EntryState
from ferry_shared.record import TopicPartition

NOW_MS = 1_700_000_000_000
PLACE = TopicPartition("orders", 3)
STATE = EntryState("2.3", 1, 0, 1, NOW_MS - 4_000, None, 0, None, None, None)
RUNNING = replace(STATE, owner="o", claims=2, claimed_ms=NOW_MS - 4_200, lease_ms=NOW_MS + 325_000)


def flight(state: EntryState = STATE, member: str = "42", dispatched_ms: int | None = NOW_MS - 5_000) -> Flight:
    """One entry of the group `blue`."""
    return flight_of("blue", PLACE, Entry(member, state, dispatched_ms), NOW_MS)


def answer(*found: Flight, more: bool = False, warnings: tuple[str, ...] = ()) -> InFlight:
    """A list of these, of 12,345 in flight."""
    return InFlight("blue", NOW_MS, 4, 12_345, found, more, warnings)
