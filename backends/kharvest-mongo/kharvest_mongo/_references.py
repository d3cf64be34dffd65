"""The references half: record, look up, query, forget, claim."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from kharvest.spi import (
    Capability,
    Content,
    FileSummary,
    GroupCommit,
    Page,
    Query,
    Reference,
    Signature,
    StoreUnavailable,
    Timeline,
)
from kharvest_mongo import _lookups as lookups
from kharvest_mongo import _pages as pages
from kharvest_mongo import _rows as rows
from kharvest_mongo import _summaries as summaries
from kharvest_mongo._batches import Batches
from kharvest_mongo._claims import Claims
from kharvest_mongo._failures import told
from kharvest_mongo._forgetting import Forgetter
from kharvest_mongo._keys import of_timeline as timeline_key
from kharvest_mongo._planning import Present, Record
from kharvest_mongo._recording import Abandoned, Recorder
from kharvest_mongo._schema import REFERENCES, SIGNATURES
from kharvest_mongo._server import Server
from kharvest_mongo._snapshots import Snapshot

_BATCH_REFERENCES = 4000
"""References in one batch of several records, at most; one record is one batch, whatever its size."""
_EPOCH = datetime.fromtimestamp(0, UTC)


class MongoReferences:
    """References and claims in a database.

    `present` is the contents half's; without one, this half stands alone and believes what `files` says.
    """

    capabilities = frozenset({Capability.DURABLE, Capability.SHARED})

    def __init__(self, server: Server, present: Present | None = None) -> None:
        self._server = server
        self._references = server.collection(REFERENCES)
        self._signatures = server.collection(SIGNATURES)
        self._batches = Batches(server)
        abandoned = Abandoned(self._batches)
        self._groups: GroupCommit[Record, list[Reference]] = GroupCommit(
            Recorder(server, self._batches, abandoned, present).write,
            is_shared=lambda _error: True,  # the recorder itself finds out which record is at fault
            shared_by_all=(StoreUnavailable,),
            weigh=lambda record: (len(record.references), 0),
            max_items=_BATCH_REFERENCES,
        )
        self._forgetter = Forgetter(server, self._batches, abandoned)
        self._claims = Claims(server)

    def bury_dead(self) -> None:
        """Remove what writers left behind that died long ago."""
        self._batches.bury_dead()

    def close(self) -> None:
        self._server.close()

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        if files or references:
            self._groups.run(Record(dict(files), tuple(references)))

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        return self._groups.run(Record(dict(files), tuple(references), appends=True)) if files or references else []

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        wanted = {signature for signature in signatures if not signature.is_removal}
        if not wanted:
            return {}

        def look(snapshot: Snapshot, _looked: int) -> dict[Signature, Content]:
            with told():
                found = lookups.signatures(self._signatures, snapshot, wanted)
            return {signature: one.content for signature, one in found.items()}

        return self._batches.read(look)

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        wanted = {timeline_key(timeline): timeline for timeline in timelines}
        if not wanted:
            return {}

        def look(snapshot: Snapshot, _looked: int) -> dict[Timeline, Reference]:
            with told():
                found = lookups.newest(self._references, wanted, pages.VALUE | rows.POSITION)
            seen = [one for one in found if rows.position(one).is_visible(snapshot)]
            last = {one["newest_of"]: one for one in sorted(seen, key=lambda one: bytes(one["order"]))}
            return {wanted[timeline]: rows.reference(one) for timeline, one in last.items()}

        return self._batches.read(look, of_newest=True)

    def references(self, query: Query) -> Page[Reference]:
        """See `ReferenceStore.references`. A page may be short where much has to be passed over to fill it."""

        def look(snapshot: Snapshot, looked: int) -> Page[Reference]:
            with told():
                return pages.page(self._references, snapshot, _shortened(query, looked))

        return self._batches.read(look, of_newest=query.latest)

    def files(self, query: Query) -> Page[FileSummary]:
        """See `ReferenceStore.files`. A page may be short where much has to be passed over to fill it."""

        def look(snapshot: Snapshot, looked: int) -> Page[FileSummary]:
            with told():
                return summaries.page(self._references, self._signatures, snapshot, _shortened(query, looked))

        return self._batches.read(look, of_newest=query.latest)

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        return self._claims.claim(keys, holder, now_ns, until_ns)

    def release(self, keys: Collection[bytes], holder: str) -> None:
        self._claims.release(keys, holder)

    def now_ns(self) -> int:
        """See `ReferenceStore.now_ns`: the clock of the server that this process is connected to."""
        return (self._server.now().replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1) * 1000

    def forget(self, query: Query) -> int:
        return self._forgetter.forget(query)


def _shortened(query: Query, looked: int) -> Query:
    """The query for a page that is shorter each time, until it is read before too much is committed."""
    return replace(query, limit=max(1, query.limit >> looked)) if looked else query
