"""The contract that a backend implements.

A store is synchronous, thread-safe and batched: the server calls it from worker threads, a batch at a time, and a
batch should cost one round trip. Times are passed in: nothing but `now_ns` reads a clock. A store may assume that the
values it is given keep their limits, and must raise nothing but `kharvest.spi` errors for what happens at run time.

A batch holds 0 to MAX_BATCH items, in strings and bytes of at most MAX_BATCH_BYTES together, and may name a thing
twice. It comes in any collection: a list, a tuple, a set, a view of a dictionary. Only `references` of `record` and
`append` have an order. A store keeps nothing that it is given and changes nothing of it: the caller may use it again.
What a method returns is of the type that its signature says, and the caller's own. Arguments may be given by name.

Every call takes effect whole or not at all, and each read shows one moment: what a batch wrote is in an answer whole
or not at all. A read changes nothing. Calls that come at once take effect in some order. None fails because others
are under way.

No method holds a lock, or anything else of which there is a limited number, while its caller draws chunks or contents,
or supplies chunks: an iterator that is left half drawn stops no other call.

An open store belongs to its process. A process that was forked opens its own, and does not touch the one it
inherited, not even to close it; the parent's goes on.

Every clause below is kept by a named test of the conformance suite.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Protocol

from kharvest.spi._values import Content, FileSummary, Page, Query, Reference, Signature, Timeline


class Capability(Enum):
    """What an opened store declares of itself. What is declared must hold."""

    DURABLE = "durable"
    """What a call has written when it returns survives a killed process, and a power cut as far as the disk keeps
    its word."""
    SHARED = "shared"
    """Several processes may have the same data open at once, and each sees what the others have written. One that is
    killed at any moment stops none of the others."""


class Opened(Protocol):
    """What every opened store has, whole or half."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this opened store guarantees: always the same, and all that `Backend.capabilities` has, or more."""

    def close(self) -> None:
        """Release what the store holds. Closing twice is allowed; any other call after it is a programmer's mistake.

        Other handles on the same data stay open. Iterators that are left half drawn do not keep it from returning, nor
        from releasing what they hold; one that is drawn afterwards goes on or raises, and never ends early. A caller
        ends its calls before it closes; calls under way may fail with any error, but what was acknowledged stays, and
        what was not is there whole or not at all.
        """


class ContentStore(Opened, Protocol):
    """The half of a store that holds contents."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        """Store the bytes of `content`.

        `chunks` can be drawn once. Its chunks have 1 to MAX_CHUNK_BYTES bytes; an empty content has none.

        Visible whole or not at all: when `chunks` raises, whatever it raises, that error itself is passed on and
        nothing is visible; the same when the process dies. What was written of it takes no room once the call has
        failed. What a process that died has left may stay until the next opening, or until the store cleans up.

        Never holds the whole content in memory, and holds no lock that stops other calls while it waits for a chunk.
        Putting what is there already, also from several threads at once, succeeds and changes nothing; it need not
        consume `chunks`. Of several puts of one content at once, one that fails does not disturb the others.

        The store need not hash: the core checks size, SHA-256 and MD5 while `chunks` are drawn and raises
        `ContentMismatch` from them, after the last chunk at the latest. So a store must draw `chunks` to its end
        before it makes anything visible.

        Raises:
            StoreFull: no room.
        """

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a content from `offset` on, in chunks of the store's choice, none of them empty.

        From an offset at or past the end: no chunks. A reader that stops early should close the iterator. Never holds
        the whole content in memory.

        A content that is discarded while it is read is given to its end, or the iterator raises: it never ends early
        without an error.

        Raises:
            UnknownContent: it is not there (raised by the call or on the first chunk), or not there any more.
        """

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        """Those of the contents that are stored, by their SHA-256."""

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        """All stored contents whose SHA-256 is greater than `after`, ascending by SHA-256.

        `after` may have any length, also none: it is compared byte by byte. What is there all the while is given once,
        whatever is put and discarded meanwhile.
        """

    def discard(self, sha256s: Collection[bytes]) -> None:
        """Remove contents; what is not there is passed over.

        The caller has seen to it that no file of any store refers to them (see `ReferenceStore.forget`), and that none
        is recorded until this returns: a store need not look. Should both come at once, either may win, but neither
        fails for another reason than that the content is not there, and no content is there in part.
        """


