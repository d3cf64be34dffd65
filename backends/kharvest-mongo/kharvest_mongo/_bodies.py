"""The bytes of contents that are too long for one document, in chunks of a size."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bson import ObjectId

from kharvest_mongo._schema import CHUNKS, cut
from kharvest_mongo._server import Document, Server

CHUNK_BYTES = 512 * 1024
"""The bytes of one chunk."""
CHUNKS_AT_ONCE = 8
"""Chunks written, or read, in one round trip, 4 MiB: what one upload or reader holds in memory."""
_NUMBER_BYTES = 5


class Bodies:
    """Chunks in a collection. A body is named by the document of the content that has it, or will have it."""

    def __init__(self, server: Server) -> None:
        self._chunks = server.collection(CHUNKS)

    def append(self, body: ObjectId, number: int, chunks: Sequence[bytes]) -> None:
        """Add chunks to a body, which are counted from `number` on."""
        documents: list[Document] = [
            {"_id": _id(body, one), "body": body, "data": data} for one, data in enumerate(chunks, number)
        ]
        self._chunks.insert_many(documents, ordered=False)

    def some(self, body: ObjectId, number: int, end: int) -> list[bytes]:
        """The chunks from a number on, before `end`, as many as are read at once; fewer where one is missing."""
        ids = [_id(body, one) for one in range(number, min(end, number + CHUNKS_AT_ONCE))]
        found = {document["_id"]: document["data"] for document in self._chunks.find({"_id": {"$in": ids}})}
        chunks: list[bytes] = []
        for one in ids:
            if one not in found:
                break
            chunks.append(found[one])
        return chunks

    def remove(self, bodies: Collection[ObjectId]) -> None:
        for some in cut(bodies):
            self._chunks.delete_many({"body": {"$in": some}})


def _id(body: ObjectId, number: int) -> bytes:
    return body.binary + number.to_bytes(_NUMBER_BYTES, "big")
