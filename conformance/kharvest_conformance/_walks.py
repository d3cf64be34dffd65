"""Following cursors from page to page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from kharvest.spi import FileSummary, Page, Query, Reference, Store

Item = TypeVar("Item")

_EMPTY_PAGES = 100_000
"""How many pages in a row may be empty before a walk counts as endless: a store may look at a few rows for each."""

_TIMES = 16
"""How often a walk may give one item before it counts as endless: what is forgotten and recorded again comes twice."""


def reference_pages(store: Store, query: Query) -> Iterator[tuple[Reference, ...]]:
    """The items of page after page of references."""
    return _pages(store.references, query)


def file_pages(store: Store, query: Query) -> Iterator[tuple[FileSummary, ...]]:
    """The items of page after page of file summaries."""
    return _pages(store.files, query)


def walk(store: Store, query: Query) -> list[Reference]:
    """All references that match, page by page."""
    return [item for page in reference_pages(store, query) for item in page]


def walk_files(store: Store, query: Query) -> list[FileSummary]:
    """All summaries that match, page by page."""
    return [item for page in file_pages(store, query) for item in page]


def _pages(read: Callable[[Query], Page[Item]], query: Query) -> Iterator[tuple[Item, ...]]:
    passed: set[str] = set()
    given: Counter[Item] = Counter()
    empty = 0
    cursor = query.cursor
    while True:
        page = read(replace(query, cursor=cursor))
        assert isinstance(page.items, tuple)
        assert len(page.items) <= query.limit, f"a page of {query.limit} has {len(page.items)} items"
        yield page.items
        if page.next_cursor is None:
            return
        assert isinstance(page.next_cursor, str)
        cursor = page.next_cursor
        given.update(page.items)
        repeats = max(map(given.__getitem__, page.items), default=0)
        assert repeats <= _TIMES, "the walk gives the same again and again"
        assert cursor not in passed, "pages lead in a circle: the walk never ends"
        passed.add(cursor)
        empty = 0 if page.items else empty + 1
        assert empty < _EMPTY_PAGES, f"{empty} empty pages in a row: the walk never ends"
