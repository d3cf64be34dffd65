"""The store at one version: which batches a reader sees."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kharvest_mongo._server import Document


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The store at one version.

    Attributes:
        version: how many batches were committed.
        next_batch: the number of the batch that is begun next.
        hidden: batches below that which nobody may see.
        dead: those of them whose writers are gone: they will never be seen.
        recent: the batches that were committed last, `batches.SLACK` of them at most.
        removals: how many of the batches that were committed removed something.
        recent_removals: the last of those, `batches.REMOVAL_SLACK` of them at most.
        count: how many references there are.
        first_ns: no reference is older.
        last_ns: no reference is newer.
    """

    version: int
    next_batch: int
    hidden: frozenset[int]
    dead: frozenset[int]
    recent: tuple[int, ...]
    removals: int
    recent_removals: tuple[int, ...]
    count: int
    first_ns: int
    last_ns: int

    def sees(self, batch: int) -> bool:
        """Whether what a batch did is done."""
        return batch < self.next_batch and batch not in self.hidden

    def is_final(self, batch: int) -> bool:
        """Whether a batch was committed so long ago that nobody reads the store as it was before."""
        return self.sees(batch) and batch not in self.recent

    def with_own(self, batch: int) -> Snapshot:
        """The store as it will be when `batch` is committed."""
        return replace(self, next_batch=max(self.next_batch, batch + 1), hidden=self.hidden - {batch})

    def batches(self) -> Document:
        """What the number of a batch satisfies that is seen."""
        seen: Document = {"$lt": self.next_batch}
        if self.hidden:
            seen["$nin"] = sorted(self.hidden)
        return seen

    def visible(self) -> Document:
        """What a document satisfies that was written, and not removed."""
        return {"batch": self.batches(), "removed_by": {"$not": {"$elemMatch": self.batches()}}}