class ReferenceStore(Opened, Protocol):
    """The half of a store that holds references, and the claims."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        """Record references, and the content of their signatures, as one atomic and idempotent batch.

        `files` has the content of every signature among `references` that is not known yet; it may name known ones
        again, and never a removal. The same reference twice is one reference, in one batch or in two. References
        may come in any order of their times.

        A signature of `files` that none of `references` names is not recorded.

        Raises:
            UnknownContent: a content of `files` is not stored (checked by a store that holds both halves), or a
                signature is neither known nor in `files`; nothing was recorded. It names all contents, or all
                signatures, that are missing.
            Conflict: a signature is known with another content than `files` says; nothing was recorded.
        """

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        """Record references as the newest of their timelines, each after those before it in `references`.

        Returns them as they were recorded, in order. A reference whose time is later than that of its timeline's newest
        keeps it; any other gets the time of the newest plus one. So what is appended last is the newest, whatever the
        clocks of those who append.

        One atomic batch; `files` is as for `record`. Of several appends to one timeline at once each comes after the
        others: no two references get one time. Not idempotent: the same reference again is one more. Who does not know
        whether an append took effect asks `newest` first.

        Raises:
            UnknownContent, Conflict: as for `record`; nothing was recorded.
            InvalidValue: a timeline's newest is at MAX_TIME_NS, and no time comes after it; nothing was recorded.
        """

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        """The content of those signatures that at least one reference in the store names. Never has removals."""

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        """The newest reference of those timelines that have any: the one that `latest` gives."""

    def references(self, query: Query) -> Page[Reference]:
        """One page of the references that match.

        The order is total and the same for every page: by time, and references of one time in an order that the
        store chooses and keeps. Ascending, or exactly reversed. Following the cursors gives every reference that
        was there at the start, and stays there, exactly once, whatever is recorded meanwhile. A page shows one moment;
        the pages of one walk may show several.

        Raises:
            InvalidCursor: the cursor was not made by this store. One that was changed, if only in one character, was
                not; nor was one of another query, or of the other method.
        """

    def files(self, query: Query) -> Page[FileSummary]:
        """One page of summaries of the files that matching references name, by path and MD5, ascending by code point.

        `query.order` has no meaning here. Removals have no summary. Following the cursors gives every file that was
        there at the start, and stays there, exactly once. A page shows one moment.

        Raises:
            InvalidCursor: the cursor was not made by this store. One that was changed, if only in one character, was
                not; nor was one of another query, or of the other method.
        """

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        """Lease each of `keys` (1 to 64 bytes) to `holder` until `until_ns`, exclusive; return those that it holds now.

        A key that somebody else holds, whose lease has not ended at `now_ns`, is not taken and left as it is. The
        holder extends its lease by claiming again, also after it has ended, and may so end it earlier. Of several
        takers exactly one wins. `holder` is 1 to 512 bytes of UTF-8.

        Each key is decided for itself, here and in `release`: calls with several keys that come at once may share them
        out, or see a part of what another has released.

        The times are the caller's: they may be far from the store's clock, differ between callers, and go back. A lease
        is as durable as any other write: it outlives the handle, and the process, that took it.
        """

    def release(self, keys: Collection[bytes], holder: str) -> None:
        """End the leases that `holder` holds on `keys`; all others are left as they are."""

    def now_ns(self) -> int:
        """The clock that all who share the store go by, nanoseconds since the epoch: for leases, never for references.

        The clock of the server that holds the store, or of this machine where there is none. It is precise to a second
        or better, and cheap enough to be asked every ten seconds. It may be wrong, and may be set: who needs it more
        often measures how far it is from a clock of this process.
        """

    def forget(self, query: Query) -> int:
        """Remove at most `query.limit` of the references that match, the first ones in the query's order.

        Returns how many were removed; 0 when none is left. As many are removed as match, up to the limit. A signature
        that no reference names any more is no longer known. Contents stay: see `ContentStore.discard`. The query has no
        cursor.
        """


class Store(ContentStore, ReferenceStore, Protocol):
    """A backend opened on one URL: contents and references.

    A `record` or `append` whose content is not stored raises `UnknownContent`: no reference ever points at content
    that is not there.
    """
