"""The contract that a backend implements.

A store is synchronous, thread-safe and batched: the server calls it from worker threads, a batch at a time, and a
batch should cost one round trip. It reads no clock: times are passed in. It may assume that the values it is given keep
their limits, and must raise nothing but `kharvest.spi` errors for what happens at run time.

Every clause below is kept by a named test of the conformance suite.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Protocol

from kharvest.spi.values import Content, FileSummary, Page, Query, Reference, Signature, Timeline


class Capability(Enum):
    """What an opened store declares of itself. What is declared must hold."""

    DURABLE = "durable"
    """What a call has written when it returns survives a killed process, and a power cut as far as the disk keeps
    its word."""
    SHARED = "shared"
    """Several processes may have the same data open at once, and each sees what the others have written."""


class Opened(Protocol):
    """What every opened store has, whole or half."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this opened store guarantees."""

    def close(self) -> None:
        """Release what the store holds. Closing twice is allowed; any other call after it is a programmer's mistake."""


class ContentStore(Opened, Protocol):
    """The half of a store that holds contents."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        """Store the bytes of `content`.

        Visible whole or not at all: when `chunks` raises, that error is passed on and nothing is visible; the same when
        the process dies. Never holds the whole content in memory, and holds no lock that stops other calls while
        it waits for a chunk. Putting what is there already, also from several threads at once, succeeds and changes
        nothing; it need not consume `chunks`.

        The store need not hash: the core checks size, SHA-256 and MD5 while `chunks` are drawn and raises
        `ContentMismatch` from them, after the last chunk at the latest. So a store must draw `chunks` to its end
        before it makes anything visible.

        Raises:
            StoreFull: no room.
        """

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a content from `offset` on, in chunks of the store's choice, none of them empty.

        From an offset at or past the end: no chunks. A reader that stops early should close the iterator.

        Raises:
            UnknownContent: it is not there (raised by the call or on the first chunk).
        """

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        """Those of the contents that are stored, by their SHA-256."""

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        """All stored contents whose SHA-256 is greater than `after`, ascending by SHA-256."""

    def discard(self, sha256s: Collection[bytes]) -> None:
        """Remove contents; what is not there is passed over.

        The caller has seen to it that no file of any store refers to them: see `ReferenceStore.forget`.
        """


class ReferenceStore(Opened, Protocol):
    """The half of a store that holds references, and the claims."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        """Record references, and the content of their signatures, as one atomic and idempotent batch.

        `files` has the content of every signature among `references` that is not known yet; it may name known ones
        again, and never a removal. The same reference twice is one reference, in one batch or in two. References
        may come in any order of their times.

        Raises:
            UnknownContent: a content of `files` is not stored (checked by a store that holds both halves), or a
                signature is neither known nor in `files`; nothing was recorded.
            Conflict: a signature is known with another content than `files` says; nothing was recorded.
        """

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        """The content of those signatures that at least one reference in the store names. Never has removals."""

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        """The newest reference of those timelines that have any: the one that `latest` gives."""

    def references(self, query: Query) -> Page[Reference]:
        """One page of the references that match.

        The order is total and the same for every page: by time, and references of one time in an order that the
        store chooses and keeps. Ascending, or exactly reversed. Following the cursors gives every reference that
        was there at the start, and stays there, exactly once, whatever is recorded meanwhile.

        Raises:
            InvalidCursor: the cursor was not made by this store.
        """

    def files(self, query: Query) -> Page[FileSummary]:
        """One page of summaries of the files that matching references name, by path and MD5, ascending by code point.

        `query.order` has no meaning here. Removals have no summary.

        Raises:
            InvalidCursor: the cursor was not made by this store.
        """

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        """Lease each of `keys` (1 to 64 bytes) to `holder` until `until_ns`, exclusive; return those that it holds now.

        A key that somebody else holds, whose lease has not ended at `now_ns`, is not taken and left as it is. The
        holder extends its lease by claiming again. Of several takers exactly one wins. `holder` is 1 to 512
        bytes of UTF-8.
        """

    def release(self, keys: Collection[bytes], holder: str) -> None:
        """End the leases that `holder` holds on `keys`; all others are left as they are."""

    def forget(self, query: Query) -> int:
        """Remove at most `query.limit` of the references that match, the first ones in the query's order.

        Returns how many were removed; 0 when none is left. A signature that no reference names any more is no
        longer known. Contents stay: see `ContentStore.discard`.
        """


class Store(ContentStore, ReferenceStore, Protocol):
    """A backend opened on one URL: contents and references.

    A `record` whose content is not stored raises `UnknownContent`: no reference ever points at content that is not
    there.
    """
