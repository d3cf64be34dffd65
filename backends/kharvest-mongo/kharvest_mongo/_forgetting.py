"""Removing references, and the signatures that nothing names any more once they are gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pymongo import UpdateMany
from pymongo.collection import Collection as Documents

from kharvest.spi import REMOVED, Pod, Query, Signature, StoreUnavailable, Timeline
from kharvest_mongo import _keys as keys
from kharvest_mongo import _lookups as lookups
from kharvest_mongo import _pages as pages
from kharvest_mongo import _rows as rows
from kharvest_mongo._batches import Batches
from kharvest_mongo._failures import told
from kharvest_mongo._lookups import Place
from kharvest_mongo._recording import ATTEMPTS, Abandoned
from kharvest_mongo._rows import NewRow, Position
from kharvest_mongo._schema import CHANGED_AT_ONCE, ONE_REPLY, REFERENCES, SIGNATURES, WRITTEN_AT_ONCE, cut
from kharvest_mongo._server import Document, Server
from kharvest_mongo._snapshots import Snapshot

_FIELDS = {**rows.POSITION, "namespace": 1, "pod": 1, "uid": 1, "path": 1, "md5": 1}


@dataclass(frozen=True, slots=True)
class _Run:
    """References to remove that follow each other in their timeline.

    Attributes:
        first: the order of the first of them.
        follower: the order of what comes behind the last of them; None if nothing does.
    """

    first: bytes
    follower: bytes | None


class Forgetter:
    """Removes references, as a batch for each call."""

    def __init__(self, server: Server, batches: Batches, abandoned: Abandoned) -> None:
        self._references = server.collection(REFERENCES)
        self._signatures = server.collection(SIGNATURES)
        self._batches = batches
        self._abandoned = abandoned

    def forget(self, query: Query) -> int:
        self._abandoned.bury()
        one = replace(query, limit=1)
        if not self._batches.read(lambda snapshot, _looked: self._first(snapshot, one), of_newest=query.latest):
            return 0
        for _attempt in range(ATTEMPTS):
            batch, snapshot = self._batches.begin()
            try:
                found = self._first(snapshot, query)
                if not found:
                    self._batches.withdraw(batch)
                    return 0
                with told():
                    self._remove(batch, snapshot, found)
                committed = self._batches.commit(batch, snapshot, removed=len(found))
            except BaseException:
                self._abandoned.add(batch)
                raise
            if committed:
                self._batches.purge()
                return len(found)
            self._batches.bury(batch)  # somebody else was faster: what is to be removed may be something else now
        raise StoreUnavailable(f"others were faster {ATTEMPTS} times", "do it again")

    def _first(self, snapshot: Snapshot, query: Query) -> list[Document]:
        """The first matches, up to the limit: pages may be short, so it may take several."""
        found: list[Document] = []
        after = pages.position_of(query)
        with told():
            while len(found) < query.limit:
                asked = replace(query, limit=query.limit - len(found), cursor=None)
                page = pages.find(self._references, snapshot, asked, _FIELDS, after)
                found += page.documents
                after = page.position
                if after is None:
                    break
        return found

    def _remove(self, batch: int, snapshot: Snapshot, found: Sequence[Document]) -> None:
        runs = list(_runs(snapshot, found))
        previous = lookups.followed_by(self._references, snapshot, [run.first for run in runs])
        changed = {previous[run.first].id: run.follower for run in runs if run.first in previous}
        self._write_again(batch, changed)
        self._mark(self._references, batch, [*(one["_id"] for one in found), *changed])
        self._remove_unnamed(batch, snapshot, found)

    def _write_again(self, batch: int, followers: dict[bytes, bytes | None]) -> None:
        """Write references again which something else, or nothing, follows now."""
        documents = [document for some in cut(followers) for document in self._references.find({"_id": {"$in": some}})]
        again = (
            rows.reference_document(NewRow(one["order"], rows.reference(one), followers[one["_id"]]), batch, number)
            for number, one in enumerate(documents)
        )
        for some in cut(again, WRITTEN_AT_ONCE):
            self._references.insert_many(some, ordered=False)

    def _mark(self, collection: Documents[Document], batch: int, ids: Sequence[bytes]) -> None:
        statements = (
            UpdateMany({"_id": {"$in": some}}, {"$addToSet": {"removed_by": batch}})
            for some in cut(ids, CHANGED_AT_ONCE)
        )
        for part in cut(statements, WRITTEN_AT_ONCE // CHANGED_AT_ONCE):
            collection.bulk_write(part, ordered=False)

    def _remove_unnamed(self, batch: int, snapshot: Snapshot, found: Sequence[Document]) -> None:
        names = {keys.name_of(Signature(one["path"], one["md5"])) for one in found if one["md5"] != REMOVED}
        naming: list[Document] = [
            {"$match": snapshot.with_own(batch).visible()},
            {"$limit": 1},
            {"$project": {"_id": 1}},
        ]
        looked_up = {"from": REFERENCES, "localField": "key", "foreignField": "keys", "pipeline": naming, "as": "named"}
        unnamed = [
            document["_id"]
            for some in cut(names)
            for document in self._signatures.aggregate(
                [
                    {"$match": {"name": {"$in": some}}},
                    {"$match": snapshot.visible()},
                    {"$lookup": looked_up},
                    {"$match": {"named": []}},
                    {"$project": {"_id": 1}},
                ],
                batchSize=ONE_REPLY,
            )
        ]
        self._mark(self._signatures, batch, unnamed)


def _runs(snapshot: Snapshot, found: Sequence[Document]) -> Iterator[_Run]:
    positions = {(_timeline_of(document), document["order"]): rows.position(document) for document in found}
    followed = {
        (timeline, follower[0])
        for (timeline, _order), one in positions.items()
        if (follower := one.next(snapshot)) is not None
    }
    for timeline, first in positions.keys() - followed:
        yield _Run(first, _end_of_run(snapshot, positions, (timeline, first)))


def _end_of_run(snapshot: Snapshot, positions: dict[Place, Position], place: Place) -> bytes | None:
    """What comes behind the last one to remove, of those that follow each other from a place on."""
    timeline, order = place
    while (one := positions.get((timeline, order))) is not None:
        follower = one.next(snapshot)
        if follower is None:
            return None
        order = follower[0]
    return order


def _timeline_of(document: Document) -> bytes:
    pod = Pod(document["namespace"], document["pod"], document["uid"])
    return keys.of_timeline(Timeline(pod, document["path"]))
