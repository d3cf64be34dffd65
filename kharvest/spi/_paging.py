"""Following pages from cursor to cursor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from kharvest.spi._values import Page

Item = TypeVar("Item")


def follow(
    ask: Callable[[str | None, int], Page[Item]], wanted: Callable[[], int], cursor: str | None = None
) -> Iterator[Page[Item]]:
    """The pages from a cursor on, until there is no further one, or no more items are wanted.

    Args:
        ask: the page behind a cursor, or the first one, with at most N items. It may be short, or empty.
        wanted: how many items the next page may have; asked before each page.
        cursor: where the first page begins.
    """
    while (most := wanted()) > 0:
        page = ask(cursor, most)
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return
