"""Rows that many references rely on: signatures, the ways to them, and sets of metadata. Each goes when the last does.

No row counts its references: all who record a file would change that count, and each other's commits would fail.
Instead each shared row begins with its *life*: whether it is marked, and random bytes. Recording a reference only
expects that the row stays as it is. Forgetting one gives the row a new life: so of two calls that forget, the second
one sees what the first has left.

Deleting a row takes two commits. The first marks the row, which does not change any answer. Then it looks in a new
view whether any reference is left that relies on the row. The second commit deletes the row, provided that it still has
that mark. A commit that relies on a marked row takes the mark away. So of a commit that adds a reference and one that
deletes the row, one fails and starts again.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from kharvest.records import _keys as keys
from kharvest.records import _rows as rows
from kharvest.records import _signatures as signatures
from kharvest.records._keys import Kind
from kharvest.spi import Signature

_ALIVE, _MARKED = b"\0", b"\1"


@dataclass(frozen=True, slots=True)
class Shared:
    """The key of a shared row, and what the keys of the rows begin with that rely on it."""

    key: bytes
    relied_on_by: bytes
    is_way: bool = False


def of_signatures(some: Collection[Signature]) -> Iterator[Shared]:
    """The rows of signatures, and the ways to them, each behind all that rely on it."""
    for one in some:
        yield Shared(signatures.key_of(one), keys.history(Kind.SIGNATURE, keys.signature_id(one)))
    ways = [signatures.ways_to(path) for path in {one.path for one in some}]
    deepest = max(map(len, ways), default=0)
    for depth in range(deepest, 0, -1):
        for way in {of_path[-depth] for of_path in ways if len(of_path) >= depth}:
            yield Shared(way.key, way.leads_to, is_way=True)


def of_metadata(metadata_id: bytes) -> Shared:
    """The first row of a set of metadata."""
    return Shared(keys.metadata(metadata_id, 0), keys.history(Kind.METADATA, metadata_id))


def alive(body: bytes) -> bytes:
    """A row that nobody is about to delete."""
    return _ALIVE + os.urandom(rows.LIFE_BYTES - 1) + body


def changed(row: bytes) -> bytes:
    """The row, with a new life, and without a mark."""
    return alive(row[rows.LIFE_BYTES :])


def marked(row: bytes) -> bytes:
    """The row, with a mark that no other has."""
    return _MARKED + os.urandom(rows.LIFE_BYTES - 1) + row[rows.LIFE_BYTES :]


def is_marked(row: bytes) -> bool:
    """Whether somebody may be about to delete the row."""
    return row.startswith(_MARKED)
