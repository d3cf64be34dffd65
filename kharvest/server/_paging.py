"""Pages that are bounded in bytes: items may be of any size, and a reply must fit into a message and into memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from kharvest.spi import FileSummary, Page, Query, Reference, follow

Item = TypeVar("Item")
PAGE_BYTES = 2 * 1024 * 1024
"""Half of what gRPC lets a client receive unless it is told otherwise."""
FIRST_STEP = 100
"""Items that are asked for before it is known how large they are: the largest take 30 MB."""


def bounded(ask: Callable[[Query], Page[Item]], weight: Callable[[Item], int]) -> Callable[[Query], Page[Item]]:
    """`ask`, in steps, until the page is full or has PAGE_BYTES by `weight`: then it is short, and has a cursor."""

    def page(query: Query) -> Page[Item]:
        items: list[Item] = []
        size, step, cursor = 0, FIRST_STEP, query.cursor

        def fitting(cursor: str | None, most: int) -> Page[Item]:
            """The next items, fewer where they are too large; none where that is too large for what there is."""
            nonlocal size, step
            part = ask(replace(query, cursor=cursor, limit=most))
            part_size = sum(map(weight, part.items))
            if size + part_size > PAGE_BYTES and most > 1:
                if items:
                    step = 0
                    return Page((), cursor)
                return fitting(cursor, max(1, min(most // 2, most * PAGE_BYTES // part_size)))
            size += part_size
            average = max(1, size // max(1, len(items) + len(part.items)))
            step = max(1, (PAGE_BYTES - size) // average // 2) if size <= PAGE_BYTES // 2 else 0
            return part

        def wanted() -> int:
            return min(step, query.limit - len(items))

        for part in follow(fitting, wanted, cursor):
            items += part.items
            cursor = part.next_cursor
        return Page(tuple(items), cursor)

    return page


def weight_of_reference(reference: Reference) -> int:
    """About the bytes that a reference takes in a reply, at the most."""
    metadata = sum(len(key) + len(value) for key, value in reference.metadata.items())
    return 4 * (len(reference.signature.path) + metadata) + 200  # a character has up to 4 bytes


def weight_of_summary(summary: FileSummary) -> int:
    """The same for a file's summary."""
    return 4 * len(summary.signature.path) + 200
