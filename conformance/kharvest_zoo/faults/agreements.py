"""Faults in forgetting, in recording again, and in what is kept beside the references."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from kharvest.spi import NO_METADATA, Content, Order, Query, Reference, Signature, Timeline
from kharvest_zoo.fault import caught_by
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State

EVERY_QUERY = "test_forget_removes_what_every_query_would_give"
TIES = "test_of_one_time_forget_removes_the_first_in_the_store_s_order"
NAMED = "test_a_signature_is_known_as_long_as_any_reference_names_it"
ONCE = "test_a_reference_is_recorded_once_however_often_it_comes"
TIMES = "test_times_one_nanosecond_apart_are_kept_and_appended_apart"
NEWEST = "test_append_goes_by_what_is_newest_however_it_came"


@caught_by(EVERY_QUERY)
class FiltersAfterTheLimit(PlainStore):
    """Takes as many rows as the limit says, and compares their metadata then."""

    def forget(self, query: Query) -> int:
        with self.session() as state:
            found = self.matching(state, replace(query, metadata=NO_METADATA, order=Order.OLDEST_FIRST))
            if query.order is Order.NEWEST_FIRST:
                found.reverse()
            doomed = [one for one in found[: query.limit] if one.metadata.matches(query.metadata)]
            for one in doomed:
                del state.references[one]
            self.forget_files(state, doomed)
            return len(doomed)


@caught_by(EVERY_QUERY)
class ForgetsWhateverIsLatest(PlainStore):
    """Builds the condition of a DELETE by hand, and left out `latest`."""

    def forget(self, query: Query) -> int:
        return super().forget(replace(query, latest=False))


@caught_by(EVERY_QUERY)
class TakesNoNamespaceForAll(PlainStore):
    """Asks whether a namespace is given by whether it is true."""

    def forget(self, query: Query) -> int:
        return super().forget(replace(query, namespace=query.namespace or None))


@caught_by(EVERY_QUERY)
class TakesNoPodForAll(PlainStore):
    """Asks whether a pod is given by whether it is true."""

    def forget(self, query: Query) -> int:
        return super().forget(replace(query, pod=query.pod or None))


@caught_by(EVERY_QUERY)
class ForgetsUntilInclusive(PlainStore):
    """Has BETWEEN."""

    def forget(self, query: Query) -> int:
        until_ns = None if query.until_ns is None else query.until_ns + 1
        return super().forget(replace(query, until_ns=until_ns))


@caught_by(EVERY_QUERY)
class ForgetsSinceExclusive(PlainStore):
    """Has > where the query has >=."""

    def forget(self, query: Query) -> int:
        since_ns = None if query.since_ns is None else min(query.since_ns + 1, 2**63 - 1)
        if since_ns is not None and query.until_ns is not None and since_ns >= query.until_ns:
            return 0
        return super().forget(replace(query, since_ns=since_ns))


@caught_by(EVERY_QUERY)
class ForgetsTheLatestOfWhatMatches(PlainStore):
    """Restricts first, and chooses the newest of each timeline then."""

    def forget(self, query: Query) -> int:
        if not query.latest or query.metadata == NO_METADATA:
            return super().forget(query)
        with self.session() as state:
            found = self.latest(self.matching(state, replace(query, latest=False)))
            if query.order is Order.NEWEST_FIRST:
                found.reverse()
            for one in found[: query.limit]:
                del state.references[one]
            self.forget_files(state, found)
            return len(found[: query.limit])


@caught_by(EVERY_QUERY)
class ForgetsNoRemovals(PlainStore):
    """Joins with the files."""

    def forget(self, query: Query) -> int:
        with self.session() as state:
            removals = {one: at for one, at in state.references.items() if one.signature.is_removal}
            for one in removals:
                del state.references[one]
            count = super().forget(query)
            state.references |= removals
            return count


@caught_by(EVERY_QUERY)
class ForgetsWholeTimes(PlainStore):
    """Deletes by timeline and time, of which several references may have the same."""

    def forget(self, query: Query) -> int:
        with self.session() as state:
            before = dict(state.references)
            count = super().forget(query)
            gone = {(one.timeline, one.observed_at_ns) for one in before.keys() - state.references.keys()}
            for one in [one for one in state.references if (one.timeline, one.observed_at_ns) in gone]:
                del state.references[one]
            self.forget_files(state, [])
            return count


@caught_by(EVERY_QUERY)
class CountsFilesThatItForgot(PlainStore):
    """Returns the row count of the last statement."""

    def forget(self, query: Query) -> int:
        with self.session() as state:
            files = len(state.files)
            count = super().forget(query)
            return files - len(state.files) or count


class KeepsTheNewest(PlainStore):
    """Correct as long as `mend` is: a base for stores that keep what is newest beside the references."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.heads: dict[Timeline, Reference] = {}

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        super().add(state, files, reference)
        head = self.heads.get(reference.timeline)
        if head is None or self.comes_after(state, reference, head):
            self.heads[reference.timeline] = reference

    def comes_after(self, state: State, reference: Reference, head: Reference) -> bool:
        """Whether a reference that is recorded is newer than the newest."""
        return self.rank(state, reference) >= self.rank(state, head)

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        with self.session():
            return {one: self.heads[one] for one in timelines if one in self.heads}

    def forget_files(self, state: State, doomed: list[Reference]) -> None:
        super().forget_files(state, doomed)
        self.mend(state, doomed)

    def mend(self, state: State, doomed: list[Reference]) -> None:
        """Find the newest again of the timelines that lost something."""
        changed = {one.timeline for one in doomed}
        for timeline in changed:
            self.heads.pop(timeline, None)
        for one in sorted(state.references, key=lambda one: self.rank(state, one)):
            if one.timeline in changed:
                self.heads[one.timeline] = one


