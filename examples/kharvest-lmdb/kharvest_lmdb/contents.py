"""Contents: a row that names the content and its body, and the body's chunks under a number of their own."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Iterator
from itertools import islice, takewhile

from kharvest.spi import Content, UnknownContent
from kharvest_lmdb.environment import Environment
from kharvest_lmdb.rows import content_of, content_row

BATCH_BYTES = 4 * 2**20
"""How much of a body is kept in memory between two writes. Each write waits for the disk."""
LISTED_AT_ONCE = 1000


class Contents:
    """The half of the store that holds contents."""

    _environment: Environment

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        # Nobody sees a body before a content names it. One whose process was killed is never named; it costs room only.
        body = uuid.uuid4().bytes
        try:
            self._write(body, chunks)
            with self._environment.writing() as transaction:
                named = transaction.add("contents", content.sha256, content_row(content, body))
        except BaseException:
            self._remove(body)
            raise
        if not named:
            self._remove(body)

    def _write(self, body: bytes, chunks: Iterable[bytes]) -> None:
        """Write a body, in short transactions, none of which waits for a chunk."""
        number, batch, size = 0, list[bytes](), 0

        def flush() -> None:
            with self._environment.writing() as transaction:
                for at, chunk in enumerate(batch, number):
                    transaction.put("chunks", body + at.to_bytes(8), chunk)

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
        with self._environment.writing() as transaction:
            numbered = takewhile(lambda row: row[0].startswith(body), transaction.ascending("chunks", body))
            for key in [key for key, _chunk in numbered]:
                transaction.delete("chunks", key)

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        with self._environment.reading() as transaction:
            row = transaction.get("contents", sha256)
        if row is None:
            raise UnknownContent(sha256s=frozenset({sha256}))
        content, body = content_of(row)
        left, skipped, number = content.size, offset, 0
        while left > 0:
            # A snapshot for each chunk: one that is held while a slow reader reads keeps the file from reusing room.
            with self._environment.reading() as transaction:
                chunk = transaction.get("chunks", body + number.to_bytes(8))
            if chunk is None:
                raise UnknownContent(sha256s=frozenset({sha256}))
            if skipped < len(chunk):
                yield chunk[skipped:]
            left, skipped, number = left - len(chunk), max(0, skipped - len(chunk)), number + 1

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        with self._environment.reading() as transaction:
            rows = {sha256: transaction.get("contents", sha256) for sha256 in sha256s}
        return {sha256: content_of(row)[0] for sha256, row in rows.items() if row is not None}

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        while True:
            with self._environment.reading() as transaction:  # not one for all: a caller may take its time
                rows = islice(transaction.ascending("contents", after + b"\0"), LISTED_AT_ONCE)
                page = [content_of(row)[0] for _key, row in rows]
            yield from page
            if not page:
                return
            after = page[-1].sha256

    def discard(self, sha256s: Collection[bytes]) -> None:
        with self._environment.writing() as transaction:
            rows = {sha256: transaction.get("contents", sha256) for sha256 in sha256s}
            for sha256 in rows:
                transaction.delete("contents", sha256)
        for row in rows.values():
            if row is not None:
                self._remove(content_of(row)[1])
