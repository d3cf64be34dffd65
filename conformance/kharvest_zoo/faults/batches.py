"""Faults in what is done with what is given, in what is returned, and in batches at their limits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from kharvest.spi import (
    MAX_BATCH,
    Conflict,
    Content,
    FileSummary,
    InvalidValue,
    Page,
    Query,
    Reference,
    Signature,
    StoreUnavailable,
    Timeline,
    UnknownContent,
)
from kharvest_zoo.fault import caught_by
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State


@caught_by("test_known_and_newest_take_any_collection")
class AsksASliceAtATime(PlainStore):
    """Asks five hundred at a time, and was tried with lists."""

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        found: dict[Signature, Content] = {}
        for start in range(0, len(signatures), 500):
            found |= super().known(signatures[start : start + 500])  # type: ignore[index]
        return found


@caught_by("test_known_and_newest_take_any_collection")
class SortsTimelines(PlainStore):
    """Sorts what it is asked for, as signatures can be: timelines cannot."""

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        return super().newest(sorted(timelines))  # type: ignore[type-var]


@caught_by("test_known_and_newest_take_any_collection")
class PairsAnswersWithQuestions(PlainStore):
    """Pairs the rows with what it asked, which is wrong when something was asked twice."""

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        found = super().newest(timelines)
        rows = [found.get(timeline) for timeline in dict.fromkeys(timelines)]
        return {asked: row for asked, row in zip(timelines, rows, strict=False) if row is not None}


@caught_by("test_known_and_newest_take_any_collection")
class AsksOnlySets(PlainStore):
    """Calls a method that only sets have."""

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        with self.session() as state:
            return {one: state.files[one] for one in signatures.intersection(state.files)}  # type: ignore[attr-defined]


@caught_by("test_record_and_append_take_any_mapping_and_any_sequence")
class CopiesFilesAsADictionary(PlainStore):
    """Calls a method that only dictionaries have."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        super().record(files.copy(), references)  # type: ignore[attr-defined]


@caught_by("test_record_and_append_take_any_mapping_and_any_sequence")
class AddsToTheSequence(PlainStore):
    """Adds lists, and a tuple cannot be added to one."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        return super().append(files, [] + references)  # type: ignore[operator]  # noqa: RUF005  # the fault


@caught_by("test_batches_without_files_or_references_do_nothing")
class TakesTheFirstReference(PlainStore):
    """Takes the pod of a batch from its first reference."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        if files and references[0].pod is None:
            raise StoreUnavailable("no pod")
        return super().append(files, references)


@caught_by("test_a_file_that_no_reference_names_is_not_recorded")
class RecordsEveryFile(PlainStore):
    """Inserts all of `files`."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        super().record(files, references)
        with self.session() as state:
            state.files |= files


@caught_by("test_a_file_that_no_reference_names_is_not_recorded")
class AppendsEveryFile(PlainStore):
    """Inserts all of `files`, in the method that was written last."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        appended = super().append(files, references)
        with self.session() as state:
            state.files |= files
        return appended


@caught_by("test_a_file_that_no_reference_names_is_not_recorded")
class RecordsFilesOfThePath(PlainStore):
    """Takes a file for named when its path is."""

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        super().add(state, files, reference)
        for signature, content in files.items():
            if signature.path == reference.signature.path:
                state.files[signature] = content


