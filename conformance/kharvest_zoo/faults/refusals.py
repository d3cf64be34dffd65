"""Faults in what an error names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kharvest.spi import Content, Reference, Signature, UnknownContent
from kharvest_zoo.fault import caught_by
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State

SHOWN = 500
"""How many an error is thought to have room for."""


@caught_by("test_an_error_names_all_of_the_largest_batches")
class NamesSomeSignatures(PlainStore):
    """Cuts the signatures of an error to what fits into a message."""

    def check(self, state: State, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        try:
            super().check(state, files, references)
        except UnknownContent as error:
            raise UnknownContent(error.sha256s, frozenset(sorted(error.signatures)[:SHOWN])) from None


@caught_by("test_an_error_names_all_of_the_largest_batches")
class NamesSomeContents(PlainStore):
    """Ends with the first piece of a batch in which a content is not there."""

    def check_contents(self, state: State, files: Mapping[Signature, Content]) -> None:
        for start in range(0, len(files), SHOWN):
            super().check_contents(state, dict(list(files.items())[start : start + SHOWN]))


@caught_by("test_a_large_batch_is_refused_whole_wherever_its_fault_is")
class NamesSignaturesInASet(PlainStore):
    """Copied what is not known from a set that it had."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        try:
            super().record(files, references)
        except UnknownContent as error:
            error.signatures = set(error.signatures)  # type: ignore[assignment]
            raise
