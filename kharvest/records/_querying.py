"""Answering queries: from positions in indexes to references."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from kharvest.records import _keys as keys
from kharvest.records import _rows as rows
from kharvest.records._engine import View
from kharvest.records._metadata import MetadataSets
from kharvest.records._plans import MOST, plan
from kharvest.records._rows import Head, Stored
from kharvest.records._streams import Meeting, Span
from kharvest.spi import (
    InvalidCursor,
    Order,
    Page,
    Query,
    Reference,
    StoreCorrupt,
    Timeline,
    decode_cursor,
    encode_cursor,
)

_STEPS = 100_000
"""How far a page looks for matches. One that has found too few by then is short."""
_FIRST_STEPS = 2_000
"""How far a page looks without streams of which there are many."""
_SMALLEST_BLOCK = 16


@dataclass(frozen=True, slots=True)
class Match:
    """A reference that matches, its rank and its row."""

    rank: bytes
    reference: Reference
    metadata_id: bytes
    row: bytes


@dataclass(frozen=True, slots=True)
class Matches:
    """Matches, in the query's order, and the position where to look for more; None if there are none."""

    found: list[Match]
    next_at: bytes | None


def page(view: View, query: Query, sets: MetadataSets) -> Page[Reference]:
    """See `ReferenceStore.references`."""
    span = _span(query)
    matches = search(view, query, sets, wanted=query.limit + 1, at=_position_of_cursor(query))
    items, at = matches.found, matches.next_at
    if len(items) > query.limit:
        items = items[: query.limit]
        at = span.position(items[-1].rank) + b"\0"
    cursor = None if at is None else encode_cursor(query, at.hex())
    return Page(tuple(one.reference for one in items), cursor)


def search(
    view: View, query: Query, sets: MetadataSets, *, wanted: int, at: bytes = b"", steps: int = _STEPS
) -> Matches:
    """The matches from a position on: `wanted` of them if there are so many within so many steps."""
    span = _span(query)
    chosen = plan(view, query, span)
    meeting = Meeting(chosen.streams, at, min(steps, _FIRST_STEPS + 4 * wanted) if chosen.is_wide else steps)
    found = _draw(view, query, sets, meeting, wanted)
    if chosen.is_wide and len(found) < wanted and not meeting.is_at_end:
        chosen = plan(view, query, span, MOST)
        meeting = Meeting(chosen.streams, meeting.at, steps)
        found += _draw(view, query, sets, meeting, wanted - len(found))
    return Matches(found, None if meeting.is_at_end else meeting.at)


def _span(query: Query) -> Span:
    low = keys.start_of(query.since_ns or 0)
    high = keys.NO_RANK if query.until_ns is None else keys.start_of(query.until_ns)
    return Span(low, high, query.order is Order.NEWEST_FIRST)


def _draw(view: View, query: Query, sets: MetadataSets, meeting: Meeting, wanted: int) -> list[Match]:
    """Matches of a meeting; it ends where the last one that was looked at is."""
    span = _span(query)
    positions = meeting.positions()
    found: list[Match] = []
    while len(found) < wanted:
        block = list(islice(positions, max(_SMALLEST_BLOCK, wanted - len(found))))
        if not block:
            break
        found += _matching(view, query, sets, [span.position(one) for one in block])
    return found


def _matching(view: View, query: Query, sets: MetadataSets, ranks: Sequence[bytes]) -> Iterator[Match]:
    """Those of the references at these ranks that match."""
    found = view.get([keys.reference(rank) for rank in ranks])
    read = ((rank, rows.to_stored(rank, rows.needed(found, keys.reference(rank)))) for rank in ranks)
    fitting = [(rank, stored) for rank, stored in read if _fits(stored, query)]
    if query.latest and query.until_ns is not None:
        fitting = _latest(view, fitting, query.until_ns)
    metadata = sets.get(view, {stored.metadata_id for _rank, stored in fitting})
    for rank, stored in fitting:
        if metadata[stored.metadata_id].matches(query.metadata):
            reference = stored.with_metadata(metadata[stored.metadata_id])
            yield Match(rank, reference, stored.metadata_id, found[keys.reference(rank)])


def _fits(stored: Stored, query: Query) -> bool:
    signature, pod = stored.signature, stored.pod
    return (
        (query.path is None or signature.path == query.path)
        and (query.path_prefix is None or signature.path.startswith(query.path_prefix))
        and (query.md5 is None or signature.md5 == query.md5)
        and (query.namespace is None or pod.namespace == query.namespace)
        and (query.pod is None or pod.name == query.pod)
        and (query.uid is None or pod.uid == query.uid)
    )


def _latest(view: View, some: Sequence[tuple[bytes, Stored]], until_ns: int) -> list[tuple[bytes, Stored]]:
    """Those of the references that are the newest of their timelines before a time."""
    ids = [keys.timeline_id(Timeline(stored.pod, stored.signature.path)) for _rank, stored in some]
    heads = view.get([keys.head(one) for one in ids])
    latest = []
    for (rank, stored), one in zip(some, ids, strict=True):
        newest = Head.of(rows.needed(heads, keys.head(one))).rank
        if keys.time_of(newest) >= until_ns:
            behind = keys.timeline(one, keys.start_of(until_ns))
            scanned = view.scan(keys.timeline(one, rank), behind, reverse=True, limit=1)
            if not scanned:
                raise StoreCorrupt("a timeline lacks a row of one of its references")
            newest = scanned[0][0][-keys.RANK_BYTES :]
        if newest == rank:
            latest.append((rank, stored))
    return latest


def newest(view: View, timelines: Sequence[Timeline], sets: MetadataSets) -> dict[Timeline, Reference]:
    """See `ReferenceStore.newest`."""
    ids = {one: keys.head(keys.timeline_id(one)) for one in timelines}
    heads = view.get(ids.values())
    ranks = {one: Head.of(heads[key]).rank for one, key in ids.items() if key in heads}
    found = view.get([keys.reference(rank) for rank in ranks.values()])
    stored = {one: rows.to_stored(rank, rows.needed(found, keys.reference(rank))) for one, rank in ranks.items()}
    metadata = sets.get(view, {one.metadata_id for one in stored.values()})
    return {timeline: one.with_metadata(metadata[one.metadata_id]) for timeline, one in stored.items()}


def _position_of_cursor(query: Query) -> bytes:
    match decode_cursor(query):
        case None:
            return b""
        case (str(text),) if len(text) in (2 * keys.RANK_BYTES, 2 * keys.RANK_BYTES + 2):
            try:
                return bytes.fromhex(text)
            except ValueError:
                raise InvalidCursor from None
        case _:
            raise InvalidCursor
