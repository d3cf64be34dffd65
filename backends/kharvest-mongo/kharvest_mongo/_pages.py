"""Pages of references: walked window by window in time, so that what a page costs does not grow with the history.

A window is as long as, at the store's average, a few pages take, and each one longer than the one before. Whatever a
server does within a window, read it in order and stop, or read it whole and sort it, it never does it with all of the
history.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pymongo.collection import Collection as Documents

from kharvest.spi import InvalidCursor, Order, Page, Query, Reference, decode_cursor, encode_cursor
from kharvest_mongo import _filters as filters
from kharvest_mongo import _keys as keys
from kharvest_mongo import _rows as rows
from kharvest_mongo._filters import Way
from kharvest_mongo._server import Document
from kharvest_mongo._snapshots import Snapshot

VALUE = {"order": 1, "namespace": 1, "pod": 1, "uid": 1, "path": 1, "md5": 1, "metadata": 1}
"""The fields of a reference's value."""
_POSITION = re.compile(f"[0-7][0-9a-f]{{{2 * keys.ORDER_BYTES - 1}}}")
_FIRST_WINDOW_PAGES = 8
_GROWTH = 8
_LOOKED_AT = 200_000
"""About how many references a page lies among at most, when it has to pass some over: then it ends, short or empty."""
_PAGE_BYTES = 16 * 2**20
"""Metadata that a page has at most, about: one reference may have 280 KB."""


@dataclass(frozen=True, slots=True)
class Found:
    """A page's documents.

    Attributes:
        documents: in the query's order.
        position: the order up to which was looked; None if that was all.
    """

    documents: tuple[Document, ...]
    position: bytes | None


@dataclass(frozen=True, slots=True)
class Window:
    """Orders from `low` on, before `high`."""

    low: bytes
    high: bytes


def page(references: Documents[Document], snapshot: Snapshot, query: Query) -> Page[Reference]:
    found = find(references, snapshot, query, VALUE, position_of(query))
    cursor = None if found.position is None else encode_cursor(query, found.position.hex())
    return Page(tuple(map(rows.reference, found.documents)), cursor)


def find(
    references: Documents[Document], snapshot: Snapshot, query: Query, fields: Document, after: bytes | None
) -> Found:
    """The first documents that match behind `after`, as many as the query's limit at most."""
    way = filters.way(snapshot, query)
    descending = query.order is Order.NEWEST_FIRST
    documents: list[Document] = []
    weight = 0
    looked_at = 0.0
    for window, share in _windows(snapshot, query, after):
        if way.passes_over and looked_at > _LOOKED_AT:
            return Found(tuple(documents), window.high if descending else _shifted(window.low, -1))
        looked_at += share * snapshot.count
        for document in _look(references, way, window, fields, query.order, query.limit + 1 - len(documents)):
            if len(documents) == query.limit or weight > _PAGE_BYTES:
                return Found(tuple(documents), documents[-1]["order"])
            documents.append(document)
            weight += sum(map(len, document.get("metadata", ())))
    return Found(tuple(documents), None)


def position_of(query: Query) -> bytes | None:
    """Where the query's cursor stands."""
    match decode_cursor(query):
        case None:
            return None
        case (str(position),) if _POSITION.fullmatch(position):
            return bytes.fromhex(position)
        case _:
            raise InvalidCursor


def bounds(snapshot: Snapshot, query: Query) -> Window:
    """Between which orders all references are that the query's times let through."""
    first_ns, end_ns = snapshot.first_ns, snapshot.last_ns + 1
    if query.since_ns is not None:
        first_ns = max(first_ns, query.since_ns)
    if query.until_ns is not None:
        end_ns = min(end_ns, query.until_ns)
    return Window(keys.before_time(first_ns), keys.before_time(end_ns))


def _windows(snapshot: Snapshot, query: Query, after: bytes | None) -> Iterator[tuple[Window, float]]:
    """The windows that a page looks through, in the query's order, and which share of all time each one is."""
    whole = bounds(snapshot, query)
    low, high = whole.low, whole.high
    span_ns = snapshot.last_ns + 1 - snapshot.first_ns
    wanted = _FIRST_WINDOW_PAGES * (query.limit + 1)
    length_ns = max(1, span_ns * wanted // max(1, snapshot.count))
    if query.order is Order.NEWEST_FIRST:
        high = high if after is None else min(high, after)
        while low < high:
            start_ns = keys.time_of(_shifted(high, -1)) + 1 - length_ns
            edge = low if start_ns < 0 else max(low, keys.before_time(start_ns))
            yield Window(edge, high), length_ns / span_ns
            high = edge
            length_ns *= _GROWTH
    else:
        low = low if after is None else max(low, _shifted(after, 1))
        while low < high:
            end_ns = keys.time_of(low) + length_ns
            edge = high if end_ns > snapshot.last_ns else min(high, keys.before_time(end_ns))
            yield Window(low, edge), length_ns / span_ns
            low = edge
            length_ns *= _GROWTH


def _look(
    references: Documents[Document], way: Way, window: Window, fields: Document, order: Order, limit: int
) -> Iterator[Document]:
    direction = -1 if order is Order.NEWEST_FIRST else 1
    pipeline: list[Document] = [
        {"$match": way.within(window.low, window.high)},
        {"$match": way.others},
        {"$sort": {"order": direction}},
        {"$limit": limit},
        {"$project": fields},
    ]
    with references.aggregate(pipeline, batchSize=limit + 1) as cursor:
        yield from cursor


def _shifted(order: bytes, by: int) -> bytes:
    """The order so many places further."""
    return (int.from_bytes(order, "big") + by).to_bytes(keys.ORDER_BYTES, "big")
