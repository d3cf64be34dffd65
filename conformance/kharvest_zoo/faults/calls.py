"""Faults in what a caller leaves out, and in how timelines are told apart."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from kharvest.spi import Content, Query, Reference, Timeline, UnknownContent
from kharvest_zoo.fault import caught_by
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State


@caught_by("test_read_without_an_offset_begins_at_the_start")
class CountsBytesFromOne(PlainStore):
    """Was written for a library whose first byte has the number 1."""

    def read(self, sha256: bytes, offset: int = 1) -> Iterator[bytes]:
        return super().read(sha256, offset)


@caught_by("test_contents_without_a_start_are_all_contents")
class ListsFromALetterOn(PlainStore):
    """Has a first page's start left over from a test."""

    def contents(self, after: bytes = b"a") -> Iterator[Content]:
        return super().contents(after)


@caught_by("test_contents_without_a_start_are_all_contents")
class GoesOnWithItsLastListing(PlainStore):
    """Takes a missing start for `the next page`."""

    listed = b""

    def contents(self, after: bytes | None = None) -> Iterator[Content]:
        found = list(super().contents(self.listed if after is None else after))
        self.listed = found[-1].sha256 if found else b"\xff"
        return iter(found)


@caught_by("test_arguments_may_be_given_by_name")
class NamesAParameterInItsOwnWords(PlainStore):
    """Calls digests by another name than the contract."""

    def discard(self, digests: Collection[bytes]) -> None:
        super().discard(digests)


@caught_by("test_reading_what_is_not_there_names_it_in_a_frozen_set")
class NamesWhatIsNotThereInASet(PlainStore):
    """Copied the facts of an error from a set that it had."""

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        try:
            return super().read(sha256, offset)
        except UnknownContent as error:
            error.sha256s = {sha256}  # type: ignore[assignment]
            raise


def _joined(reference: Reference | Timeline) -> str:
    path = reference.path if isinstance(reference, Timeline) else reference.signature.path
    return f"{reference.pod.namespace}-{reference.pod.name}{path}"


@caught_by("test_what_is_appended_goes_by_its_own_timeline_however_alike_others_are")
class JoinsTimelinesForAppend(PlainStore):
    """Looks for the newest of a timeline in an index whose key is one string."""

    def last_time(self, state: State, reference: Reference) -> int:
        key = _joined(reference)
        return max((one.observed_at_ns for one in state.references if _joined(one) == key), default=-1)


@caught_by("test_timelines_that_look_alike_have_each_its_own_newest")
class JoinsTimelinesForNewest(PlainStore):
    """Keeps the newest of each timeline under a key that is one string."""

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        with self.session() as state:
            newest = {_joined(one): one for one in self.matching(state, Query())}
        return {timeline: newest[_joined(timeline)] for timeline in timelines if _joined(timeline) in newest}
