"""Writing a plan as one batch: unseen until it is committed, and written again where somebody else was faster."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from threading import Lock

from pymongo import InsertOne, UpdateMany, UpdateOne

from kharvest.spi import KharvestError, Reference, StoreError, StoreUnavailable
from kharvest_mongo import _keys as keys
from kharvest_mongo import _rows as rows
from kharvest_mongo._batches import Batches
from kharvest_mongo._failures import told
from kharvest_mongo._planning import Plan, Planner, Present, Record
from kharvest_mongo._rows import ids_of_batch
from kharvest_mongo._schema import CHANGED_AT_ONCE, REFERENCES, SIGNATURES, WRITTEN_AT_ONCE, cut
from kharvest_mongo._server import Document, Server
from kharvest_mongo._snapshots import Snapshot

ATTEMPTS = 60
"""How often a batch is tried when others are committed first: of so many writers, one gets through each time."""
_LONGEST_PAUSE_SECONDS = 0.2


class Abandoned:
    """The batches of this process that failed in the middle, to be buried when the server answers again.

    Threads share it.
    """

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self._lock = Lock()
        self._numbers: list[int] = []  # guarded by _lock

    def add(self, batch: int) -> None:
        with self._lock:
            self._numbers.append(batch)

    def bury(self) -> None:
        with self._lock:
            numbers, self._numbers = self._numbers, []
        for done, batch in enumerate(numbers):
            try:
                self._batches.bury(batch)
            except StoreError:
                with self._lock:
                    self._numbers += numbers[done:]
                raise


class Recorder:
    """Writes groups of records."""

    def __init__(self, server: Server, batches: Batches, abandoned: Abandoned, present: Present | None) -> None:
        self._references = server.collection(REFERENCES)
        self._signatures = server.collection(SIGNATURES)
        self._batches = batches
        self._abandoned = abandoned
        self._planner = Planner(self._references, self._signatures, present)

    def write(self, records: Sequence[Record]) -> list[list[Reference] | KharvestError]:
        """Write records as one batch; of each, the references as they were recorded, or why it is refused."""
        self._abandoned.bury()
        batch, snapshot = self._batches.begin()
        try:
            plan = self._write_all(batch, snapshot, records)
        except BaseException:
            self._abandoned.add(batch)
            raise
        return [
            plan.accepted[number] if number in plan.accepted else plan.refused[number] for number in range(len(records))
        ]

    def _plan(self, snapshot: Snapshot, records: Sequence[Record]) -> Plan:
        with told():
            return self._planner.plan(snapshot, records)

    def _write_all(self, batch: int, snapshot: Snapshot, records: Sequence[Record]) -> Plan:
        written = Plan()
        for attempt in range(ATTEMPTS):
            plan = self._plan(snapshot, records)
            with told():
                if not plan.writes_as(written):
                    self._undo(batch, written)
                    self._put(batch, plan)
                    written = plan
                self._tidy(plan)
            if not plan.rows:
                self._batches.withdraw(batch)
                return plan
            if self._batches.commit(batch, snapshot, recorded=[keys.time_of(row.order) for row in plan.rows]):
                return plan
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE_SECONDS, 0.002 * 2**attempt)))  # noqa: S311  not a secret
            snapshot = self._batches.snapshot()
        raise StoreUnavailable(f"others were faster {ATTEMPTS} times", "do it again")

    def _put(self, batch: int, plan: Plan) -> None:
        if not plan.rows:
            return
        inserted = (InsertOne(rows.reference_document(row, batch, number)) for number, row in enumerate(plan.rows))
        followed = (
            UpdateOne({"_id": one}, {"$addToSet": {"followers": {"order": order, "batch": batch}}})
            for one, order in sorted(plan.followers)
        )
        statements: list[InsertOne[Document] | UpdateOne] = [*inserted, *followed]
        for some in cut(statements, WRITTEN_AT_ONCE):
            self._references.bulk_write(some, ordered=False)
        documents = (
            rows.signature_document(signature, content, batch, number)
            for number, (signature, content) in enumerate(plan.signatures)
        )
        for part in cut(documents, WRITTEN_AT_ONCE):
            self._signatures.insert_many(part, ordered=False)

    def _undo(self, batch: int, plan: Plan) -> None:
        """Take back what a plan wrote that does not fit any more."""
        if plan.rows:
            first, last = ids_of_batch(batch)
            everything: Document = {"_id": {"$gte": first, "$lte": last}}
            self._references.delete_many(everything)
            self._signatures.delete_many(everything)
        if plan.followers:
            self._references.bulk_write(
                [
                    UpdateMany({"_id": {"$in": some}}, {"$pull": {"followers": {"batch": batch}}})
                    for some in cut({one for one, _order in plan.followers}, CHANGED_AT_ONCE)
                ],
                ordered=False,
            )

    def _tidy(self, plan: Plan) -> None:
        """Take the keys of the newest from what is not, since so long that nobody needs them."""
        if plan.outdated:
            self._references.bulk_write(
                [
                    UpdateMany({"_id": {"$in": some}}, {"$unset": {"newest_of": "", "newest_keys": ""}})
                    for some in cut(plan.outdated, CHANGED_AT_ONCE)
                ],
                ordered=False,
            )
