"""Faults in recording and forgetting references."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from threading import Barrier, BrokenBarrierError

from kharvest.spi import Content, Order, Pod, Query, Reference, Signature, StoreUnavailable, UnknownContent
from kharvest_zoo.fault import caught_by
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State


@caught_by("test_a_signature_that_is_not_known_is_refused_with_its_batch")
class RecordsHalfABatch(PlainStore):
    """Checks each reference when it comes to it, and does not roll back."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        with self.session() as state:
            self.check(state, files, ())
            for reference in references:
                self.check(state, {}, () if reference.signature in files else (reference,))
                self.add(state, files, reference)


@caught_by("test_a_file_whose_content_is_not_stored_is_refused_with_its_batch")
class RecordsFilesWithoutContent(PlainStore):
    """Trusts the caller to have put it."""

    def check_contents(self, state: State, files: Mapping[Signature, Content]) -> None:
        pass


@caught_by("test_a_file_whose_content_was_discarded_is_refused")
class RemembersDiscardedContents(PlainStore):
    """Caches which contents are there, and does not hear of their removal."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.seen: set[bytes] = set()

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        super().put(content, chunks)
        self.seen.add(content.sha256)

    def check_contents(self, state: State, files: Mapping[Signature, Content]) -> None:
        super().check_contents(
            state, {one: content for one, content in files.items() if content.sha256 not in self.seen}
        )


@caught_by("test_a_known_signature_with_other_content_is_a_conflict")
class OverwritesOnConflict(PlainStore):
    """Has an upsert where an insert belongs."""

    def check(self, state: State, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        self.check_contents(state, files)


@caught_by("test_a_known_signature_with_other_content_is_a_conflict")
class IgnoresAConflict(PlainStore):
    """Has INSERT … ON CONFLICT DO NOTHING."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        with self.session() as state:
            files = {one: state.files.get(one, content) for one, content in files.items()}
        super().record(files, references)


@caught_by("test_one_md5_on_two_paths_may_have_two_contents")
class KnowsFilesByMd5Only(PlainStore):
    """Has the primary key on the MD5, since that is what a version is."""

    def file_of(self, state: State, signature: Signature) -> Content | None:
        return next((content for one, content in state.files.items() if one.md5 == signature.md5), None)


@caught_by("test_of_two_conflicting_records_at_once_one_wins")
class ChecksBeforeItLocks(PlainStore):
    """Looks in one transaction and writes in the next."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        with self.session() as state:
            self.check(state, files, references)
        self.hold.wait()
        with self.session() as state:
            for reference in references:
                self.add(state, files, reference)

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.hold = _Meeting()


class _Meeting:
    """Lets calls that come in pairs go on together, and a single one after a moment."""

    def __init__(self) -> None:
        self.barrier = Barrier(2)

    def wait(self) -> None:
        try:
            self.barrier.wait(0.2)
        except BrokenBarrierError:
            self.barrier.reset()


@caught_by("test_the_same_reference_twice_is_one")
class HasNoUniqueIndex(PlainStore):
    """Keeps a reference as often as it is recorded."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.again: list[Reference] = []

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        if reference in state.references:
            self.again.append(reference)
        super().add(state, files, reference)

    def matching(self, state: State, query: Query) -> list[Reference]:
        found = super().matching(state, query)
        return [one for reference in found for one in [reference] * (1 + self.again.count(reference))]


@caught_by("test_references_that_differ_in_any_field_are_several")
class KeysWithoutMetadata(PlainStore):
    """Has one reference for each pod, file and time."""

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        if all(replace(one, metadata=reference.metadata) != reference for one in state.references):
            super().add(state, files, reference)


@caught_by("test_references_that_differ_in_any_field_are_several")
class KeysWithoutTheNamespace(PlainStore):
    """Has one reference for each pod's name, file, metadata and time."""

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        name = reference.pod.name
        if all(replace(one, pod=reference.pod) != reference for one in state.references if one.pod.name == name):
            super().add(state, files, reference)


@caught_by("test_a_removal_is_recorded_without_a_file_and_never_known")
class LosesRemovals(PlainStore):
    """Has an inner join to the files."""

    def matching(self, state: State, query: Query) -> list[Reference]:
        return [one for one in super().matching(state, query) if not one.signature.is_removal]


