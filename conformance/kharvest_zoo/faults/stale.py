"""Faults of what is kept, given back, or written afterwards: an answer is older or younger than what it stands for."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from kharvest.spi import (
    Content,
    ContentMismatch,
    InvalidCursor,
    Metadata,
    Order,
    Page,
    Query,
    Reference,
    Signature,
    Timeline,
)
from kharvest_zoo.fault import caught_by
from kharvest_zoo.filed import FiledStore
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State

REREAD = "test_what_was_asked_before_is_answered_anew_after_each_write_of_another_handle"
GLIMPSED = "test_what_one_question_shows_of_a_write_every_later_one_shows"
RETURNED = "test_what_is_returned_is_the_caller_s_own"
MET = "test_a_record_by_what_is_known_beside_its_forget_keeps_the_file_or_is_refused"
REOPENED = "test_each_kind_of_write_leaves_the_same_after_reopening"
TRIP = 0.003
"""How long a message to a server is on its way."""


@caught_by("test_the_answer_of_claim_is_the_caller_s_own_set")
class ClaimsInPlace(PlainStore):
    """Takes out of the keys what it could not get, if they are in a set, and returns that."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        held = super().claim(keys, holder, now_ns, until_ns)
        if not isinstance(keys, set):
            return held
        keys &= held
        return keys


@caught_by("test_what_is_given_and_returned_for_contents_stays_the_callers")
class FindsThemAllPresent(PlainStore):
    """Has nothing to change in a dictionary of contents that are all there: returns it."""

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        found = super().present(sha256s)
        return sha256s if isinstance(sha256s, dict) and sha256s == found else found


@caught_by(RETURNED)
class KnowsThemAll(PlainStore):
    """Has nothing to change in files that are all known: returns them."""

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        found = super().known(signatures)
        return signatures if isinstance(signatures, dict) and signatures == found else found


@caught_by(RETURNED)
class NewestAreUpToDate(PlainStore):
    """Brings a caller's table of the newest up to date, in its place."""

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        found = super().newest(timelines)
        if isinstance(timelines, dict) and timelines.keys() == found.keys():
            timelines.update(found)
            return timelines
        return found


@caught_by(RETURNED)
class AppendsInPlace(PlainStore):
    """Writes the times into the list that it is given."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        appended = super().append(files, references)
        if isinstance(references, list) and references == appended:
            return references
        return appended


class _Counted(FiledStore):
    """Counts the handles of an address; the last one that is closed closes what all of them share."""

    shared: ClassVar[dict[str, list[Any]]] = {}

    def __init__(self, address: str) -> None:
        super().__init__(address)
        entry = self.shared.setdefault(address, [0, self.database, self.lock])
        if entry[0] == 0:
            entry[1:] = [self.database, self.lock]
        elif self.database is not entry[1]:
            self.database.close()
        entry[0] += 1
        _count, self.database, self.lock = entry


@caught_by("test_handles_are_closed_in_any_order")
class CountsEachClose(_Counted):
    """Closes what the handles share when it was closed as often as it was opened, whoever it was."""

    shared: ClassVar[dict[str, list[Any]]] = {}

    def close(self) -> None:
        entry = self.shared[self.address]
        entry[0] -= 1
        if entry[0] == 0:
            entry[1].close()


class _Keeping(FiledStore):
    """Keeps answers, until it writes itself."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.kept: dict[Any, Any] = {}

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        super().record(files, references)
        self.kept.clear()

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        appended = super().append(files, references)
        self.kept.clear()
        return appended

    def forget(self, query: Query) -> int:
        self.kept.clear()
        return super().forget(query)


@caught_by(REREAD)
class KeepsFullPages(_Keeping):
    """Keeps the pages behind which there are others: they are full, and what is full stays as it is."""

    def references(self, query: Query) -> Page[Reference]:
        page = self.kept.get(query) or super().references(query)
        if page.next_cursor is not None:
            self.kept[query] = page
        return page


@caught_by(REREAD)
class KeepsThePast(_Keeping):
    """Keeps pages of what came before a time: no more comes then, it thinks."""

    def references(self, query: Query) -> Page[Reference]:
        if query.until_ns is None:
            return super().references(query)
        if query not in self.kept:
            self.kept[query] = super().references(query)
        page: Page[Reference] = self.kept[query]
        return page


@caught_by(REREAD)
class KeepsTheLatestOfAPod(_Keeping):
    """Keeps what a pod holds: it is asked for again and again."""

    def references(self, query: Query) -> Page[Reference]:
        if not query.latest or query.pod is None:
            return super().references(query)
        if query not in self.kept:
            self.kept[query] = super().references(query)
        page: Page[Reference] = self.kept[query]
        return page


@caught_by("test_walks_change_from_handle_to_handle_at_each_page")
class WalksOfTheHandle(FiledStore):
    """Keeps the walks through files that have begun: another handle knows nothing of them."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.begun: set[str] = set()

    def files(self, query: Query) -> Page[Any]:
        if query.cursor is not None and query.path_prefix is not None and query.cursor not in self.begun:
            raise InvalidCursor
        page = super().files(query)
        if page.next_cursor is not None:
            self.begun.add(page.next_cursor)
        return page


@caught_by(GLIMPSED)
class WritesMetadataAfterwards(PlainStore):
    """Writes what metadata finds when the batch is in, a message later."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.indexed: set[Reference] = set()

    def tagged(self, reference: Reference, query: Query) -> bool:
        return super().tagged(reference, query) and (not query.metadata or reference in self.indexed)

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        super().record(files, references)
        time.sleep(TRIP)
        self.indexed.update(references)

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        appended = super().append(files, references)
        self.indexed.update(appended)
        return appended