@caught_by("test_a_file_is_checked_also_where_no_reference_names_it")
class ChecksNamedFilesOnly(PlainStore):
    """Drops what no reference names before it looks."""

    def check(self, state: State, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        named = {one.signature for one in references}
        super().check(state, {one: content for one, content in files.items() if one in named}, references)


@caught_by("test_a_file_is_checked_also_where_no_reference_names_it")
class PassesOverBatchesWithoutReferences(PlainStore):
    """Returns early."""

    def check(self, state: State, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        if references:
            super().check(state, files, references)


@caught_by("test_what_is_given_is_neither_kept_nor_changed")
class SortsTheReferencesGiven(PlainStore):
    """Sorts in place, for its index."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        if isinstance(references, list):
            references.sort(key=lambda one: one.observed_at_ns)
        super().record(files, references)


@caught_by("test_what_is_given_is_neither_kept_nor_changed")
class TimesTheCallersList(PlainStore):
    """Writes the times into the list that it was given, and returns that."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        appended = super().append(files, references)
        if isinstance(references, list):
            references[:] = appended
        return appended


@caught_by("test_what_is_given_is_neither_kept_nor_changed")
class WritesWhenSomebodyReads(PlainStore):
    """Keeps a checked batch until it is needed, to write several at once."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.waiting: list[tuple[Mapping[Signature, Content], Sequence[Reference]]] = []

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        with self.session() as state:
            self.flush()
            self.check(state, files, references)
            self.waiting.append((files, references))

    def flush(self) -> None:
        waiting, self.waiting = self.waiting, []
        for files, references in waiting:
            super().record(files, references)

    def matching(self, state: State, query: Query) -> list[Reference]:
        self.flush()
        return super().matching(state, query)

    def file_of(self, state: State, signature: Signature) -> Content | None:
        self.flush()
        return super().file_of(state, signature)

    def files(self, query: Query) -> Page[FileSummary]:
        self.flush()
        return super().files(query)


@caught_by("test_what_is_given_is_neither_kept_nor_changed")
class TakesWhatItIsAsked(PlainStore):
    """Takes one after the other from the list until none is left."""

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        if not isinstance(signatures, list):
            return super().known(signatures)
        found: dict[Signature, Content] = {}
        while signatures:
            found |= super().known([signatures.pop()])
        return found


@caught_by("test_what_is_returned_is_the_caller_s_own")
class ReturnsItsCache(PlainStore):
    """Remembers answers, and hands out the one that it remembers."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.answers: dict[tuple[int, int, frozenset[Signature]], dict[Signature, Content]] = {}

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        key = (self.state.arrivals, len(self.state.references), frozenset(signatures))
        if key not in self.answers:
            self.answers[key] = super().known(signatures)
        return self.answers[key]


@caught_by("test_what_is_returned_is_the_caller_s_own")
class ReturnsItsTable(PlainStore):
    """Returns the table itself where all of it was asked for."""

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        with self.session() as state:
            if state.files and set(signatures) == state.files.keys():
                return state.files
        return super().known(signatures)


@caught_by("test_what_is_returned_is_the_caller_s_own")
class ReturnsOneEmptyList(PlainStore):
    """Has a constant for nothing."""

    nothing: list[Reference] = []  # noqa: RUF012  # the fault

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        return super().append(files, references) or self.nothing


@caught_by("test_what_is_returned_is_the_caller_s_own")
class ReturnsOneEmptyDictionary(PlainStore):
    """Has a constant for no timelines."""

    nothing: dict[Timeline, Reference] = {}  # noqa: RUF012  # the fault

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        return super().newest(timelines) or self.nothing


def _viewed(content: Content) -> Content:
    return Content(memoryview(content.sha256), memoryview(content.md5), content.size)  # type: ignore[arg-type]


@caught_by("test_answers_are_of_the_types_of_the_contract")
class ReturnsViewsOfBytes(PlainStore):
    """Passes on what the driver gives for a BYTEA."""

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        return {signature: _viewed(content) for signature, content in super().known(signatures).items()}


@caught_by("test_answers_are_of_the_types_of_the_contract")
class ReturnsDecimals(PlainStore):
    """Passes on what the driver gives for a NUMERIC."""

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        return {
            timeline: replace(one, observed_at_ns=Decimal(one.observed_at_ns))  # type: ignore[arg-type]
            for timeline, one in super().newest(timelines).items()
        }


@caught_by("test_answers_are_of_the_types_of_the_contract")
class SumsInTheDatabase(PlainStore):
    """Passes on what the driver gives for a SUM."""

    def summary(self, state: State, signature: Signature, references: list[Reference]) -> FileSummary:
        found = super().summary(state, signature, references)
        return replace(found, pods=Decimal(found.pods))  # type: ignore[arg-type]


@caught_by("test_answers_are_of_the_types_of_the_contract")
class ReturnsATuple(PlainStore):
    """Returns what cannot be changed."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        return tuple(super().append(files, references))  # type: ignore[return-value]


@caught_by("test_answers_are_of_the_types_of_the_contract")
class TellsWhetherItForgot(PlainStore):
    """Tells of one row whether it was there."""

    def forget(self, query: Query) -> int:
        count = super().forget(query)
        return count if count > 1 else bool(count)


# refusals


@caught_by("test_a_large_batch_is_refused_whole_wherever_its_fault_is")
class RecordsFilesFirst(PlainStore):
    """Inserts the files, checks the references, and has no transaction around both."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        with self.session() as state:
            self.check(state, files, ())
            named = {one.signature for one in references}
            for signature, content in files.items():
                if signature in named:
                    state.files.setdefault(signature, content)
        super().record(files, references)


@caught_by("test_a_large_batch_is_refused_whole_wherever_its_fault_is")
class CommitsEveryFifty(PlainStore):
    """Writes fifty references in a transaction, so that none takes long."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        with self.session() as state:
            self.check_contents(state, files)
        for start in range(0, max(1, len(references)), 50):
            super().record(files, references[start : start + 50])


@caught_by("test_a_large_batch_is_refused_whole_wherever_its_fault_is")
class ChecksAllButTheLast(PlainStore):
    """Is off by one."""

    def check(self, state: State, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        super().check(state, files, references[:-1] if len(references) > 100 else references)


@caught_by("test_a_large_batch_is_refused_whole_wherever_its_fault_is")
class TellsOneAbsentContent(PlainStore):
    """Stops at the first that is not there."""

    def check_contents(self, state: State, files: Mapping[Signature, Content]) -> None:
        for content in files.values():
            if content.sha256 not in state.contents:
                raise UnknownContent(sha256s=frozenset({content.sha256}))


@caught_by("test_a_large_batch_is_refused_whole_wherever_its_fault_is")
class TellsOneUnknownSignature(PlainStore):
    """Stops at the first that is not known."""

    def check(self, state: State, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        try:
            super().check(state, files, references)
        except UnknownContent as error:
            if len(error.signatures) < 2:
                raise
            raise UnknownContent(signatures=frozenset({min(error.signatures)})) from None


@caught_by("test_a_large_batch_is_not_appended_wherever_its_fault_is")
class AppendsUpToTheConflict(PlainStore):
    """Finds a conflict where it comes to it."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        with self.session() as state:
            try:
                self.check(state, files, references)
            except Conflict as conflict:
                at = [one.signature for one in references].index(conflict.signature)
                super().append(
                    {one: content for one, content in files.items() if one != conflict.signature}, references[:at]
                )
                raise
            return super().append(files, references)


@caught_by("test_a_large_batch_is_not_appended_wherever_its_fault_is")
class AppendsUpToTheEndOfTime(PlainStore):
    """Writes until a time is refused."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        with self.session() as state:
            self.check(state, files, references)
            appended: list[Reference] = []
            for reference in references:
                appended += self.timed(state, [reference])
                self.add(state, files, appended[-1])
            return appended


@caught_by("test_a_large_batch_is_not_appended_wherever_its_fault_is")
class RemembersRefusedTimes(PlainStore):
    """Counts up what is newest while it checks, also for what is refused."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.times: dict[Timeline, int] = {}

    def last_time(self, state: State, reference: Reference) -> int:
        return max(super().last_time(state, reference), self.times.get(reference.timeline, -1))

    def timed(self, state: State, references: Sequence[Reference]) -> list[Reference]:
        try:
            return super().timed(state, references)
        except InvalidValue:
            self.times |= {one.timeline: one.observed_at_ns for one in references}
            raise

    def forget(self, query: Query) -> int:
        self.times.clear()
        return super().forget(query)


@caught_by("test_a_batch_with_several_faults_is_refused_for_one_of_them")
class TellsOneOfEach(PlainStore):
    """Tells the smallest of each kind when there are several."""

    def check(self, state: State, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        absent = {content.sha256 for content in files.values()} - state.contents.keys()
        named = {one.signature for one in references if not one.signature.is_removal}
        unknown = {one for one in named if one not in files and one not in state.files}
        if absent and unknown:
            raise UnknownContent(frozenset({min(absent)}), frozenset({min(unknown)}))
        super().check(state, files, references)


# limits


@caught_by("test_a_batch_of_the_most_items_is_recorded_whole")
class BindsTooMuch(PlainStore):
    """Writes a batch in one statement, of seven parameters a row; PostgreSQL has 65,535."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        if 7 * len(references) > 65_535:
            raise StoreUnavailable("the number of parameters must be between 0 and 65535")
        super().record(files, references)


@caught_by("test_a_batch_of_the_most_items_is_recorded_whole")
class LooksUpNineThousand(PlainStore):
    """Asks in one statement, whose length is limited."""

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        if len(set(signatures)) == MAX_BATCH:
            raise StoreUnavailable("statement too long")
        return super().known(signatures)


@caught_by("test_a_batch_of_the_most_items_is_recorded_whole")
class HasADefaultLimit(PlainStore):
    """Goes through a layer that gives a thousand rows where nobody says how many."""

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        return dict(list(super().newest(timelines).items())[:1000])


@caught_by("test_a_batch_of_the_most_items_is_recorded_whole")
class CountsAThousandPods(PlainStore):
    """Aggregates an array that is cut."""

    def summary(self, state: State, signature: Signature, references: list[Reference]) -> FileSummary:
        found = super().summary(state, signature, references)
        return replace(found, pods=min(found.pods, 1000))


@caught_by("test_thousands_are_appended_and_forgotten_at_once")
class TimesAThousandAtATime(PlainStore):
    """Looks up what is newest once, and times a batch in parts."""

    def timed(self, state: State, references: Sequence[Reference]) -> list[Reference]:
        return [
            one
            for start in range(0, len(references), 1000)
            for one in super(TimesAThousandAtATime, self).timed(state, references[start : start + 1000])
        ]


@caught_by("test_thousands_are_appended_and_forgotten_at_once")
class DeletesAThousandKeys(PlainStore):
    """Deletes in one statement, of a thousand keys."""

    def forget(self, query: Query) -> int:
        return super().forget(replace(query, limit=min(query.limit, 1000)))


@caught_by("test_thousands_are_appended_and_forgotten_at_once")
class CallsItselfForEach(PlainStore):
    """Calls itself for what is left of a timeline."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        if len(references) > 1000 and references[-1].timeline == references[-2].timeline:
            raise RecursionError("maximum recursion depth exceeded")
        return super().append(files, references)


@caught_by("test_a_batch_of_the_most_bytes_is_recorded_whole")
class HasSmallPackets(PlainStore):
    """Sends a batch as one packet of 4 MiB at most."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        if sum(len(one.signature.path) for one in references) > 4 * 1024 * 1024:
            raise StoreUnavailable("packet too large")
        return super().append(files, references)


@caught_by("test_a_batch_of_the_most_bytes_is_recorded_whole")
class KeepsABatchInOneDocument(PlainStore):
    """Writes a batch as one document, of which MongoDB takes less than 16 MiB."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        paths = [*(one.signature.path for one in references), *(one.path for one in files)]
        if sum(map(len, paths)) > 15 * 1024 * 1024:
            raise StoreUnavailable("document too large")
        super().record(files, references)
