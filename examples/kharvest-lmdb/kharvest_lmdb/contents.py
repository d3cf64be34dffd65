"""Contents: a row that names the content and its body, and the body's chunks under a number of their own."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Iterator

from kharvest.spi import Content, UnknownContent
from kharvest_lmdb.engine import LmdbEngine

BATCH_BYTES = 4 * 2**20
"""How much of a body is kept in memory between two writes. Each write waits for the disk."""
LISTED_AT_ONCE = 1000
END = b"\xff" * 33
"""Behind every digest."""


class Contents:
    """The half of the store that holds contents."""

    _lmdb: LmdbEngine

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        # Nobody sees a body before a content names it. One whose process was killed is never named; it costs room only.
        body = uuid.uuid4().bytes
        try:
            self._write(body, chunks)
            with self._lmdb.writing(b"contents") as contents:
                is_new = not contents.get([content.sha256])
                if is_new:
                    contents.put(content.sha256, content.md5 + content.size.to_bytes(8) + body)
        except BaseException:
            self._remove(body)
            raise
        if not is_new:
            self._remove(body)

    def _write(self, body: bytes, chunks: Iterable[bytes]) -> None:
        """Write a body, in short transactions, none of which waits for a chunk."""
        number, batch, size = 0, list[bytes](), 0

        def flush() -> None:
            with self._lmdb.writing(b"chunks") as table:
                for at, chunk in enumerate(batch, number):
                    table.put(body + at.to_bytes(8), chunk)

        for chunk in chunks:
            if chunk:
                batch.append(chunk)
                size += len(chunk)
            if size >= BATCH_BYTES:
                flush()
                number, batch, size = number + len(batch), [], 0
        if batch:
            flush()

    def _remove(self, body: bytes) -> None:
        with self._lmdb.writing(b"chunks") as chunks:
            while rows := chunks.scan(body, body + END, limit=1):
                chunks.delete(rows[0][0])

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        with self._lmdb.reading(b"contents") as contents:
            row = contents.get([sha256]).get(sha256)
        if row is None:
            raise UnknownContent(sha256s=frozenset({sha256}))
        content, body = _content(sha256, row), row[24:]
        left, skipped, number = content.size, offset, 0
        while left > 0:
            # A snapshot for each chunk: one that is held while a slow reader reads keeps the file from reusing room.
            key = body + number.to_bytes(8)
            with self._lmdb.reading(b"chunks") as chunks:
                chunk = chunks.get([key]).get(key)
            if chunk is None:
                raise UnknownContent(sha256s=frozenset({sha256}))
            if skipped < len(chunk):
                yield chunk[skipped:]
            left, skipped, number = left - len(chunk), max(0, skipped - len(chunk)), number + 1

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        with self._lmdb.reading(b"contents") as contents:
            rows = contents.get(sha256s)
        return {sha256: _content(sha256, row) for sha256, row in rows.items()}

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        while True:
            with self._lmdb.reading(b"contents") as contents:  # not one for all: a caller may take its time
                page = [_content(*row) for row in contents.scan(after + b"\0", END, limit=LISTED_AT_ONCE)]
            yield from page
            if not page:
                return
            after = page[-1].sha256

    def discard(self, sha256s: Collection[bytes]) -> None:
        with self._lmdb.writing(b"contents") as contents:
            rows = contents.get(sha256s)
            for sha256 in rows:
                contents.delete(sha256)
        for row in rows.values():
            self._remove(row[24:])


def _content(sha256: bytes, row: bytes) -> Content:
    return Content(sha256, row[:16], int.from_bytes(row[16:24]))
