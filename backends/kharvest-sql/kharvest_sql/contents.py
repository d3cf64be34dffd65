"""The contents half: put, read, list, discard."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice

from kharvest.spi import Capability, Content, StoreCorrupt, StoreError, UnknownContent
from kharvest_sql import bodies
from kharvest_sql.database import Database, Session
from kharvest_sql.schema import CONTENT
from kharvest_sql.small import Small, SmallContents, is_small

_CHUNKS_AT_ONCE = 8
"""Chunks written in one transaction, 4 MiB: what one upload holds in memory, and for which others wait."""
_LISTED_AT_ONCE = 1000
_DISCARDED_AT_ONCE = 64
"""Contents discarded in one transaction: the bytes of small ones go at once."""


class SqlContents:
    """Contents in a database.

    The bytes of a content go, in short transactions, into a body that nobody can see; the last one publishes it. A
    content of few chunks is one transaction; those of one chunk share theirs with others (see `small`).
    """

    capabilities = frozenset({Capability.DURABLE, Capability.SHARED})

    def __init__(self, database: Database) -> None:
        self._contents_database = database
        self._small = SmallContents(database)

    def remove_leftovers(self, idle_seconds: int | None) -> None:
        """Remove the bodies of uploads that died: those that nobody touched for so long, or, with None, all."""
        for body_id in self._contents_database.write(lambda session: bodies.condemn(session, idle_seconds)):
            self._remove(body_id)

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        """See `ContentStore.put`."""
        if content.size > bodies.CHUNK_BYTES and self.present((content.sha256,)):
            return  # of a small one, the transaction sees to that
        cut = bodies.cut(chunks)
        batch = list(islice(cut, _CHUNKS_AT_ONCE))
        if len(batch) <= 1:
            self._small.put(Small(content, tuple(batch)))
            return
        if len(batch) < _CHUNKS_AT_ONCE:
            self._require_room(batch)
            self._contents_database.write(
                lambda session: _publish(session, content, _append(session, None, batch), last=True)
            )
            return
        body_id = None
        try:
            while len(batch) == _CHUNKS_AT_ONCE:
                body_id = self._append(body_id, batch)
                batch = list(islice(cut, _CHUNKS_AT_ONCE))
            last = batch
            self._require_room(last)
            published = self._contents_database.write(
                lambda session: _publish(session, content, _append(session, body_id, last), last=False)
            )
        except BaseException:
            self._abandon(body_id)
            raise
        if not published and body_id is not None:
            self._remove(body_id)  # somebody else's put was faster

    def _append(self, body_id: int | None, batch: list[bodies.Chunk]) -> int:
        self._require_room(batch)
        # Lost in a power cut, these chunks were never part of anything: the publishing transaction makes all durable.
        return self._contents_database.write(lambda session: _append(session, body_id, batch), durable=False)

    def _require_room(self, batch: list[bodies.Chunk]) -> None:
        self._contents_database.require_room(sum(len(data) for _start, data in batch))

    def _abandon(self, body_id: int | None) -> None:
        if body_id is not None:
            try:
                self._remove(body_id)
            except StoreError:
                return  # the error that led here is the one to tell of; this body is now a leftover like any other

    def _remove(self, body_id: int) -> None:
        while self._contents_database.write(lambda session: bodies.remove_some(session, body_id), durable=False):
            pass

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        """See `ContentStore.read`. Between two chunks it holds nothing: a reader may take its time."""
        with self._contents_database.read() as session:
            row = session.first("SELECT size, body_id FROM kharvest_content WHERE sha256 = ?", (sha256,))
        if row is None:
            raise UnknownContent(frozenset({sha256}))
        return self._chunks(sha256, row[0], row[1], offset)

    def _chunks(self, sha256: bytes, size: int, body_id: int, offset: int) -> Iterator[bytes]:
        while offset < size:
            with self._contents_database.read() as session:
                chunk = bodies.chunk_at(session, body_id, offset)
            if not chunk:
                if self.present((sha256,)):
                    raise StoreCorrupt(f"content {sha256.hex()} has no bytes at {offset} of {size}")
                raise UnknownContent(frozenset({sha256}))  # discarded while it was read
            yield chunk
            offset += len(chunk)

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        """See `ContentStore.present`."""
        if not sha256s:
            return {}
        with self._contents_database.read() as session:
            rows = session.matching("SELECT sha256, md5, size FROM kharvest_content WHERE sha256 IN", set(sha256s))
            return {row[0]: Content(row[0], row[1], row[2]) for row in rows}

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        """See `ContentStore.contents`."""
        while True:
            with self._contents_database.read() as session:
                rows = session.all(
                    "SELECT sha256, md5, size FROM kharvest_content WHERE sha256 > ? ORDER BY sha256 LIMIT ?",
                    (after, _LISTED_AT_ONCE),
                )
            for sha256, md5, size in rows:
                yield Content(sha256, md5, size)
            if len(rows) < _LISTED_AT_ONCE:
                return
            after = rows[-1][0]

    def discard(self, sha256s: Collection[bytes]) -> None:
        """See `ContentStore.discard`. A content is gone in one transaction; the bytes of a large one in several."""
        left = iter(set(sha256s))
        while some := set(islice(left, _DISCARDED_AT_ONCE)):
            self._discard(some)

    def _discard(self, sha256s: set[bytes]) -> None:
        for body_id in self._contents_database.write(lambda session: _unpublish(session, sha256s)):
            self._remove(body_id)


def _append(session: Session, body_id: int | None, batch: list[bodies.Chunk]) -> int:
    if body_id is None:
        body_id = bodies.begin(session)
    bodies.append(session, body_id, batch)
    return body_id


def _publish(session: Session, content: Content, body_id: int, *, last: bool) -> bool:
    """Make a body that is complete visible as `content`; False if another one is.

    `last`: this transaction is all there is of the body, so that it can be removed here if it is not needed.
    """
    row = (content.sha256, content.md5, content.size, body_id)
    session.insert(CONTENT, "sha256", "md5 size body_id", [row])
    there = session.first("SELECT body_id FROM kharvest_content WHERE sha256 = ?", (content.sha256,))
    published = bool(there[0] == body_id)
    if published:
        bodies.settle(session, body_id)
    elif last:
        bodies.remove_some(session, body_id)
    return published


def _unpublish(session: Session, sha256s: set[bytes]) -> list[int]:
    """Remove contents; the bodies that are leftovers now."""
    rows = session.matching("SELECT body_id FROM kharvest_content WHERE sha256 IN", sha256s)
    body_ids = [row[0] for row in rows]
    small = [body_id for body_id in body_ids if is_small(body_id)]
    large = [body_id for body_id in body_ids if not is_small(body_id)]
    bodies.leave(session, large)
    session.run_matching("DELETE FROM kharvest_content WHERE sha256 IN", sha256s)
    bodies.remove(session, small)
    return large
