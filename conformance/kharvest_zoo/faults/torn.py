"""Faults that show another process a part of a batch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from kharvest.spi import Content, FileSummary, Page, Query, Reference, Signature, Timeline
from kharvest_zoo.fault import caught_by
from kharvest_zoo.filed import FiledStore

WHOLE = "test_the_batches_of_another_process_are_seen_whole_or_not_at_all"


class SnapshotStore(FiledStore):
    """Reads without waiting for those that write, as databases do: correct, and quick to see what is torn."""

    reads = False

    def begin(self) -> None:
        self.database.execute("BEGIN" if self.reads else "BEGIN IMMEDIATE")

    @contextmanager
    def reading(self) -> Iterator[None]:
        with self.lock:
            self.reads = True
            try:
                yield
            finally:
                self.reads = False

    def references(self, query: Query) -> Page[Reference]:
        with self.reading():
            return super().references(query)

    def files(self, query: Query) -> Page[FileSummary]:
        with self.reading():
            return super().files(query)

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        with self.reading():
            return super().known(signatures)

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        with self.reading():
            return super().newest(timelines)


@caught_by(WHOLE)
class RecordsInPieces(SnapshotStore):
    """Records in transactions of a few rows, as batches are long."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        for start in range(0, max(1, len(references)), 30):
            super().record(files, references[start : start + 30])


@caught_by(WHOLE)
class AppendsInPieces(SnapshotStore):
    """Appends in transactions of a few rows, as batches are long."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        starts = range(0, max(1, len(references)), 30)
        pieces = [super(AppendsInPieces, self).append(files, references[start : start + 30]) for start in starts]
        return [one for piece in pieces for one in piece]


@caught_by(WHOLE)
class ForgetsInPieces(SnapshotStore):
    """Deletes a few rows in each transaction, so that nobody waits for it."""

    def forget(self, query: Query) -> int:
        forgotten, count = 0, 30
        while count == 30 and forgotten < query.limit:
            count = super().forget(replace(query, limit=min(30, query.limit - forgotten)))
            forgotten += count
        return forgotten


@caught_by(WHOLE)
class RecordsInHalves(SnapshotStore):
    """Splits a batch that the server refused as too long, and sends its halves one after the other."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        half = len(references) // 2
        super().record(files, references[:half])
        super().record(files, references[half:])
