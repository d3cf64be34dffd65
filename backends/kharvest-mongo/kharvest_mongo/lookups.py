"""Looking up what a batch needs to know, so many things at once that a batch takes few round trips."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeAlias

from pymongo.collection import Collection as Documents

from kharvest.spi import Signature
from kharvest_mongo import keys, rows
from kharvest_mongo.batches import Snapshot
from kharvest_mongo.cutting import cut
from kharvest_mongo.rows import POSITION, Position, StoredSignature
from kharvest_mongo.schema import REFERENCES
from kharvest_mongo.server import Document

_QUESTIONS_AT_ONCE = 100
"""Questions of their own in one aggregation: MongoDB allows a thousand stages."""

Place: TypeAlias = tuple[bytes, bytes]
"""The key of a timeline, and an order in it."""


def newest(references: Documents[Document], timelines: Collection[bytes], fields: Document) -> list[Document]:
    """The documents of the newest references of timelines, and of those that were so lately."""
    wanted = {**fields, "newest_of": 1}
    return [
        document
        for some in cut(timelines)
        for document in references.find({"newest_of": {"$in": some}}, wanted if fields else None)
    ]


def at(references: Documents[Document], snapshot: Snapshot, orders: Collection[bytes]) -> set[bytes]:
    """Those of the orders that a reference has."""
    found = (
        rows.position(document)
        for some in cut(orders)
        for document in references.find({"order": {"$in": some}}, POSITION)
    )
    return {one.order for one in found if one.is_visible(snapshot)}


def signatures(
    collection: Documents[Document], snapshot: Snapshot, wanted: Collection[Signature]
) -> dict[Signature, StoredSignature]:
    """Those of the signatures that references name."""
    names = {keys.name_of(signature) for signature in wanted}
    found = (
        rows.stored_signature(document) for some in cut(names) for document in collection.find({"name": {"$in": some}})
    )
    return {one.signature: one for one in found if one.is_visible(snapshot)}


def before(references: Documents[Document], snapshot: Snapshot, places: Collection[Place]) -> dict[Place, Position]:
    """The reference before each place in its timeline, where there is one."""
    return _beside(references, snapshot, places, "$lt", -1)


def after(references: Documents[Document], snapshot: Snapshot, places: Collection[Place]) -> dict[Place, Position]:
    """The reference behind each place in its timeline, where there is one."""
    return _beside(references, snapshot, places, "$gt", 1)


def _beside(
    references: Documents[Document], snapshot: Snapshot, places: Collection[Place], side: str, direction: int
) -> dict[Place, Position]:
    asked = list(places)
    answers = first_of_each(
        references,
        [
            [
                {"$match": {"keys": timeline, "order": {side: order}}},
                {"$match": snapshot.visible()},
                {"$sort": {"order": direction}},
                {"$limit": 1},
                {"$project": POSITION},
            ]
            for timeline, order in asked
        ],
    )
    return {asked[number]: rows.position(document) for number, document in answers.items()}


def first_of_each(references: Documents[Document], questions: Sequence[list[Document]]) -> dict[int, Document]:
    """What pipelines that give one document at most have found, by their numbers; a hundred in one round trip."""
    found: dict[int, Document] = {}
    for some in cut(enumerate(questions), _QUESTIONS_AT_ONCE):
        numbered = [[*pipeline, {"$addFields": {"question": number}}] for number, pipeline in some]
        unions = ({"$unionWith": {"coll": REFERENCES, "pipeline": one}} for one in numbered[1:])
        for document in references.aggregate([*numbered[0], *unions]):
            found[document["question"]] = document
    return found
