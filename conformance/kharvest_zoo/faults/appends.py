"""Faults in appending references, and in the clock that leases go by."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from threading import Barrier, BrokenBarrierError

from kharvest.spi import MAX_TIME_NS, Content, Reference, Signature, Timeline
from kharvest_zoo.fault import caught_by
from kharvest_zoo.faults.lasting import ReadsOutsideItsTransaction
from kharvest_zoo.filed import FiledStore
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State


@caught_by("test_what_is_appended_is_the_newest")
class KeepsTheTimeAsGiven(PlainStore):
    """Takes append for another name of record."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        self.record(files, references)
        return list(references)


@caught_by("test_what_is_appended_is_the_newest")
class LeavesOutRemovals(PlainStore):
    """Looks for the newest among the files that are there."""

    def last_time(self, state: State, reference: Reference) -> int:
        times = [
            one.observed_at_ns
            for one in state.references
            if one.timeline == reference.timeline and not one.signature.is_removal
        ]
        return max(times, default=-1)


@caught_by("test_what_is_appended_is_the_newest")
class ComparesWithTheSameFileOnly(PlainStore):
    """Looks for the newest reference to the signature."""

    def last_time(self, state: State, reference: Reference) -> int:
        same = [one for one in state.references if (one.pod, one.signature) == (reference.pod, reference.signature)]
        return max((one.observed_at_ns for one in same), default=-1)


@caught_by("test_a_later_time_is_kept_and_any_other_is_the_newest_s_plus_one")
class AllowsEqualTimes(PlainStore):
    """Has >= for >."""

    def later(self, before: int, given: int) -> int:
        return max(given, before)


@caught_by("test_a_later_time_is_kept_and_any_other_is_the_newest_s_plus_one")
class AddsOneAlways(PlainStore):
    """Counts, whatever time is given, from the second reference on."""

    def later(self, before: int, given: int) -> int:
        return given if before < 0 else before + 1


@caught_by("test_a_later_time_is_kept_and_any_other_is_the_newest_s_plus_one")
class AddsAMicrosecond(PlainStore):
    """Has a column of microseconds in mind."""

    def later(self, before: int, given: int) -> int:
        return given if given > before else before + 1000


@caught_by("test_a_later_time_is_kept_and_any_other_is_the_newest_s_plus_one")
class AddsToAFloat(PlainStore):
    """Does its sums in the database, in double precision."""

    def later(self, before: int, given: int) -> int:
        return given if given > before else int(float(before) + 1)


@caught_by("test_of_one_batch_each_comes_after_those_before_it")
class ComparesWithTheStartOfTheBatch(PlainStore):
    """Looks up what is newest once, and not what the batch itself brings."""

    def timed(self, state: State, references: Sequence[Reference]) -> list[Reference]:
        return [timed for one in references for timed in super().timed(state, [one])]


@caught_by("test_of_one_batch_each_comes_after_those_before_it")
class TimesTheBatchInOrderOfItsClocks(PlainStore):
    """Sorts by time first, so that the writes go in order."""

    def timed(self, state: State, references: Sequence[Reference]) -> list[Reference]:
        in_order = sorted(range(len(references)), key=lambda number: references[number].observed_at_ns)
        timed = super().timed(state, [references[number] for number in in_order])
        return [timed[in_order.index(number)] for number in range(len(references))]


@caught_by("test_of_one_batch_each_comes_after_those_before_it")
class AppendsTheLastOfEachTimeline(PlainStore):
    """Collects the batch by timeline."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        return super().append(files, list({one.timeline: one for one in references}.values()))


@caught_by("test_append_returns_what_was_recorded")
class ReturnsTheTimesGiven(PlainStore):
    """Returns what it was given."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        super().append(files, references)
        return list(references)


@caught_by("test_append_returns_what_was_recorded")
class ReturnsThemInTheOrderOfTime(PlainStore):
    """Returns the rows as the database gives them."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        return sorted(super().append(files, references), key=lambda one: one.observed_at_ns)


@caught_by("test_append_goes_by_the_timeline_alone")
class GoesByThePod(PlainStore):
    """Takes the newest of the pod."""

    def last_time(self, state: State, reference: Reference) -> int:
        return max((one.observed_at_ns for one in state.references if one.pod == reference.pod), default=-1)


@caught_by("test_append_goes_by_the_timeline_alone")
class GoesByThePath(PlainStore):
    """Takes the newest of the path."""

    def last_time(self, state: State, reference: Reference) -> int:
        path = reference.signature.path
        return max((one.observed_at_ns for one in state.references if one.signature.path == path), default=-1)


@caught_by("test_append_goes_by_the_timeline_alone")
class TellsTimelinesApartByMetadata(PlainStore):
    """Has the metadata in the key."""

    def last_time(self, state: State, reference: Reference) -> int:
        same = [one for one in state.references if one.timeline == reference.timeline]
        return max((one.observed_at_ns for one in same if one.metadata == reference.metadata), default=-1)


@caught_by("test_what_is_appended_again_is_one_more")
class AppendsOnce(PlainStore):
    """Has a unique index over what was given."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        with self.session() as state:
            new = [one for one in dict.fromkeys(references) if one not in state.references]
            return super().append(files, new)


