"""The contents half: put, read, list, discard."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from itertools import islice

from kharvest.spi import Capability, Content, StoreCorrupt, StoreError, UnknownContent
from kharvest.spi.pieces import listing
from kharvest.spi.room import Allotment
from kharvest_sql import _bodies as bodies
from kharvest_sql._database import Database, Session
from kharvest_sql._schema import CONTENT
from kharvest_sql._small import Small, SmallContents, is_small

_CHUNKS_AT_ONCE = 8
"""Chunks written in one transaction, 3.5 MiB: what one upload holds in memory, and for which others wait."""


class SqlContents:
    """Contents in a database.

    The bytes of a content go, in short transactions, into a body that nobody can see; the last one publishes it. A
    content of few chunks is one transaction; those of one chunk share theirs with others (see `small`).
    """

    capabilities = frozenset({Capability.DURABLE, Capability.SHARED})

    def __init__(self, database: Database) -> None:
        self._contents_database = database
        self._small = SmallContents(database)
        self._abandoned: deque[int] = deque()

    def remove_leftovers(self, idle_seconds: int | None) -> None:
        """Remove the bodies of uploads that died: those that nobody touched for so long, or, with None, all."""
        self._abandon(self._contents_database.remove(lambda session: bodies.condemn(session, idle_seconds)))

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        """See `ContentStore.put`. What does not fit is refused before its first chunk is drawn."""
        self._abandon(())
        cut = bodies.cut(chunks)
        if content.size <= bodies.CHUNK_BYTES:
            self._small.put(Small(content, tuple(cut)))
        elif not self.present((content.sha256,)):  # of a small one, the transaction sees to that
            with self._contents_database.room_for(content.size) as room:
                self._put(content, cut, room)

    def _put(self, content: Content, cut: Iterator[bodies.Chunk], room: Allotment) -> None:
        batch = list(islice(cut, _CHUNKS_AT_ONCE))
        if len(batch) < _CHUNKS_AT_ONCE:
            self._contents_database.write(
                lambda session: _publish(session, content, _append(session, None, batch), last=True)
            )
            return
        body_id = None
        try:
            while len(batch) == _CHUNKS_AT_ONCE:
                body_id = self._append(body_id, batch)
                room.wrote(sum(len(data) for _start, data in batch))
                batch = list(islice(cut, _CHUNKS_AT_ONCE))
                room.check()
            last = batch
            published = self._contents_database.write(
                lambda session: _publish(session, content, _append(session, body_id, last), last=False)
            )
        except BaseException:
            self._abandon(_some(body_id))
            raise
        if not published:  # somebody else's put was faster
            self._abandon(_some(body_id))

    def _append(self, body_id: int | None, batch: list[bodies.Chunk]) -> int:
        # Lost in a power cut, these chunks were never part of anything: the publishing transaction makes all durable.
        return self._contents_database.write(lambda session: _append(session, body_id, batch), durable=False)

    def _abandon(self, body_ids: Collection[int]) -> None:
        """Remove bodies that are of no use any more, and those that could not be removed before.

        An error here fails no call: what could not be removed is tried again with the next put.
        """
        self._abandoned.extend(body_ids)
        for _ in range(len(self._abandoned)):
            try:
                body_id = self._abandoned.popleft()
            except IndexError:  # another thread is removing it
                return
            try:
                self._remove(body_id)
            except StoreError:
                self._abandoned.append(body_id)
                return

    def _remove(self, body_id: int) -> None:
        while self._contents_database.remove(lambda session: bodies.remove_some(session, body_id), durable=False):
            pass

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        """See `ContentStore.read`. Between two chunks it holds nothing: a reader may take its time."""
        with self._contents_database.glance() as session:
            row = session.first("SELECT size, body_id FROM kharvest_content WHERE sha256 = ?", (sha256,))
        if row is None:
            raise UnknownContent(frozenset({sha256}))
        return self._chunks(sha256, row[0], row[1], offset)

    def _chunks(self, sha256: bytes, size: int, body_id: int, offset: int) -> Iterator[bytes]:
        while offset < size:
            with self._contents_database.glance() as session:
                chunk = bodies.chunk_at(session, body_id, offset)
            if not chunk:
                if self._body_of(sha256) == body_id:
                    raise StoreCorrupt(f"content {sha256.hex()} has no bytes at {offset} of {size}")
                raise UnknownContent(frozenset({sha256}))  # discarded while it was read, and maybe put again
            yield chunk
            offset += len(chunk)

    def _body_of(self, sha256: bytes) -> int | None:
        with self._contents_database.glance() as session:
            row = session.first("SELECT body_id FROM kharvest_content WHERE sha256 = ?", (sha256,))
        return None if row is None else int(row[0])

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        wanted = set(sha256s)
        if not wanted:
            return {}
        with self._contents_database.glance() as session:
            rows = session.matching("SELECT sha256, md5, size FROM kharvest_content WHERE sha256 IN", wanted)
            return {row[0]: Content(*row) for row in rows}

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        return listing(self._some, after)

    def _some(self, after: bytes, limit: int) -> list[Content]:
        sql = "SELECT sha256, md5, size FROM kharvest_content WHERE sha256 > ? ORDER BY sha256 LIMIT ?"
        with self._contents_database.glance() as session:
            return [Content(*row) for row in session.all(sql, (after, limit))]

    def discard(self, sha256s: Collection[bytes]) -> None:
        """See `ContentStore.discard`. All are gone in one transaction; the bytes of large ones go in others."""
        wanted = set(sha256s)
        if wanted:
            self._abandon(self._contents_database.remove(lambda session: _unpublish(session, wanted)))


def _some(body_id: int | None) -> tuple[int, ...]:
    return () if body_id is None else (body_id,)


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
    (there,) = session.claim_rows(CONTENT, "sha256", "md5 size body_id", [row])
    published = bool(there[3] == body_id)
    if published:
        bodies.forget_number(session, body_id)
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
