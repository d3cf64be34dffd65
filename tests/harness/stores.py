"""References and contents for tests of stores, and walks through all pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import md5, sha256

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
