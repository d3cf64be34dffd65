"""The bytes of contents, in chunks: rows short enough for every database, read and written one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from kharvest.spi import StoreUnavailable
from kharvest.spi.pieces import bytes_of
from kharvest_sql._database import Session
from kharvest_sql._schema import CHUNK, UNPUBLISHED

CHUNK_BYTES = 448 * 1024
"""The bytes of one row. PyMySQL may escape each of them: twice as many fit into MySQL's smallest packet, 1 MiB."""
_CONDEMNED = -1
"""In the place of the time a body was last touched: nobody adds to it any more, it is being removed."""
_DELETED_AT_ONCE = 64
"""Chunks deleted in one transaction: SQLite reads the pages of what it frees."""

Chunk = tuple[int, bytes]
"""Where in the body it starts, and its bytes."""


def cut(pieces: Iterable[bytes]) -> Iterator[Chunk]:
    """Pieces of any size as chunks of one size, but for the last."""
    return ((number * CHUNK_BYTES, data) for number, data in enumerate(bytes_of(CHUNK_BYTES, pieces)))


def begin(session: Session) -> int:
    """The number of a new body, which nobody can see, and which is a leftover when its putter dies."""
    session.run(f"INSERT INTO kharvest_unpublished (touched_at) VALUES ({session.dialect.now})")  # noqa: S608
    return int(session.first(session.dialect.last_id)[0])


def append(session: Session, body_id: int, chunks: Sequence[Chunk]) -> None:
    """Add chunks to a body that nobody can see yet.

    Raises:
        StoreUnavailable: the body was taken for a leftover meanwhile, and removed.
    """
    touched = session.run(
        f"UPDATE kharvest_unpublished SET touched_at = {session.dialect.now} WHERE id = ? AND touched_at <> ?",  # noqa: S608
        (body_id, _CONDEMNED),
    )
    if not touched:
        raise StoreUnavailable("this upload stood still for so long that it was removed", "send it again")
    session.insert(CHUNK, "body_id position", "data", [(body_id, start, data) for start, data in chunks])


def forget_number(session: Session, body_id: int) -> None:
    """End a body's being unpublished: it was published, or all of it is gone."""
    session.run("DELETE FROM kharvest_unpublished WHERE id = ?", (body_id,))


def leave(session: Session, body_ids: Sequence[int]) -> None:
    """Make published bodies leftovers, to be removed."""
    session.insert(UNPUBLISHED, "id", "touched_at", [(body_id, _CONDEMNED) for body_id in body_ids])


def remove(session: Session, body_ids: Sequence[int]) -> None:
    """Remove small bodies, at once."""
    session.delete(CHUNK, "body_id", [(body_id,) for body_id in body_ids])


def remove_some(session: Session, body_id: int) -> bool:
    """Remove some chunks of a leftover; False when that was the last of it."""
    row = session.first(
        "SELECT position FROM kharvest_chunk WHERE body_id = ? ORDER BY position LIMIT 1 OFFSET ?",
        (body_id, _DELETED_AT_ONCE),
    )
    if row is None:
        session.run("DELETE FROM kharvest_chunk WHERE body_id = ?", (body_id,))
        forget_number(session, body_id)
        return False
    session.run("DELETE FROM kharvest_chunk WHERE body_id = ? AND position < ?", (body_id, row[0]))
    return True


def condemn(session: Session, idle_seconds: int | None) -> list[int]:
    """The leftovers: bodies that nobody touched for so long, by the database's clock; with None, all.

    From here on nobody can publish them, so they can be removed in as many transactions as it takes.
    """
    if idle_seconds is None:
        session.run("UPDATE kharvest_unpublished SET touched_at = ?", (_CONDEMNED,))
    else:
        session.run(
            f"UPDATE kharvest_unpublished SET touched_at = ? WHERE touched_at <= {session.dialect.now} - ?",  # noqa: S608
            (_CONDEMNED, idle_seconds),
        )
    return [row[0] for row in session.all("SELECT id FROM kharvest_unpublished WHERE touched_at = ?", (_CONDEMNED,))]


def chunk_at(session: Session, body_id: int, offset: int) -> bytes | None:
    """What is left, from `offset` on, of the chunk that `offset` is in; None if it is gone."""
    row = session.first(
        "SELECT position, data FROM kharvest_chunk WHERE body_id = ? AND position <= ? ORDER BY position DESC LIMIT 1",
        (body_id, offset),
    )
    if row is None:
        return None
    start, data = row
    return bytes(data) if start == offset else bytes(memoryview(data)[offset - start :])
