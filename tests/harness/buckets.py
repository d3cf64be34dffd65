"""Stores in buckets, for tests that look at their requests and objects: a bucket that is watched, and what is put."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from typing import TypeVar

from harness.stores import content_of
from kharvest.spi import Content, Metadata, Pod, Reference, Signature, Store
from kharvest.spi.room import Allotment
from kharvest_fsspec._bucket import Bucket, Entry

T = TypeVar("T")


class WatchedBucket:
    """A real bucket whose requests are counted, and in whose way a test may stand: it passes
    everything on. Requests of a store's upkeep do not count. `before` and `after` are called with a request's kind
    and name.
    """

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.capabilities = bucket.capabilities
        self.requests: Counter[str] = Counter()
        self.before: Callable[[str, str], None] = nothing
        self.after: Callable[[str, str], None] = nothing

    def get(self, name: str) -> bytes:
        return self._pass("get", name, lambda: self.bucket.get(name))

    def get_some(self, names: Collection[str]) -> dict[str, bytes]:
        return self._pass("get_some", "", lambda: self.bucket.get_some(names), len(names))

    def get_range(self, name: str, start: int, length: int) -> bytes:
        return self._pass("get_range", name, lambda: self.bucket.get_range(name, start, length))

    def create(self, name: str, data: bytes) -> None:
        self._pass("create", name, lambda: self.bucket.create(name, data))

    def upload(self, name: str, parts: Iterable[bytes]) -> None:
        self._pass("upload", name, lambda: self.bucket.upload(name, parts))

    def room_for(self, wanted: int) -> AbstractContextManager[Allotment]:
        return self.bucket.room_for(wanted)

    def spare_room(self) -> AbstractContextManager[None]:
        return self.bucket.spare_room()

    def remove(self, names: Collection[str]) -> None:
        self._pass("remove", "", lambda: self.bucket.remove(names))

    def entries(self, folder: str, start: str = "") -> list[Entry]:
        return self._pass("entries", folder, lambda: self.bucket.entries(folder, start))

    def modified_ns(self, name: str) -> int:
        return self._pass("modified_ns", name, lambda: self.bucket.modified_ns(name))

    def now_ns(self) -> int:
        return self._pass("now_ns", "", self.bucket.now_ns)

    def is_empty(self) -> bool:
        return self._pass("is_empty", "", self.bucket.is_empty)

    def prepare(self) -> None:
        self.bucket.prepare()

    def close(self) -> None:
        self.bucket.close()

    def _pass(self, kind: str, name: str, call: Callable[[], T], number: int = 1) -> T:
        if "upkeep" not in threading.current_thread().name:
            self.requests[kind] += number
        self.before(kind, name)
        answer = call()
        self.after(kind, name)
        return answer


def nothing(_kind: str, _name: str) -> None:
    pass


X = content_of(b"x")


def seen(at_ns: int, path: str = "/etc/a", pod: str = "web-0", content: Content = X) -> Reference:
    return Reference(Signature(path, content.md5), Pod("shop", pod), Metadata({"app": "web"}), at_ns)


def record(store: Store, *times: int) -> None:
    """Put a content and record a reference to it at each of the times, one by one."""
    store.put(X, [b"x"])
    for at_ns in times:
        one = seen(at_ns)
        store.record({one.signature: X}, [one])
