"""Batches: how many writes become one, and what a reader sees of them.

Every reference and signature says which batch wrote it, and which removed it. `kharvest_store` has one document, and
that one says which batches nobody may see (`hidden`): those that are being written, and those whose writers died. So
writes appear when one update takes their batch off that list, all or none, and a writer that dies leaves what was never
seen. No transactions are needed, and readers wait for nobody.

That update names the `version` of the store that the writer has read, and counts it up. So of all writers at once one
gets through; the others look at what is there now and try again.

What only older versions of the store need is taken away some commits later: the keys of what is the newest no longer
once `SLACK` batches more were committed, and what was removed once `REMOVAL_SLACK` more of the batches that remove
were. Who reads compares before and after: see `Batches.read`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import TypeVar

from pymongo import ReturnDocument

from kharvest.spi import IncompatibleSchema, StoreUnavailable
from kharvest_mongo._failures import told
from kharvest_mongo._rows import ids_of_batch
from kharvest_mongo._schema import REFERENCES, SCHEMA_VERSION, SIGNATURES, STORE, cut
from kharvest_mongo._server import STORE_ID, Document, Server
from kharvest_mongo._snapshots import Snapshot

T = TypeVar("T")

SLACK = 16
"""How many batches may be committed while somebody reads what they take away, before he has to read again."""
REMOVAL_SLACK = 4
"""The same for batches that remove something: until then, queries pass over what was removed."""
_IDLE = timedelta(hours=1)
"""After so long, by the server's clock, a batch that was not committed is taken for a dead writer's."""
_LOOKS = 20


class Batches:
    """Reads and changes the one document of `kharvest_store`. Threads share it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._store = server.collection(STORE)
        self._this: Document = {"_id": STORE_ID, "store_id": server.store_id}

    def snapshot(self) -> Snapshot:
        with told():
            return self._snapshot(self._store.find_one({"_id": STORE_ID}))

    def read(self, look: Callable[[Snapshot, int], T], *, of_newest: bool = False) -> T:
        """What `look` finds, all of it at one version of the store; it is given how often it has looked before.

        It looks again when so much was committed meanwhile that what it needs may have been taken away: the keys of
        what is newest only if it goes by them (`of_newest`). So a look that takes long should do less the next time.
        """
        before = self.snapshot()
        for attempt in range(_LOOKS):
            found = look(before, attempt)
            after = self.snapshot()
            overtaken = after.removals - before.removals >= REMOVAL_SLACK
            if not overtaken and not (of_newest and after.version - before.version >= SLACK):
                return found
            before = after
        raise StoreUnavailable("too much was committed each time before this was read", "ask for less at once")

    def begin(self) -> tuple[int, Snapshot]:
        """The number of a new batch, which nobody sees, and the store as it is then."""
        entry = {"batch": "$next_batch", "begun_at": "$$NOW", "is_dead": False}
        with told():
            found = self._store.find_one_and_update(
                {**self._this, "schema_version": SCHEMA_VERSION},
                [
                    {
                        "$set": {
                            "hidden": {"$concatArrays": ["$hidden", [entry]]},
                            "next_batch": {"$add": ["$next_batch", 1]},
                        }
                    }
                ],
                return_document=ReturnDocument.AFTER,
            )
            snapshot = self._snapshot(found) if found is not None else self.snapshot()
        return snapshot.next_batch - 1, snapshot

    def commit(self, batch: int, snapshot: Snapshot, *, recorded: Collection[int] = (), removed: int = 0) -> bool:
        """Make all that a batch wrote visible, if the store still is at the snapshot's version; tell whether it was.

        `recorded` are the times of the references that came, `removed` is how many went.

        Raises:
            StoreUnavailable: the batch was taken for a dead writer's; nothing of it will be seen.
        """
        change: Document = {
            "$pull": {"hidden": {"batch": batch}},
            "$inc": {"version": 1, "count": len(recorded) - removed},
            "$set": {"recent": [*snapshot.recent, batch][-SLACK:]},
        }
        if recorded:
            change["$min"] = {"first_ns": min(recorded)}
            change["$max"] = {"last_ns": max(recorded)}
        if removed:
            change["$inc"]["removals"] = 1
            if removed == snapshot.count:  # nothing is left, and so nothing from any time
                change["$unset"] = {"first_ns": "", "last_ns": ""}
            change["$set"]["recent_removals"] = [*snapshot.recent_removals, batch][-REMOVAL_SLACK:]
        with told():
            done = self._store.update_one(
                {
                    **self._this,
                    "schema_version": SCHEMA_VERSION,
                    "version": snapshot.version,
                    "hidden": {"$elemMatch": {"batch": batch, "is_dead": False}},
                },
                change,
            )
        if done.matched_count:
            return True
        now = self.snapshot()
        if batch in now.dead:
            raise StoreUnavailable("this took so long that its writer was taken for dead", "do it again")
        return now.sees(batch)  # it was, if the driver asked twice because it missed the first answer

    def withdraw(self, batch: int) -> None:
        """End a batch that has written nothing, or nothing that is still there."""
        with told():
            self._store.update_one(self._this, {"$pull": {"hidden": {"batch": batch, "is_dead": False}}})

    def bury(self, batch: int) -> None:
        """End a batch that failed in the middle, unless it is committed: nobody ever sees it, what it wrote is removed.

        It stays on the list: what its writer may still have on the way to the server arrives unseen.
        """
        with told():
            self._store.update_one(
                {**self._this, "hidden": {"$elemMatch": {"batch": batch, "is_dead": False}}},
                {"$set": {"hidden.$.is_dead": True}},
            )
            if batch not in self.snapshot().dead:
                return
            first, last = ids_of_batch(batch)
            for name in (REFERENCES, SIGNATURES):
                collection = self._server.collection(name)
                collection.delete_many({"_id": {"$gte": first, "$lte": last}})
                collection.update_many({"removed_by": batch}, {"$pull": {"removed_by": batch}})
            self._store.update_one({**self._this, "hidden.batch": batch}, {"$set": {"hidden.$.is_buried": True}})

    def bury_dead(self) -> None:
        """Bury the batches of writers that died."""
        with told():
            found = self._store.find_one(self._this, {"hidden": 1})
        hidden = found["hidden"] if found is not None else []
        if hidden:
            dead_before = self._server.now() - _IDLE
            for one in hidden:
                if not one.get("is_buried") and (one["is_dead"] or one["begun_at"] < dead_before):
                    self.bury(one["batch"])

    def purge(self) -> None:
        """Remove for good what was removed so long ago that nobody can see it any more."""
        now = self.snapshot()
        final: list[Document] = [{"$match": {"removed_by": {"$lt": min((*now.recent_removals, now.next_batch))}}}]
        if now.hidden:  # by those it is not removed, and perhaps never will be
            final.append({"$match": {"removed_by": {"$nin": sorted(now.hidden)}}})
        with told():
            for name in (REFERENCES, SIGNATURES):
                collection = self._server.collection(name)
                ids = [one["_id"] for one in collection.aggregate([*final, {"$project": {"_id": 1}}])]
                for some in cut(ids):
                    collection.delete_many({"_id": {"$in": some}})

    def _snapshot(self, found: Document | None) -> Snapshot:
        if found is None or found.get("store_id") != self._this["store_id"]:
            raise _lost(found)
        if found["schema_version"] != SCHEMA_VERSION:
            raise IncompatibleSchema(found=found["schema_version"], supported=SCHEMA_VERSION)
        return Snapshot(
            version=found["version"],
            next_batch=found["next_batch"],
            hidden=frozenset(one["batch"] for one in found["hidden"]),
            dead=frozenset(one["batch"] for one in found["hidden"] if one["is_dead"]),
            recent=tuple(found["recent"]),
            removals=found["removals"],
            recent_removals=tuple(found["recent_removals"]),
            count=found["count"],
            first_ns=found.get("first_ns", 0),
            last_ns=found.get("last_ns", 0),
        )


def _lost(found: Document | None) -> StoreUnavailable:
    what = "holds no store any more" if found is None else "holds another store now"
    remedy = "restore it, or restart the server to go on with what is there now"
    return StoreUnavailable(f"the database {what}: it was dropped, or replaced, while this store was open", remedy)