@caught_by(EVERY_QUERY)
class LeavesTheNewestForgotten(KeepsTheNewest):
    """Mends what is newest for timelines that are empty only."""

    def mend(self, state: State, doomed: list[Reference]) -> None:
        left = {one.timeline for one in state.references}
        super().mend(state, [one for one in doomed if one.timeline not in left])


@caught_by(EVERY_QUERY)
class LeavesEmptyTimelines(KeepsTheNewest):
    """Mends what is newest, and forgets the timelines in which nothing is."""

    def mend(self, state: State, doomed: list[Reference]) -> None:
        left = {one.timeline for one in state.references}
        super().mend(state, [one for one in doomed if one.timeline in left])


@caught_by(EVERY_QUERY)
class SetsTheNewestEachTime(KeepsTheNewest):
    """Sets what is newest with each reference, also where it is an older one."""

    def comes_after(self, state: State, reference: Reference, head: Reference) -> bool:
        return True


@caught_by(TIES)
class ForgetsTiesBackwards(PlainStore):
    """Sorts by time only when it forgets, in the order of the table."""

    def forget(self, query: Query) -> int:
        if query.order is Order.OLDEST_FIRST:
            return super().forget(query)
        with self.session() as state:
            found = sorted(self.matching(state, query), key=lambda one: -one.observed_at_ns)[: query.limit]
            for one in found:
                del state.references[one]
            self.forget_files(state, found)
            return len(found)


@caught_by(TIES)
class ForgetsTiesByPath(PlainStore):
    """Has another index for deleting, which goes on by path."""

    def forget(self, query: Query) -> int:
        with self.session() as state:
            found = sorted(self.matching(state, query), key=lambda one: (one.observed_at_ns, one.signature, one.pod))
            if query.order is Order.NEWEST_FIRST:
                found.reverse()
            for one in found[: query.limit]:
                del state.references[one]
            self.forget_files(state, found[: query.limit])
            return len(found[: query.limit])


@caught_by(TIES)
class OrdersAnewAfterForgetting(PlainStore):
    """Numbers the rows again when it has deleted some, by their names."""

    def forget(self, query: Query) -> int:
        count = super().forget(query)
        with self.session() as state:
            ranked = sorted(state.references, key=lambda one: (one.observed_at_ns, one.signature, str(one)))
            state.references = {one: at for at, one in enumerate(ranked)}
        return count


@caught_by(NAMED)
class ForgetsFilesOfThePod(PlainStore):
    """Forgets the files of a pod with the pod."""

    def forget_files(self, state: State, doomed: list[Reference]) -> None:
        super().forget_files(state, doomed)
        left = {one.pod for one in state.references}
        for one in doomed:
            if one.pod not in left:
                state.files.pop(one.signature, None)


@caught_by(NAMED)
class ForgetsFilesByMd5(PlainStore):
    """Forgets the content of an MD5 with one of its paths."""

    def forget_files(self, state: State, doomed: list[Reference]) -> None:
        before = set(state.files)
        super().forget_files(state, doomed)
        gone = {one.md5 for one in before - state.files.keys()}
        state.files = {one: content for one, content in state.files.items() if one.md5 not in gone}


