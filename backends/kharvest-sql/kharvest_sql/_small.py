"""Small contents, of one chunk: those that are put at the same time share a transaction and its few statements.

Their bodies have numbers of their own. A large body takes its number from `kharvest_unpublished`, with a statement for
each; a small one is never unpublished, so a handle takes one number from there for a million of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from kharvest.spi import Content, GroupCommit, StoreUnavailable
from kharvest_sql import _bodies as bodies
from kharvest_sql._database import Database, Session
from kharvest_sql._schema import CHUNK, CONTENT

_FIRST = 2**62
"""Numbers of small bodies begin here: those of large ones, which are counted up from 1, never get so far."""
_RANGE = 2**20


def is_small(body_id: int) -> bool:
    """Whether a body came, and can be removed, in one transaction."""
    return body_id >= _FIRST


@dataclass(frozen=True, slots=True)
class Small:
    """A content and all of its bytes: of one chunk, or of none if it is empty."""

    content: Content
    chunks: tuple[bodies.Chunk, ...]


class SmallContents:
    """Puts small contents. Thread-safe: numbers are given out by the leader of a group only."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._groups: GroupCommit[Small, None] = GroupCommit(
            self._put, is_shared=lambda error: isinstance(error, StoreUnavailable)
        )
        self._numbers = count(0)
        self._left = 0

    def put(self, small: Small) -> None:
        """Make it durable and visible; what is there already is left as it is."""
        self._groups.run(small)

    def _put(self, smalls: Sequence[Small]) -> list[None]:
        # In one order for all: two servers that put the same ones wait for each other, and not in a circle.
        wanted = sorted({small.content.sha256: small for small in smalls}.items())
        with self._database.room_for(sum(len(data) for small in smalls for _start, data in small.chunks)):
            numbered = [(self._number(), small) for _sha256, small in wanted]
            self._database.write(lambda session: _publish(session, numbered))
        return [None] * len(smalls)

    def _number(self) -> int:
        """A number that no other body has or had, in any process."""
        if not self._left:
            # Committed by itself: a number that was rolled back would be given to somebody else too.
            taken = self._database.write(_take_number, durable=False)
            self._numbers = count(_FIRST + taken * _RANGE)
            self._left = _RANGE
        self._left -= 1
        return next(self._numbers)


def _take_number(session: Session) -> int:
    number = bodies.begin(session)
    bodies.forget_number(session, number)
    return number


def _publish(session: Session, numbered: Sequence[tuple[int, Small]]) -> None:
    rows = [(small.content.sha256, small.content.md5, small.content.size, number) for number, small in numbered]
    there = session.claim_rows(CONTENT, "sha256", "md5 size body_id", rows)
    ours = {row[3] for row in there}  # without those that somebody else's put was faster with
    session.changes_nothing = not ours.intersection(number for number, _small in numbered)
    chunks = [(number, *chunk) for number, small in numbered if number in ours for chunk in small.chunks]
    session.insert(CHUNK, "body_id position", "data", chunks)
