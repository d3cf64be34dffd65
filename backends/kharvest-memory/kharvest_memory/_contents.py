"""The contents half: bytes by their SHA-256."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable, Iterator

from kharvest.spi import Content, UnknownContent


class Contents:
    """Contents in a dictionary, and their digests in order. Thread-safe: `_bodies_lock` guards both, and only them."""

    def __init__(self) -> None:
        self._bodies_lock = threading.Lock()
        self._bodies: dict[bytes, tuple[Content, tuple[bytes, ...]]] = {}
        self._digests: list[bytes] = []

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        if content.sha256 in self._bodies:
            return
        # Drawn to the end before the lock is taken: a slow sender stops nobody, and a failing one leaves nothing.
        body = tuple(chunks)
        with self._bodies_lock:
            if content.sha256 not in self._bodies:
                self._bodies[content.sha256] = (content, body)
                insort(self._digests, content.sha256)

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        with self._bodies_lock:
            if sha256 not in self._bodies:
                raise UnknownContent(frozenset({sha256}))
            _content, body = self._bodies[sha256]
        return _from_offset(body, offset)

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        with self._bodies_lock:
            return {sha256: self._bodies[sha256][0] for sha256 in sha256s if sha256 in self._bodies}

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        # One at a time, each found anew: the caller may take as long as it likes, and put or discard meanwhile.
        while True:
            with self._bodies_lock:
                index = bisect_right(self._digests, after)
                if index == len(self._digests):
                    return
                after = self._digests[index]
                content = self._bodies[after][0]
            yield content

    def discard(self, sha256s: Collection[bytes]) -> None:
        with self._bodies_lock:
            for sha256 in sha256s:
                if self._bodies.pop(sha256, None) is not None:
                    del self._digests[bisect_left(self._digests, sha256)]


def _from_offset(body: tuple[bytes, ...], offset: int) -> Iterator[bytes]:
    for chunk in body:
        if offset < len(chunk):
            yield chunk[offset:]
        offset = max(0, offset - len(chunk))
