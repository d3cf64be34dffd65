"""The collections with their indexes, the schema's version, and how much one statement should hold.

All names start with `kharvest_`, so a database may hold other things too. What the documents hold is told where they
are read and written: `batches`, `rows`, `contents`, `claims`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from pymongo import ASCENDING, IndexModel

from kharvest.spi.pieces import lists_of

T = TypeVar("T")

SCHEMA_VERSION = 2
"""Counts changes of the documents. A store with another one is refused."""
WRITTEN_BY = "kharvest-mongo 0.1"

STORE = "kharvest_store"
REFERENCES = "kharvest_references"
SIGNATURES = "kharvest_signatures"
CLAIMS = "kharvest_claims"
CONTENTS = "kharvest_contents"
CHUNKS = "kharvest_chunks"
DISCARDS = "kharvest_discards"


def _index(*fields: str, unique: bool = False, sparse: bool = False) -> IndexModel:
    return IndexModel([(field, ASCENDING) for field in fields], unique=unique, sparse=sparse)


INDEXES: dict[str, Sequence[IndexModel]] = {
    # One index serves every filter: each reference has a key for each thing that a query may ask for.
    REFERENCES: (
        _index("order"),
        _index("keys", "order"),
        _index("newest_keys", "order"),
        _index("newest_of", sparse=True),
        _index("removed_by", sparse=True),
        _index("followers.order", sparse=True),
    ),
    SIGNATURES: (_index("name"), _index("md5", "name"), _index("removed_by", sparse=True)),
    # Only what is published has a digest, and of several that are put at once only one can have it.
    CONTENTS: (_index("sha256", unique=True, sparse=True), _index("touched_at", sparse=True)),
    CHUNKS: (_index("body"),),
    DISCARDS: (_index("contents"),),
}

IN_AT_ONCE = 200
"""Values in one `$in`."""
CHANGED_AT_ONCE = 50
"""Documents that one statement changes alike; a command holds several."""
WRITTEN_AT_ONCE = 500
"""Documents that one command writes: a slow server has answered before it counts as gone."""
ONE_REPLY = 10_001
"""Documents in one reply, at most, where 101 are usual: what is asked for at once comes at once, up to 16 MB."""


def cut(values: Iterable[T], size: int = IN_AT_ONCE) -> Iterator[list[T]]:
    """The values in lists of what one statement should hold."""
    return lists_of(size, values)
