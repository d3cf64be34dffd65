"""Correct stores whose contents go unusual ways: the suite must not take them for broken."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator

from kharvest.spi import Content, ContentMismatch, UnknownContent
from kharvest_zoo.filed import FiledStore
from kharvest_zoo.plain import PlainStore

_COMPACTED_BYTES = 8 * 2**20


class ChecksContents(PlainStore):
    """Hashes what it is given itself."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        super().put(content, self.checked(content, chunks))

    def checked(self, content: Content, chunks: Iterable[bytes]) -> Iterator[bytes]:
        found = hashlib.sha256()
        for chunk in chunks:
            found.update(chunk)
            yield chunk
        if found.digest() != content.sha256:
            raise ContentMismatch(content, "sha256", found.hexdigest())


class StopsWhenItIsThere(PlainStore):
    """Draws no more chunks once the content has come from elsewhere."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        if content.sha256 not in self.state.contents:
            super().put(content, self.wanted(content, chunks))

    def wanted(self, content: Content, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if content.sha256 in self.state.contents:
                return
            yield chunk


class EndsReaders(PlainStore):
    """Tells readers of a content that was discarded so, also when it was put again."""

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        with self.session() as state:
            if sha256 not in state.contents:
                raise UnknownContent(sha256s=frozenset({sha256}))
            kept = state.contents[sha256][1]
        return self.skipped(self.watched(sha256, kept), offset)

    def watched(self, sha256: bytes, kept: object) -> Iterator[bytes]:
        for piece in self.pieces(kept):
            if self.state.contents.get(sha256, (None, None))[1] is not kept:
                raise UnknownContent(sha256s=frozenset({sha256}))
            yield piece


class CompactsNowAndThen(FiledStore):
    """Leaves what failed puts have written until it is worth a round of removal."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.garbage: dict[str, int] = {}

    def keep(self, chunks: Iterable[bytes]) -> object:
        body = uuid.uuid4().hex
        size = 0
        try:
            for number, chunk in enumerate(chunks):
                size += len(chunk)
                with self.lock:
                    self.database.execute("INSERT INTO piece VALUES (?, ?, ?)", (body, number, chunk))
        except BaseException:
            self.garbage[body] = size
            self.compact()
            raise
        return body

    def compact(self) -> None:
        """Remove what failed puts have left, if it is much."""
        if sum(self.garbage.values()) >= _COMPACTED_BYTES:
            with self.lock:
                for body in self.garbage:
                    self.database.execute("DELETE FROM piece WHERE body = ?", (body,))
            self.garbage.clear()


ODD_CONTENTS: dict[str, type[PlainStore]] = {
    store.__name__: store for store in (ChecksContents, StopsWhenItIsThere, EndsReaders, CompactsNowAndThen)
}