@caught_by(NAMED)
class CountsWhoNamesAFile(PlainStore):
    """Counts the references of each file, and not those that come without one."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.users: dict[Signature, int] = {}

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        if reference not in state.references and reference.signature in files:
            self.users[reference.signature] = self.users.get(reference.signature, 0) + 1
        super().add(state, files, reference)

    def forget_files(self, state: State, doomed: list[Reference]) -> None:
        for one in doomed:
            self.users[one.signature] = self.users.get(one.signature, 0) - 1
            if self.users[one.signature] <= 0:
                state.files.pop(one.signature, None)


@caught_by(ONCE)
class RemembersWhatWasRecorded(PlainStore):
    """Passes over what it has seen, also where that was forgotten since."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.seen: set[Reference] = set()

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        with self.session() as state:
            self.check(state, files, references)
            super().record(files, [one for one in references if one not in self.seen])
            self.seen |= set(references)


@caught_by(ONCE)
class ComparesWithTheNewestOnly(PlainStore):
    """Passes over a reference that is the newest already, and inserts any other."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.again: dict[Reference, int] = {}

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        if reference in state.references and self.last_time(state, reference) != reference.observed_at_ns:
            self.again[reference] = self.again.get(reference, 0) + 1
        super().add(state, files, reference)

    def matching(self, state: State, query: Query) -> list[Reference]:
        found = super().matching(state, query)
        return found if query.latest else [one for one in found for _time in range(1 + self.again.get(one, 0))]


@caught_by(ONCE)
class HashesBatches(PlainStore):
    """Passes over a batch that it has seen, by the references that it has, whatever became of them."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.seen: set[frozenset[Reference]] = set()

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        batch = frozenset(references)
        if len(batch) == 1 and batch in self.seen:
            with self.session() as state:
                self.check(state, files, references)
            return
        super().record(files, references)
        self.seen |= {frozenset({one}) for one in references}


@caught_by(TIMES)
class ForgetsByTheMicrosecond(PlainStore):
    """Has a TIMESTAMP column beside the number, and forgets by that."""

    def forget(self, query: Query) -> int:
        if query.since_ns is None:
            return super().forget(query)
        return super().forget(replace(query, since_ns=query.since_ns // 1000 * 1000))


@caught_by(TIMES)
class AppendsAfterAFloat(PlainStore):
    """Has the newest time from JavaScript."""

    def last_time(self, state: State, reference: Reference) -> int:
        return int(float(super().last_time(state, reference)))


@caught_by(TIMES)
class SummarisesAsFloats(PlainStore):
    """Lets the database find the least and the greatest, in double precision."""

    def summarise(self, state: State, references: list[Reference]) -> list:  # type: ignore[type-arg]
        return [
            replace(
                one,
                first_seen_ns=min(int(float(one.first_seen_ns)), 2**63 - 1),
                last_seen_ns=min(int(float(one.last_seen_ns)), 2**63 - 1),
            )
            for one in super().summarise(state, references)
        ]


@caught_by(TIMES)
class ComparesTimesAsText(PlainStore):
    """Sorts times as strings of digits, without zeros in front."""

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        with self.session() as state:
            ranked = sorted(self.matching(state, Query()), key=lambda one: str(one.observed_at_ns))
            last = {one.timeline: one for one in ranked}
            return {one: last[one] for one in timelines if one in last}


@caught_by(NEWEST)
class AppendsAfterWhatWasAppended(PlainStore):
    """Counts on from what it appended last, and does not hear of what was recorded or forgotten."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.times: dict[Timeline, int] = {}

    def last_time(self, state: State, reference: Reference) -> int:
        return self.times.get(reference.timeline, super().last_time(state, reference))

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        appended = super().append(files, references)
        self.times |= {one.timeline: one.observed_at_ns for one in appended}
        return appended


@caught_by(NEWEST)
class KeepsTheLatestTimeForEver(KeepsTheNewest):
    """Keeps the greatest time that a timeline ever had, and appends behind that."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.times: dict[Timeline, int] = {}

    def last_time(self, state: State, reference: Reference) -> int:
        return max(self.times.get(reference.timeline, -1), super().last_time(state, reference))

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        super().add(state, files, reference)
        self.times[reference.timeline] = max(self.times.get(reference.timeline, -1), reference.observed_at_ns)
