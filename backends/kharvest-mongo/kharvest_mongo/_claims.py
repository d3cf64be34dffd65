"""Claims: leases, one document for each key."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pymongo import DeleteMany, UpdateMany
from pymongo.errors import BulkWriteError

from kharvest_mongo._failures import duplicates, told
from kharvest_mongo._schema import CHANGED_AT_ONCE, CLAIMS, ONE_REPLY, WRITTEN_AT_ONCE, cut
from kharvest_mongo._server import Document, Server


class Claims:
    """Leases in a collection. A key that nobody ever held, or that was released, has no document."""

    def __init__(self, server: Server) -> None:
        self._claims = server.collection(CLAIMS)

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        lease: Document = {"holder": holder, "until_ns": until_ns}
        held: set[bytes] = set()
        undecided = set(keys)
        with told():
            while undecided:  # again for those that are released, or inserted, between two of our steps
                seen = {one["_id"]: self._is_free(one, holder, now_ns) for one in self._leases(sorted(undecided))}
                lost = {key for key, is_free in seen.items() if not is_free}
                held |= self._insert(sorted(undecided - seen.keys()), lease)
                taken, lost_late = self._take_over(sorted(seen.keys() - lost), lease, now_ns)
                held |= taken
                undecided -= held | lost | lost_late
        return held

    def _is_free(self, one: Document, holder: str, now_ns: int) -> bool:
        return bool(one["until_ns"] <= now_ns or one["holder"] == holder)

    def _insert(self, wanted: list[bytes], lease: Document) -> set[bytes]:
        """Take those that have no document: of several takers one can insert it."""
        held: set[bytes] = set()
        for some in cut(wanted, WRITTEN_AT_ONCE):
            try:
                self._claims.insert_many([{"_id": key, **lease} for key in some], ordered=False)
            except BulkWriteError as error:
                lost = duplicates(error)
                held |= {key for number, key in enumerate(some) if number not in lost}
            else:
                held |= set(some)
        return held

    def _take_over(self, free: list[bytes], lease: Document, now_ns: int) -> tuple[set[bytes], set[bytes]]:
        """Take those whose leases have ended, or are the holder's own; which those were, and which others hold now."""
        if not free:
            return set(), set()
        for many in cut(free):  # in several commands: a slow server answers each in time
            self._claims.bulk_write(
                [
                    UpdateMany({"_id": {"$in": some}, **still_free}, {"$set": lease})
                    for some in cut(many, CHANGED_AT_ONCE)
                    for still_free in ({"until_ns": {"$lte": now_ns}}, {"holder": lease["holder"]})
                ],
                ordered=False,
            )
        after = {one["_id"]: one.items() >= lease.items() for one in self._leases(free)}
        taken = {key for key, is_ours in after.items() if is_ours}
        return taken, after.keys() - taken

    def _leases(self, keys: Collection[bytes]) -> Iterator[Document]:
        for some in cut(keys):
            yield from self._claims.find({"_id": {"$in": some}}, batch_size=ONE_REPLY)

    def release(self, keys: Collection[bytes], holder: str) -> None:
        with told():
            for many in cut(set(keys)):
                self._claims.bulk_write(
                    [DeleteMany({"_id": {"$in": some}, "holder": holder}) for some in cut(many, CHANGED_AT_ONCE)],
                    ordered=False,
                )
