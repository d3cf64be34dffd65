"""The contents half: put, read, list, discard."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import chain

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from kharvest.spi import Capability, Content, StoreCorrupt, StoreError, StoreUnavailable, UnknownContent
from kharvest.spi.pieces import bytes_of, listing, lists_of
from kharvest_mongo._bodies import CHUNK_BYTES, CHUNKS_AT_ONCE, Bodies
from kharvest_mongo._failures import told
from kharvest_mongo._schema import CONTENTS, DISCARDS, ONE_REPLY, cut
from kharvest_mongo._server import Document, Server

SMALL_BYTES = 64 * 1024
"""A content up to this size is one document."""
IDLE = timedelta(hours=1)
"""An upload that did not move for so long, by the server's clock, is a leftover. One that wakes up must begin again."""
_READ_MS = 10 * 60_000
"""By the server's clock, no answer is read for so long."""
_DIGEST_BYTES = 32
_VALUE = {"sha256": 1, "md5": 1, "size": 1}


class MongoContents:
    """Contents in a database.

    A content is visible when its document has a digest, which a unique index lets one document have. A small one is
    that document. The bytes of others go into a body of the upload's own first; the update that publishes it needs that
    nobody has condemned the upload as a leftover, and the one that condemns it, that it is not published. So what is
    published is never removed, and what is removed never published.

    Contents that are discarded together are gone when one document that names their documents is there (`DISCARDS`).
    Then they are removed. Who has looked contents up looks for such documents afterwards; they stay for a while.
    """

    capabilities = frozenset({Capability.DURABLE, Capability.SHARED})

    def __init__(self, server: Server) -> None:
        self._contents_server = server
        self._contents = server.collection(CONTENTS)
        self._discards = server.collection(DISCARDS)
        self._bodies = Bodies(server)

    def remove_leftovers(self) -> None:
        """Remove what dead uploads left behind, and what was discarded by those who died over it."""
        with told():
            discards = list(self._discards.find({}, {"contents": 1}))
            for discarded in discards:
                self._remove(discarded["contents"])
            if discards:  # else a user who may only read could not open the store
                self._forget_discards()
            if self._contents.find_one({"touched_at": {"$exists": True}}, {"_id": 1}) is None:
                return
            long_ago = self._contents_server.now() - IDLE
            idle = {"touched_at": {"$lt": long_ago}}
            # Condemned for so long, an upload has sent its last chunk: nothing will be left of it.
            ended = [one["_id"] for one in self._contents.find({**idle, "is_condemned": True}, {"_id": 1})]
            self._contents.update_many(
                {**idle, "sha256": {"$exists": False}, "is_condemned": {"$exists": False}},
                {"$set": {"is_condemned": True}, "$currentDate": {"touched_at": True}},
            )
            condemned = self._contents.find({"touched_at": {"$exists": True}, "is_condemned": True}, {"_id": 1})
            self._bodies.remove([one["_id"] for one in condemned])
            for some in cut(ended):
                self._contents.delete_many({"_id": {"$in": some}, "is_condemned": True})

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        if self.present((content.sha256,)):
            return
        batches = lists_of(CHUNKS_AT_ONCE, bytes_of(CHUNK_BYTES, chunks))
        first = next(batches, [])
        if sum(map(len, first)) <= SMALL_BYTES:
            self._put_small(content, b"".join(first))
        else:
            self._put_large(content, chain([first], batches))

    def _put_small(self, content: Content, data: bytes) -> None:
        with told():
            try:
                self._contents.insert_one({**_fields(content), "data": data})
            except DuplicateKeyError:
                return  # somebody else's put was faster

    def _put_large(self, content: Content, batches: Iterable[list[bytes]]) -> None:
        body = ObjectId()
        try:
            for number, batch in enumerate(batches):
                self._touch(body, is_new=number == 0)
                with told():
                    self._bodies.append(body, number * CHUNKS_AT_ONCE, batch)
            self._publish(body, content)
        except BaseException:
            self._abandon(body)
            raise

    def _touch(self, body: ObjectId, *, is_new: bool) -> None:
        """Say that an upload moves.

        Raises:
            StoreUnavailable: it was taken for a leftover meanwhile.
        """
        with told():
            now = {"$currentDate": {"touched_at": True}}
            done = self._contents.update_one({"_id": body, "is_condemned": {"$exists": False}}, now, upsert=is_new)
        if not done.matched_count and not is_new:
            raise _stood_still()

    def _publish(self, body: ObjectId, content: Content) -> None:
        with told():
            try:
                done = self._contents.update_one(
                    {"_id": body, "is_condemned": {"$exists": False}},
                    {"$set": _fields(content), "$unset": {"touched_at": ""}},
                )
            except DuplicateKeyError:  # somebody else's put was faster
                self._abandon(body)
                return
        if not done.matched_count:
            raise _stood_still()

    def _abandon(self, body: ObjectId) -> None:
        """Remove an upload that failed, unless it was published and nobody heard of it."""
        try:
            with told():
                unpublished: Document = {"_id": body, "sha256": {"$exists": False}}
                self._contents.update_one(unpublished, {"$set": {"is_condemned": True}})
                if self._contents.find_one({"_id": body, "is_condemned": True}, {"_id": 1}) is not None:
                    self._bodies.remove([body])
                    self._contents.delete_one({"_id": body, "is_condemned": True})
        except StoreError:
            return  # the error that led here is the one to tell of; this is now a leftover like any other

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        """See `ContentStore.read`. Between two round trips it holds nothing: a reader may take its time."""
        with told():
            found = self._contents.find_one({"sha256": sha256})
        if found is None:
            raise UnknownContent(frozenset({sha256}))
        if "data" in found:
            return iter([found["data"][offset:]] if offset < found["size"] else [])
        return self._chunks(found, offset)

    def _chunks(self, found: Document, offset: int) -> Iterator[bytes]:
        sha256, size, body = found["sha256"], found["size"], found["_id"]
        end = -(-size // CHUNK_BYTES)
        number, skip = divmod(offset, CHUNK_BYTES)
        while number < end and offset < size:
            with told():
                chunks = self._bodies.some(body, number, end)
            if not chunks:
                with told():
                    is_there = self._contents.find_one({"_id": body, "sha256": sha256}, {"_id": 1}) is not None
                if is_there:
                    raise StoreCorrupt(f"content {sha256.hex()} has no bytes at {number * CHUNK_BYTES} of {size}")
                raise UnknownContent(frozenset({sha256}))  # discarded while it was read, and maybe put again
            number += len(chunks)
            for chunk in chunks:
                yield chunk[skip:]
                skip = 0

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        with told():
            found = [
                document
                for some in cut(set(sha256s))
                for document in self._contents.find(
                    {"sha256": {"$in": some}}, {"_id": 1, **_VALUE}, batch_size=ONE_REPLY
                )
            ]
            gone = self._discarded([one["_id"] for one in found]) if found else ()
        return {one["sha256"]: _content(one) for one in found if one["_id"] not in gone}

    def _discarded(self, ids: Sequence[ObjectId]) -> Collection[ObjectId]:
        """Those of the documents that were discarded together, and may have been removed in part when they were read.

        They are removed here: who has discarded them may have died.
        """
        wanted = set(ids)
        gone: set[ObjectId] = set()
        for some in cut(ids):
            for discarded in self._discards.find({"contents": {"$in": some}}, {"contents": 1}):
                gone.update(wanted.intersection(discarded["contents"]))
        self._remove([*gone])
        return gone

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        return listing(self._some, after)

    def _some(self, after: bytes, limit: int) -> list[Content]:
        with told():
            found = self._contents.find({"sha256": _behind(after)}, _VALUE, batch_size=ONE_REPLY)
            return [_content(one) for one in found.sort("sha256", 1).limit(limit)]

    def discard(self, sha256s: Collection[bytes]) -> None:
        """See `ContentStore.discard`. What dies in the middle has left something to remove, and nothing to see."""
        with told():
            ids: list[ObjectId] = [
                one["_id"]
                for some in cut(set(sha256s))
                for one in self._contents.find({"sha256": {"$in": some}}, {"_id": 1}, batch_size=ONE_REPLY)
            ]
            if len(ids) > 1:
                discarded = {"$set": {"contents": ids}, "$currentDate": {"discarded_at": True}}
                self._discards.update_one({"_id": ObjectId()}, discarded, upsert=True)
            self._remove(ids)
            if len(ids) > 1:
                self._forget_discards()

    def _remove(self, ids: Collection[ObjectId]) -> None:
        for some in cut(ids):
            self._contents.update_many(
                {"_id": {"$in": some}},
                {
                    "$set": {"is_condemned": True},
                    "$unset": {"sha256": "", "data": ""},
                    "$currentDate": {"touched_at": True},
                },
            )
            self._bodies.remove(some)
            self._contents.delete_many({"_id": {"$in": some}})

    def _forget_discards(self) -> None:
        """Remove what names discarded contents, once nobody reads any more what was there before."""
        long_ago = {"$subtract": ["$$NOW", _READ_MS]}
        self._discards.delete_many({"$expr": {"$lt": ["$discarded_at", long_ago]}})


def _behind(after: bytes) -> Document:
    """What is greater than some bytes: MongoDB itself compares binary values by their length first."""
    if len(after) < _DIGEST_BYTES:
        return {"$gte": after.ljust(_DIGEST_BYTES, b"\0")}
    return {"$gt": after[:_DIGEST_BYTES]}


def _fields(content: Content) -> Document:
    return {"sha256": content.sha256, "md5": content.md5, "size": content.size}


def _content(document: Document) -> Content:
    return Content(document["sha256"], document["md5"], document["size"])


def _stood_still() -> StoreUnavailable:
    return StoreUnavailable("this upload stood still for so long that it was removed", "send it again")
