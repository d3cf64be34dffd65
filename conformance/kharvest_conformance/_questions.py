"""What each method that reads says of one file, in values that two handles can be compared by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from kharvest.spi import Order, Query, Store, UnknownContent
from kharvest_conformance._samples import File

Question = Callable[[Store, File], object]


def _data(store: Store, file: File) -> object:
    try:
        return b"".join(store.read(file.content.sha256))
    except UnknownContent:
        return None


def _end(store: Store, file: File) -> object:
    try:
        return b"".join(store.read(file.content.sha256, file.content.size - 1))
    except UnknownContent:
        return None


def _times(query: Query, store: Store) -> list[int]:
    return [one.observed_at_ns for one in store.references(query).items]


QUESTIONS: Mapping[str, Question] = MappingProxyType(
    {
        "present": lambda store, file: store.present([file.content.sha256]).get(file.content.sha256),
        "contents": lambda store, file: file.content in list(store.contents()),
        "contents after": lambda store, file: file.content in list(store.contents(file.content.sha256[:-1])),
        "read": _data,
        "read from an offset": _end,
        "known": lambda store, file: store.known([file.signature]).get(file.signature),
        "newest": lambda store, file: store.newest([file.seen().timeline]).get(file.seen().timeline),
        "references": lambda store, file: _times(Query(path=file.path), store),
        "references of a file version": lambda store, file: _times(Query(path=file.path, md5=file.content.md5), store),
        "references below a folder": lambda store, file: _times(Query(path_prefix=file.path), store),
        "latest references": lambda store, file: _times(Query(path=file.path, latest=True), store),
        "newest references": lambda store, file: _times(
            Query(path=file.path, order=Order.NEWEST_FIRST, limit=1), store
        ),
        "files": lambda store, file: store.files(Query(path=file.path)).items,
    }
)
"""Questions about a file, by name."""
