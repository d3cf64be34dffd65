"""Faults in times: precision, and the ends of the range."""

from __future__ import annotations

from dataclasses import replace

from kharvest.spi import MAX_TIME_NS, FileSummary, Query, Reference, Signature
from kharvest_zoo.fault import caught_by
from kharvest_zoo.plain import PlainStore, Rank
from kharvest_zoo.state import State

BOUNDS = "test_since_and_until_count_every_nanosecond"
ENDS = "test_the_ends_of_time_are_bounds_like_others"


@caught_by(BOUNDS)
class ComparesDoubles(PlainStore):
    """Gives the bounds to a database whose numbers are doubles."""

    def is_since(self, reference: Reference, since_ns: int | None) -> bool:
        return since_ns is None or float(reference.observed_at_ns) >= float(since_ns)


@caught_by(BOUNDS)
class HasBoundsOfMicroseconds(PlainStore):
    """Makes dates of the bounds, as the driver wants it."""

    def is_before(self, reference: Reference, until_ns: int | None) -> bool:
        return until_ns is None or reference.observed_at_ns < until_ns // 1000 * 1000


@caught_by(BOUNDS)
class TakesEqualBoundsForAMoment(PlainStore):
    """Gives what was at the time, where both bounds are one."""

    def matching(self, state: State, query: Query) -> list[Reference]:
        if query.since_ns is not None and query.since_ns == query.until_ns:
            query = replace(query, until_ns=min(MAX_TIME_NS, query.since_ns + 1))
        return super().matching(state, query)


@caught_by("test_times_that_differ_by_a_nanosecond_are_told_apart")
class OrdersByMicroseconds(PlainStore):
    """Has an index of times in microseconds, and of what came first."""

    def rank(self, state: State, reference: Reference) -> Rank:
        return reference.observed_at_ns // 1000, state.references[reference]


@caught_by("test_times_that_differ_by_a_nanosecond_are_told_apart")
class OrdersByUnsignedSeconds(PlainStore):
    """Splits times in seconds of 32 bits and nanoseconds."""

    def rank(self, state: State, reference: Reference) -> Rank:
        seconds, rest = divmod(reference.observed_at_ns, 10**9)
        return seconds % 2**32 * 10**9 + rest, state.references[reference]


@caught_by(ENDS)
class TakesZeroForNoBound(PlainStore):
    """Tests `if query.until_ns`."""

    def is_before(self, reference: Reference, until_ns: int | None) -> bool:
        return not until_ns or reference.observed_at_ns < until_ns


@caught_by(ENDS)
class TakesTheEndForNoBound(PlainStore):
    """Has the largest time for the default of `until`, and so does not exclude it."""

    def is_before(self, reference: Reference, until_ns: int | None) -> bool:
        return until_ns is None or until_ns == MAX_TIME_NS or reference.observed_at_ns < until_ns


@caught_by(ENDS)
class CountsTheBoundDown(PlainStore):
    """Asks for times up to `until` minus one, in unsigned numbers: at 0 that is the largest."""

    def is_before(self, reference: Reference, until_ns: int | None) -> bool:
        return until_ns is None or reference.observed_at_ns <= (until_ns - 1) % 2**64


@caught_by("test_latest_at_any_nanosecond_tells_what_pods_held")
class LooksBackInMilliseconds(PlainStore):
    """Keeps states for time travel by the millisecond."""

    def matching(self, state: State, query: Query) -> list[Reference]:
        if query.latest and query.until_ns is not None:
            query = replace(query, until_ns=query.until_ns // 10**6 * 10**6)
        return super().matching(state, query)


@caught_by("test_summaries_have_every_nanosecond_of_the_first_and_last_time")
class SummarisesInDoubles(PlainStore):
    """Has MIN and MAX of a database whose aggregates are doubles."""

    def summary(self, state: State, signature: Signature, references: list[Reference]) -> FileSummary:
        exact = super().summary(state, signature, references)
        last_ns = min(int(float(exact.last_seen_ns)), MAX_TIME_NS)
        return replace(exact, first_seen_ns=int(float(exact.first_seen_ns)), last_seen_ns=last_ns)


@caught_by("test_summaries_have_every_nanosecond_of_the_first_and_last_time")
class StartsTheMaximumAtNow(PlainStore):
    """Initialises the first time with a large number of its own."""

    def summary(self, state: State, signature: Signature, references: list[Reference]) -> FileSummary:
        exact = super().summary(state, signature, references)
        return replace(exact, first_seen_ns=min(exact.first_seen_ns, 2**62))
