"""Ask Redis for what is in flight: page by page, oldest first over all partitions, and no further than is asked for."""

from __future__ import annotations

from heapq import merge
from itertools import islice, takewhile
from typing import TYPE_CHECKING

from ferry_console.in_flight.flights import Flight, InFlight, Wanted, flight_of
from ferry_console.status.reading import known_places
from ferry_shared.ledger.client import server_time_ms
from ferry_shared.ledger.consumer_ledger import Condition
from ferry_shared.ledger.entry_page import read_page
from ferry_shared.ledger.group_view import view_ledgers
from ferry_shared.record import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import redis

    from ferry_shared.ledger.group_view import LedgerView
    from ferry_shared.settings import ConsumerSettings

#: Held in memory once a partition, and how long Redis is kept from others: about a millisecond.
PAGE_ENTRIES = 100
#: More are counted, not listed.
MOST_NAMED = 3


def read_in_flight(client: redis.Redis, settings: ConsumerSettings, group: str, wanted: Wanted) -> InFlight:
    """Read what is asked for.

    Raises:
        RedisUnavailable: Redis could not be reached.
    """
    prefix = settings.ferry_key_prefix
    places, complete = _places(client, settings, group, wanted)
    ledgers = dict(zip(places, view_ledgers(client, prefix, group, places), strict=True)) if places else {}
    busy = [place for place in places if ledgers[place].lowest is not None]
    flights = merge(*(_flights(client, prefix, group, place, wanted) for place in busy), key=_dispatched_ms)
    found = list(islice(flights, wanted.limit + 1))
    return InFlight(
        group,
        server_time_ms(client),
        sum(view.condition is not Condition.ABSENT for view in ledgers.values()),
        sum(view.in_flight for view in ledgers.values()),
        tuple(found[: wanted.limit]),
        len(found) > wanted.limit,
        tuple(_warnings(ledgers, complete=complete)),
    )


def _places(
    client: redis.Redis, settings: ConsumerSettings, group: str, wanted: Wanted
) -> tuple[list[TopicPartition], bool]:
    """The partitions to look at; one that is named in full needs no search."""
    if wanted.topic is not None and wanted.partition is not None:
        return [TopicPartition(wanted.topic, wanted.partition)], True
    places, complete = known_places(client, settings, group)
    return [place for place in places if wanted.lies_in(place)], complete


def _flights(client: redis.Redis, prefix: str, group: str, place: TopicPartition, wanted: Wanted) -> Iterator[Flight]:
    """One partition's, lowest offset first: those were dispatched first, so the first that is too young is the end."""
    return filter(wanted.is_at, takewhile(wanted.is_old_enough, _all_flights(client, prefix, group, place)))


def _all_flights(client: redis.Redis, prefix: str, group: str, place: TopicPartition) -> Iterator[Flight]:
    first: int | None = 0
    while first is not None:
        page = read_page(client, prefix, group, place, first, PAGE_ENTRIES)
        for entry in page.entries:
            yield flight_of(group, place, entry, page.now_ms)
        first = page.next


def _dispatched_ms(flight: Flight) -> int:
    return flight.dispatched_ms or 0


def _warnings(ledgers: Mapping[TopicPartition, LedgerView], *, complete: bool) -> Iterator[str]:
    wrong = [
        str(place) for place, view in ledgers.items() if view.condition in {Condition.DAMAGED, Condition.WRONG_TYPE}
    ]
    if wrong:
        more = f" and {len(wrong) - MOST_NAMED:,} more" if len(wrong) > MOST_NAMED else ""
        yield (
            f"the ledger of {', '.join(wrong[:MOST_NAMED])}{more} is damaged: what is shown of it may be wrong; its "
            "consumer makes a new one"
        )
    if not complete:
        yield "Redis has too many keys to search them all: there may be more partitions"
