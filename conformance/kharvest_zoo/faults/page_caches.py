"""Faults of stores that keep the pages they have given, and do not see each write that changes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kharvest.spi import Content, FileSummary, Page, Query, Reference, Signature
from kharvest_zoo.fault import caught_by
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State

ANEW = "test_what_was_asked_before_is_answered_anew_after_each_write"


class _KeepsPages(PlainStore):
    """Correct: keeps each page of files until something is written."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.kept: dict[Query, Page[FileSummary]] = {}
        self.before: list[Reference] = []

    def files(self, query: Query) -> Page[FileSummary]:
        if query not in self.kept:
            self.kept[query] = super().files(query)
        return self.kept[query]

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        super().add(state, files, reference)
        if self.is_seen(state, reference):
            self.kept.clear()

    def is_seen(self, state: State, reference: Reference) -> bool:
        """Whether a page of files may be another one with this reference."""
        return True

    def forget_files(self, state: State, doomed: list[Reference]) -> None:
        super().forget_files(state, doomed)
        self.kept.clear()


@caught_by(ANEW)
class TakesRemovalsForNoFiles(_KeepsPages):
    """Leaves pages of files as they are when a removal is recorded, which has no summary."""

    def is_seen(self, state: State, reference: Reference) -> bool:
        return not reference.signature.is_removal


@caught_by(ANEW)
class TakesKnownFilesForNoNews(_KeepsPages):
    """Leaves pages of files as they are when a reference is to a file that they have, in a pod that they count."""

    def is_seen(self, state: State, reference: Reference) -> bool:
        others = (one for one in state.references if one != reference)
        return all((one.signature, one.pod) != (reference.signature, reference.pod) for one in others)


@caught_by(ANEW)
class ForgetsBesideItsPages(_KeepsPages):
    """Leaves pages as they are when something is forgotten whose file stays."""

    def forget_files(self, state: State, doomed: Sequence[Reference]) -> None:
        kept, known = dict(self.kept), set(state.files)
        super().forget_files(state, list(doomed))
        if set(state.files) == known:
            self.kept = kept
