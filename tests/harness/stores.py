"""References and contents for tests of stores, walks through all pages, and what several of the stores are held to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from hashlib import md5, sha256
from threading import Barrier

import pytest

from kharvest.spi import (
    REMOVED,
    Content,
    FileSummary,
    Metadata,
    Pod,
    Query,
    Reference,
    Signature,
    Store,
    UnknownContent,
)


def content_of(data: bytes) -> Content:
    return Content(sha256(data).digest(), md5(data, usedforsecurity=False).digest(), len(data))


def reference(time_ns: int, path: str = "/etc/a", pod: str = "web-0", data: bytes = b"x", **labels: str) -> Reference:
    return Reference(Signature(path, content_of(data).md5), Pod("shop", pod), Metadata(labels), time_ns)


def removal(time_ns: int, path: str = "/etc/a", pod: str = "web-0") -> Reference:
    return replace(reference(time_ns, path, pod), signature=Signature(path, REMOVED))


def files_of(*references: Reference, data: bytes = b"x") -> Mapping[Signature, Content]:
    return {one.signature: content_of(data) for one in references if not one.signature.is_removal}


def record(store: Store, *references: Reference, data: bytes = b"x") -> None:
    store.put(content_of(data), [data])
    store.record(files_of(*references, data=data), references)


def all_references(store: Store, query: Query) -> list[Reference]:
    found: list[Reference] = []
    while True:
        page = store.references(query)
        found += page.items
        assert len(page.items) <= query.limit
        if page.next_cursor is None:
            return found
        query = replace(query, cursor=page.next_cursor)


def all_files(store: Store, query: Query) -> list[FileSummary]:
    found: list[FileSummary] = []
    while True:
        page = store.files(query)
        found += page.items
        assert len(page.items) <= query.limit
        if page.next_cursor is None:
            return found
        query = replace(query, cursor=page.next_cursor)


def check_replicas_that_start_together(open_replica: Callable[[], Store], replicas: int) -> None:
    """They make one store of a place where none is yet: each sees what the others record."""
    start = Barrier(replicas)

    def open_at_once(_: int) -> Store:
        start.wait(30)
        return open_replica()

    with ExitStack() as opened, ThreadPoolExecutor(replicas) as threads:
        stores = [opened.enter_context(closing(store)) for store in threads.map(open_at_once, range(replicas))]
        for number, store in enumerate(stores):
            record(store, reference(number))
        for store in stores:
            assert [one.observed_at_ns for one in all_references(store, Query())] == list(range(replicas))


def check_put_that_fails(store: Store, sent: bytes) -> None:
    """In an empty store: a put whose chunks end in an error, after so many bytes, passes it on and shows nothing."""

    def broken() -> Iterator[bytes]:
        yield sent
        raise RuntimeError("sender died")

    whole = content_of(sent + b"and the rest")
    with pytest.raises(RuntimeError, match="sender died"):
        store.put(whole, broken())
    assert list(store.contents()) == []
    with pytest.raises(UnknownContent):
        list(store.read(whole.sha256))