@caught_by("test_an_append_that_is_refused_records_nothing")
class AppendsHalfABatch(PlainStore):
    """Checks each reference when it comes to it, and does not roll back."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        return [timed for one in references for timed in super(AppendsHalfABatch, self).append(files, [one])]


@caught_by("test_an_append_that_is_refused_records_nothing")
class AppendsWithoutContent(PlainStore):
    """Forgot the check that record has."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        with self.session() as state:
            appended = self.timed(state, references)
            for reference in appended:
                self.add(state, files, reference)
            return appended


@caught_by("test_nothing_is_appended_behind_the_end_of_time")
class StaysAtTheEndOfTime(PlainStore):
    """Takes the largest time again."""

    def later(self, before: int, given: int) -> int:
        return min(super().later(before, given), MAX_TIME_NS)


@caught_by("test_what_was_forgotten_is_no_longer_the_newest_for_append")
class CountsOnWhatWasForgotten(PlainStore):
    """Keeps the newest times beside the references, and never looks again."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.times: dict[Timeline, int] = {}

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        super().add(state, files, reference)
        before = self.times.get(reference.timeline, -1)
        self.times[reference.timeline] = max(before, reference.observed_at_ns)

    def last_time(self, state: State, reference: Reference) -> int:
        return self.times.get(reference.timeline, -1)


@caught_by("test_of_several_threads_that_append_at_once_each_comes_after_the_others")
class LooksBeforeItLocks(PlainStore):
    """Looks in one transaction for what is newest, and writes in the next."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.looking = Barrier(2)

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        with self.session() as state:
            self.check(state, files, references)
            appended = self.timed(state, references)
        try:
            self.looking.wait(0.05)
        except BrokenBarrierError:
            self.looking.reset()
        with self.session() as state:
            for reference in appended:
                self.add(state, files, reference)
        return appended


@caught_by("test_of_several_processes_that_append_at_once_each_comes_after_the_others")
class AppendsOutsideItsTransaction(ReadsOutsideItsTransaction):
    """The same, between processes."""


@caught_by("test_what_a_second_handle_appends_is_the_newest_for_both")
class RemembersWhatIsNewest(FiledStore):
    """Looks up what is newest once, and remembers what it appended itself."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.times: dict[Timeline, int] = {}

    def last_time(self, state: State, reference: Reference) -> int:
        if reference.timeline not in self.times:
            self.times[reference.timeline] = super().last_time(state, reference)
        return self.times[reference.timeline]

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        super().add(state, files, reference)
        self.times[reference.timeline] = reference.observed_at_ns


@caught_by("test_what_is_appended_after_reopening_is_the_newest")
class CountsFromItsStart(FiledStore):
    """Knows the newest of what it recorded since it was opened."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.times: dict[Timeline, int] = {}

    def last_time(self, state: State, reference: Reference) -> int:
        return self.times.get(reference.timeline, -1)

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        super().add(state, files, reference)
        self.times[reference.timeline] = reference.observed_at_ns


@caught_by("test_a_batch_that_is_killed_is_there_whole_or_not_at_all")
class AppendsOneByOne(FiledStore):
    """Commits each reference of a batch by itself."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        with self.session() as state:
            self.check(state, files, references)
        appended = []
        for reference in references:
            appended += super().append(files, [reference])
            time.sleep(0.002)  # the round trip
        return appended


@caught_by("test_now_is_a_whole_number_of_nanoseconds_since_the_epoch")
class TellsSeconds(PlainStore):
    """Has another unit in mind."""

    def now_ns(self) -> int:
        return int(time.time())


@caught_by("test_now_is_a_whole_number_of_nanoseconds_since_the_epoch")
class TellsTheTimeSinceTheStart(PlainStore):
    """Asks a clock that begins when the machine does."""

    def now_ns(self) -> int:
        return time.monotonic_ns()


@caught_by("test_now_is_a_whole_number_of_nanoseconds_since_the_epoch")
class TellsAFraction(PlainStore):
    """Multiplies what the driver gives."""

    def now_ns(self) -> int:
        return time.time() * 1e9  # type: ignore[return-value]


@caught_by("test_the_clock_goes_on_as_time_does")
class CachesTheTime(PlainStore):
    """Caches the time."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.opened_at_ns = time.time_ns()

    def now_ns(self) -> int:
        return self.opened_at_ns


@caught_by("test_the_clock_goes_on_as_time_does")
class TellsTheTimeOfThatYear(PlainStore):
    """Adds the minutes twice."""

    def now_ns(self) -> int:
        now = time.time_ns()
        return now + now % (60 * 10**9) * 10**6


@caught_by("test_all_who_share_a_store_have_one_clock")
class HasAClockOfItsOwn(FiledStore):
    """Goes by the machine that it runs on, and they differ."""

    handles = 0

    def __init__(self, address: str) -> None:
        super().__init__(address)
        HasAClockOfItsOwn.handles += 1
        self.skew_ns = -3600 * 10**9 * HasAClockOfItsOwn.handles

    def now_ns(self) -> int:
        return super().now_ns() + self.skew_ns
