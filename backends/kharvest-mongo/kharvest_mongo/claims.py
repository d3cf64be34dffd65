"""Claims: leases, one document for each key."""

from __future__ import annotations

from collections.abc import Collection

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from kharvest_mongo.cutting import cut
from kharvest_mongo.failures import duplicates, told
from kharvest_mongo.schema import CLAIMS
from kharvest_mongo.server import Server


class Claims:
    """Leases in a collection."""

    def __init__(self, server: Server) -> None:
        self._claims = server.collection(CLAIMS)

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        """See `ReferenceStore.claim`."""
        wanted = sorted(set(keys))
        if not wanted:
            return set()
        # Where somebody else holds the key, nothing matches; then the insertion fails, for its `_id` is there.
        free = [{"holder": holder}, {"until_ns": {"$lte": now_ns}}]
        statements = [
            UpdateOne({"_id": key, "$or": free}, {"$set": {"holder": holder, "until_ns": until_ns}}, upsert=True)
            for key in wanted
        ]
        with told():
            try:
                self._claims.bulk_write(statements, ordered=False)
            except BulkWriteError as error:
                lost = duplicates(error)
                return {key for number, key in enumerate(wanted) if number not in lost}
        return set(wanted)

    def release(self, keys: Collection[bytes], holder: str) -> None:
        """See `ReferenceStore.release`."""
        with told():
            for some in cut(set(keys)):
                self._claims.delete_many({"_id": {"$in": some}, "holder": holder})
