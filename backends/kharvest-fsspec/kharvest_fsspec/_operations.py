"""What can be done to a store: the entries of its log.

Every one does the same wherever it is done to the same state, so whoever does all of them in their order has the same
store, down to the numbers that cursors are made of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from kharvest.spi import Content, Query, Reference, Signature


@dataclass(frozen=True, slots=True)
class Record:
    """See `ReferenceStore.record`."""

    files: Mapping[Signature, Content]
    references: Sequence[Reference]


@dataclass(frozen=True, slots=True)
class Append:
    """See `ReferenceStore.append`; answers the references as they were recorded.

    It has the times as they were given: those that are recorded follow from the state that it comes to.
    """

    files: Mapping[Signature, Content]
    references: Sequence[Reference]


@dataclass(frozen=True, slots=True)
class Forget:
    """See `ReferenceStore.forget`; answers how many."""

    query: Query


@dataclass(frozen=True, slots=True)
class Claim:
    """See `ReferenceStore.claim`; answers the keys that are held."""

    keys: Sequence[bytes]
    holder: str
    now_ns: int
    until_ns: int


@dataclass(frozen=True, slots=True)
class Release:
    """See `ReferenceStore.release`."""

    keys: Sequence[bytes]
    holder: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Make an uploaded object visible as a content, unless there is one; answers whether it was."""

    content: Content
    object_name: str


@dataclass(frozen=True, slots=True)
class Discard:
    """See `ContentStore.discard`; answers the names of the objects that nobody needs any more."""

    sha256s: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Sweep:
    """Condemn objects that nobody published in a long time: they will never be. Answers those that can be removed.

    `at_ns` is when, by the clock of the place.
    """

    object_names: Sequence[str]
    at_ns: int


Operation: TypeAlias = Record | Append | Forget | Claim | Release | Publish | Discard | Sweep
