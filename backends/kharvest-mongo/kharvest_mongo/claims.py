"""Claims: leases, one document for each key."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pymongo import DeleteMany, UpdateMany
from pymongo.errors import BulkWriteError

from kharvest_mongo.cutting import CHANGED_AT_ONCE, ONE_REPLY, cut
from kharvest_mongo.failures import duplicates, told
from kharvest_mongo.schema import CLAIMS
from kharvest_mongo.server import Document, Server


class Claims:
    """Leases in a collection. A key that nobody ever held, or that was released, has no document."""

    def __init__(self, server: Server) -> None:
        self._claims = server.collection(CLAIMS)

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        """See `ReferenceStore.claim`."""
        wanted = sorted(set(keys))
        lease: Document = {"holder": holder, "until_ns": until_ns}
        with told():
            held = self._insert(wanted, lease)
            if len(held) < len(wanted):
                held |= self._take_over([key for key in wanted if key not in held], lease, now_ns)
        return held

    def _insert(self, wanted: list[bytes], lease: Document) -> set[bytes]:
        """Take those that have no document: of several takers one can insert it."""
        if not wanted:
            return set()
        try:
            self._claims.insert_many([{"_id": key, **lease} for key in wanted], ordered=False)
        except BulkWriteError as error:
            lost = duplicates(error)
            return {key for number, key in enumerate(wanted) if number not in lost}
        return set(wanted)

    def _take_over(self, wanted: list[bytes], lease: Document, now_ns: int) -> set[bytes]:
        """Take those whose leases have ended, or are the holder's own. Most are neither: those are only looked at."""
        holder = lease["holder"]
        free = [one["_id"] for one in self._leases(wanted) if one["until_ns"] <= now_ns or one["holder"] == holder]
        if not free:
            return set()
        self._claims.bulk_write(
            [
                UpdateMany({"_id": {"$in": some}, **still_free}, {"$set": lease})
                for some in cut(free, CHANGED_AT_ONCE)
                for still_free in ({"until_ns": {"$lte": now_ns}}, {"holder": holder})
            ],
            ordered=False,
        )
        return {one["_id"] for one in self._leases(free) if one.items() >= lease.items()}

    def _leases(self, keys: Collection[bytes]) -> Iterator[Document]:
        for some in cut(keys):
            yield from self._claims.find({"_id": {"$in": some}}, batch_size=ONE_REPLY)

    def release(self, keys: Collection[bytes], holder: str) -> None:
        """See `ReferenceStore.release`."""
        with told():
            statements = [
                DeleteMany({"_id": {"$in": some}, "holder": holder}) for some in cut(set(keys), CHANGED_AT_ONCE)
            ]
            if statements:
                self._claims.bulk_write(statements, ordered=False)