@caught_by(GLIMPSED)
class KnowsAMomentLater(PlainStore):
    """Writes the table of known files when the references are in."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.late: set[Signature] = set()

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        with self.session() as state:
            self.late |= files.keys() - state.files.keys()
            super().record(files, references)
        time.sleep(TRIP)
        self.late -= files.keys()

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        return {one: content for one, content in super().known(signatures).items() if one not in self.late}


@caught_by(GLIMPSED)
class NotesWhatHasNoNewest(PlainStore):
    """Notes which timelines have nothing, when it has the answer: a record may have ended since."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.without: set[Timeline] = set()

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        asked = [one for one in timelines if one not in self.without]
        found = super().newest(asked)
        time.sleep(TRIP / 4)
        self.without |= set(asked) - found.keys()
        return found

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        super().record(files, references)
        self.without -= {one.timeline for one in references}

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        appended = super().append(files, references)
        self.without -= {one.timeline for one in references}
        return appended


@caught_by("test_what_was_looked_for_while_it_was_put_is_there_afterwards")
class NotesWhatIsAbsent(PlainStore):
    """Notes which contents are not there, when it has the answer: a put may have ended since."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.absent: set[bytes] = set()

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        asked = [one for one in sha256s if one not in self.absent]
        found = super().present(asked)
        time.sleep(TRIP / 4)
        self.absent |= set(asked) - found.keys()
        return found

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        super().put(content, chunks)
        self.absent.discard(content.sha256)


@caught_by(MET)
class ChecksWhatIsKnownFirst(PlainStore):
    """Asks what is known in a call of its own, before it writes."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        with self.session() as state:
            self.check(state, files, references)
            known = {one.signature: self.file_of(state, one.signature) for one in references}
        time.sleep(TRIP)
        with self.session() as state:
            for reference in references:
                self.add(state, files, reference)
            del known


@caught_by("test_the_very_error_of_the_chunks_comes_out")
class UnwrapsErrors(PlainStore):
    """Draws chunks in a task of its own, which wraps errors, and raises what is inside."""

    def keep(self, chunks: Iterable[bytes]) -> object:
        try:
            return super().keep(chunks)
        except RuntimeError as error:
            if isinstance(error.__cause__, (StopIteration, ContentMismatch)):
                raise error.__cause__ from None
            raise


@caught_by("test_a_failed_put_of_what_is_there_leaves_it_there")
class CleansUpByName(PlainStore):
    """Removes the content when its bytes turn out to be wrong: somebody else may have stored it before."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        try:
            super().put(content, chunks)
        except ContentMismatch:
            self.discard([content.sha256])
            raise


@caught_by("test_leases_go_by_the_time_that_is_passed_in")
class EndsLeasesOfTheLastHour(PlainStore):
    """Sweeps leases that have ended by its clock an hour ago or less: others are swept by a job of the night."""

    def is_free(self, state: State, key: bytes, holder: str, now_ns: int) -> bool:
        _owner, until = state.leases.get(key, (holder, 0))
        return super().is_free(state, key, holder, now_ns) or 0 <= time.time_ns() - until <= 3601 * 10**9


@caught_by(REOPENED)
class ReplaysForgetsByTheirCount(FiledStore):
    """Keeps a journal of how many were forgotten in which order; what is opened again has forgotten others."""

    def forget(self, query: Query) -> int:
        with self.session() as state:
            before = dict(state.references)
            count = super().forget(query)
            state.replayed = (before, query.order, count)  # type: ignore[attr-defined]
            return count

    def __init__(self, address: str) -> None:
        super().__init__(address)
        with self.session() as state:
            before, order, count = getattr(state, "replayed", ({}, Order.OLDEST_FIRST, 0))
            if count:
                ranked = sorted(before, key=lambda one: (one.observed_at_ns, before[one]))
                doomed = ranked[:count] if order is Order.OLDEST_FIRST else ranked[-count:]
                state.references = {one: rank for one, rank in before.items() if one not in doomed}
                state.replayed = ({}, order, 0)  # type: ignore[attr-defined]


@caught_by("test_a_large_batch_is_refused_whole_wherever_its_fault_is")
class RecordsPodByPod(PlainStore):
    """Writes what each pod has to the part of the store that the pod is in: one part refuses, others have written."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        with self.session() as state:
            self.check_contents(state, files)
            super().record(files, [])
        for pod in dict.fromkeys(one.pod for one in references):
            super().record(files, [one for one in references if one.pod == pod])


@caught_by("test_what_is_recorded_has_nothing_of_what_was_forgotten_before")
class UsesNumbersAgain(PlainStore):
    """Numbers references by how many there are, and leaves the metadata of a number that is free again."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.tags: dict[int, dict[str, str]] = {}

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        if reference not in state.references:
            number = len(state.references)
            self.tags[number] = {**self.tags.get(number, {}), **reference.metadata}
            self.numbers = {**getattr(self, "numbers", {}), reference: number}
        super().add(state, files, reference)

    def tagged(self, reference: Reference, query: Query) -> bool:
        tagged = replace(reference, metadata=Metadata(self.tags[self.numbers[reference]]))
        return super().tagged(tagged, query)