@caught_by("test_a_removal_is_recorded_without_a_file_and_never_known")
class WantsFilesForRemovals(PlainStore):
    """Has a foreign key that is not nullable."""

    def check(self, state: State, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        super().check(state, files, references)
        removals = frozenset(one.signature for one in references if one.signature.is_removal)
        if removals:
            raise UnknownContent(signatures=removals)


@caught_by("test_what_is_put_and_not_recorded_is_not_known")
class KnowsWhatWasOnlyPut(PlainStore):
    """Answers from the contents' MD5s."""

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        with self.session() as state:
            by_md5 = {content.md5: content for content, _kept in state.contents.values()}
            return {one: by_md5[one.md5] for one in signatures if one.md5 in by_md5}


@caught_by("test_strings_that_look_alike_stay_apart")
class TrimsPods(PlainStore):
    """Tidies what it is given."""

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        pod = Pod(reference.pod.namespace, reference.pod.name.strip())
        super().add(state, files, replace(reference, pod=pod))


@caught_by("test_strings_that_look_alike_stay_apart")
class NormalisesUnicode(PlainStore):
    """Compares as a file system does that composes accents."""

    def same(self, stored: str, asked: str) -> bool:
        return unicodedata.normalize("NFC", stored) == unicodedata.normalize("NFC", asked)


@caught_by("test_strings_that_look_alike_stay_apart")
class PadsWithSpaces(PlainStore):
    """Compares as SQL's CHAR does."""

    def same(self, stored: str, asked: str) -> bool:
        return stored.rstrip(" ") == asked.rstrip(" ")


@caught_by("test_values_at_their_limits_come_back_as_they_went_in")
class IndexesTheFirst768Characters(PlainStore):
    """Compares as far as the index goes."""

    def same(self, stored: str, asked: str) -> bool:
        return stored[:768] == asked[:768]


@caught_by("test_values_at_their_limits_come_back_as_they_went_in")
class KeepsTimesAsFloats(PlainStore):
    """Loses the nanoseconds."""

    def is_since(self, reference: Reference, since_ns: int | None) -> bool:
        return since_ns is None or float(reference.observed_at_ns) >= float(since_ns)


@caught_by("test_large_batches_are_one_batch")
class HasTooManyVariables(PlainStore):
    """Puts a batch into one statement, whatever the driver's limit."""

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        if len(signatures) > 999:
            raise StoreUnavailable("too many SQL variables")
        return super().known(signatures)


@caught_by("test_empty_batches_do_nothing")
class CannotTakeAnEmptyBatch(PlainStore):
    """Writes `IN ()`."""

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        if not signatures:
            raise StoreUnavailable('syntax error near ")"')
        return super().known(signatures)


@caught_by("test_forget_removes_the_first_ones_up_to_the_limit")
class ForgetsWithoutLimit(PlainStore):
    """Deletes all that match."""

    def forget(self, query: Query) -> int:
        return super().forget(replace(query, limit=10_000))


@caught_by("test_forget_removes_the_first_ones_up_to_the_limit")
class ForgetsTheOldestAlways(PlainStore):
    """Does not look at the order."""

    def forget(self, query: Query) -> int:
        return super().forget(replace(query, order=Order.OLDEST_FIRST))


@caught_by("test_a_signature_without_references_is_no_longer_known")
class KnowsForgottenFiles(PlainStore):
    """Leaves orphans among the files."""

    def forget_files(self, state: State, doomed: list[Reference]) -> None:
        pass


@caught_by("test_a_signature_without_references_is_no_longer_known")
class ForgetsFilesTooEarly(PlainStore):
    """Forgets the file with the first of its references."""

    def forget_files(self, state: State, doomed: list[Reference]) -> None:
        for reference in doomed:
            state.files.pop(reference.signature, None)


@caught_by("test_forgetting_leaves_contents")
class ForgetsContentsToo(PlainStore):
    """Cascades."""

    def forget_files(self, state: State, doomed: list[Reference]) -> None:
        super().forget_files(state, doomed)
        named = {content.sha256 for content in state.files.values()}
        state.contents = {sha256: item for sha256, item in state.contents.items() if sha256 in named}


@caught_by("test_forgetting_again_and_again_ends_with_zero")
class CountsWhatMatched(PlainStore):
    """Returns how many matched, not how many it removed."""

    def forget(self, query: Query) -> int:
        with self.session() as state:
            matched = len(self.matching(state, query))
        super().forget(query)
        return matched
