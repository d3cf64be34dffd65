"""Faults that show when calls come at once, or end in the middle."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Barrier, BrokenBarrierError

from kharvest.spi import Content, FileSummary, Page, Query, Reference, Signature, StoreUnavailable, Timeline
from kharvest_zoo.fault import caught_by
from kharvest_zoo.filed import FiledStore
from kharvest_zoo.plain import PlainStore

WHOLE = "test_readers_see_each_batch_whole_or_not_at_all"
ORDERS = "test_writers_of_the_same_in_opposite_orders_all_succeed"
FORGETTING = "test_forgetting_beside_recording_loses_nothing_and_invents_nothing"
PROCESSES = "test_forgetting_beside_recording_in_another_process_loses_nothing"
DISCARDING = "test_discarding_beside_recording_leaves_no_half"
KILLED = "test_a_batch_that_is_killed_is_there_whole_or_not_at_all"

TRIP_SECONDS = 0.001
"""A round trip to a database."""


def _trip() -> None:
    time.sleep(TRIP_SECONDS)


@caught_by(WHOLE)
class RecordsAHundredAtATime(PlainStore):
    """Checks a batch whole, and writes it in transactions of a hundred."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        with self.session() as state:
            self.check(state, files, references)
        for start in range(0, len(references), 100):
            super().record(files, references[start : start + 100])
            _trip()


@caught_by(WHOLE)
class AppendsAHundredAtATime(PlainStore):
    """The same for what is appended."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        with self.session() as state:
            self.check(state, files, references)
            self.timed(state, references)
        appended: list[Reference] = []
        for start in range(0, len(references), 100):
            appended += super().append(files, references[start : start + 100])
            _trip()
        return appended


@caught_by(WHOLE)
class RecordsFilesInFront(PlainStore):
    """Inserts files in one transaction, and references in the next."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        named = [one.signature for one in references if one.signature in files]
        with self.session() as state:
            self.check(state, files, references)
        for start in range(0, len(named), 100):
            with self.session() as state:
                state.files |= {one: files[one] for one in named[start : start + 100]}
            _trip()
        super().record(files, references)


@caught_by(WHOLE)
class ForgetsAHundredAtATime(PlainStore):
    """Deletes a hundred rows in a transaction, until the limit is reached."""

    def forget(self, query: Query) -> int:
        forgotten = 0
        while forgotten < query.limit:
            asked = replace(query, limit=min(100, query.limit - forgotten))
            count = super().forget(asked)
            forgotten += count
            if count < asked.limit:
                break
            _trip()
        return forgotten


@caught_by(WHOLE)
class LooksUpAHundredAtATime(PlainStore):
    """Asks in parts, each of another moment."""

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        asked, found = list(signatures), dict[Signature, Content]()
        for start in range(0, len(asked), 100):
            found |= super().known(asked[start : start + 100])
            _trip()
        return found


@caught_by(WHOLE)
class LooksUpTheNewestInParts(PlainStore):
    """The same for timelines."""

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        asked, found = list(timelines), dict[Timeline, Reference]()
        for start in range(0, len(asked), 100):
            found |= super().newest(asked[start : start + 100])
            _trip()
        return found


@caught_by(WHOLE)
class ReadsKeysThenRows(PlainStore):
    """Finds the keys of a page in one statement, and its rows in the next ones: some may be gone."""

    def references(self, query: Query) -> Page[Reference]:
        page = super().references(query)
        half = len(page.items) // 2
        _trip()
        with self.session() as state:
            rows = tuple(one for one in page.items[half:] if one in state.references)
        return Page(page.items[:half] + rows, page.next_cursor)


@caught_by(WHOLE)
class CountsFileByFile(PlainStore):
    """Counts the references of each file on a page by a statement of its own."""

    def files(self, query: Query) -> Page[FileSummary]:
        page = super().files(query)
        _trip()
        with self.session() as state:
            named = {one.signature for one in state.references}
        half = len(page.items) // 2
        return Page(
            (*page.items[:half], *(one for one in page.items[half:] if one.signature in named)), page.next_cursor
        )


@caught_by(ORDERS)
class InsertsIfItIsNotThere(PlainStore):
    """Looks for what is there first, and inserts the rest; two who look at once insert it twice."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.again: list[Reference] = []
        self.looking = Barrier(2)

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        with self.session() as state:
            self.check(state, files, references)
            new = [one for one in dict.fromkeys(references) if one not in state.references]
        try:
            self.looking.wait(0.02)
        except BrokenBarrierError:
            self.looking.reset()
        with self.session() as state:
            self.again += [one for one in new if one in state.references]
            for one in new:
                self.add(state, files, one)

    def references(self, query: Query) -> Page[Reference]:
        page = super().references(query)
        return Page((*page.items, *(one for one in self.again if one in page.items)), page.next_cursor)


@caught_by(ORDERS)
class IsBusy(PlainStore):
    """Does not wait for who writes."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        if not self.lock.acquire(blocking=False):
            raise StoreUnavailable("database is locked")
        try:
            _trip()
            super().record(files, references)
        finally:
            self.lock.release()


@caught_by("test_a_record_by_what_is_known_beside_its_forget_keeps_the_file_or_is_refused")
class CleansUpAfterwards(PlainStore):
    """Looks which files nobody names any more, and deletes them in another transaction."""

    def forget(self, query: Query) -> int:
        with self.session() as state:
            files = dict(state.files)
            count = super().forget(query)
            orphans = files.keys() - state.files.keys()
            state.files = files
        _trip()
        with self.session() as state:
            for one in orphans:
                state.files.pop(one, None)
        return count


@caught_by(FORGETTING)
class CountsBeforeItForgets(PlainStore):
    """Counts in one transaction, and deletes in the next."""

    def forget(self, query: Query) -> int:
        with self.session() as state:
            count = min(query.limit, len(self.matching(state, query)))
        _trip()
        super().forget(query)
        return count


@caught_by(FORGETTING)
class WritesBackWhatItRead(PlainStore):
    """Forgets in a copy, and puts that in the place of what may have changed meanwhile."""

    def forget(self, query: Query) -> int:
        with self.session() as state:
            kept, arrivals = dict(state.references), state.arrivals
            count = super().forget(query)
            left = dict(state.references)
            state.references = kept
            files = {one.signature for one in left}
        _trip()
        with self.session() as state:
            if count:
                state.references = left
                state.files = {one: content for one, content in state.files.items() if one in files}
                state.arrivals = max(arrivals, state.arrivals)
        return count


@caught_by(PROCESSES)
class ForgetsInAnotherTransaction(FiledStore):
    """Looks up what to forget in one transaction, and deletes it, and its files, in the next."""

    def forget(self, query: Query) -> int:
        with self.session() as state:
            doomed = self.matching(state, query)[: query.limit]
            left = {one.signature for one in state.references if one not in doomed}
        _trip()
        with self.session() as state:
            for one in doomed:
                state.references.pop(one, None)
            state.files = {one: content for one, content in state.files.items() if one in left}
        return len(doomed)


@caught_by(DISCARDING)
class RecordsWhatItCan(PlainStore):
    """Leaves out of a batch what is gone when it comes to it."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        with self.session() as state:
            self.check(state, files, references)
        _trip()
        with self.session() as state:
            there = {one: content for one, content in files.items() if content.sha256 in state.contents}
            for reference in references:
                if reference.signature in there or reference.signature in state.files:
                    self.add(state, there, reference)


@caught_by(DISCARDING)
class AppendsWhileItDiscards(PlainStore):
    """Says that it is busy when a content goes away."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        with self.session() as state:
            self.check(state, files, references)
            before = len(state.contents)
        _trip()
        if len(self.state.contents) != before:
            raise StoreUnavailable("could not serialize access due to concurrent update")
        return super().append(files, references)


@caught_by(KILLED)
class CommitsEachHundred(FiledStore):
    """Commits every hundred references."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        with self.session() as state:
            self.check(state, files, references)
        for start in range(0, len(references), 100):
            super().record(files, references[start : start + 100])


@caught_by(KILLED)
class CommitsFilesFirst(FiledStore):
    """Commits the files of a batch, then its references."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        with self.session() as state:
            self.check(state, files, references)
            state.files |= files
        return super().append({}, references)


@caught_by(KILLED)
class DeletesEachHundred(FiledStore):
    """Commits the removal of every hundred references."""

    def forget(self, query: Query) -> int:
        forgotten = 0
        for _part in range(-(-query.limit // 100)):
            forgotten += super().forget(Query(pod=query.pod, limit=100))
        return forgotten


@caught_by(KILLED)
class DeletesFilesLater(FiledStore):
    """Commits the removal of references, and that of their files afterwards."""

    def forget(self, query: Query) -> int:
        with self.session() as state:
            doomed = self.matching(state, query)[: query.limit]
            for one in doomed:
                del state.references[one]
        time.sleep(0.01)
        with self.session() as state:
            self.forget_files(state, doomed)
        return len(doomed)


@caught_by(KILLED)
class LeavesItsLock(FiledStore):
    """Makes a lock file while it writes, and takes one that is there for somebody who writes."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        lock = Path(f"{self.address}-lock")
        try:
            lock.touch(exist_ok=False)
        except FileExistsError:
            raise StoreUnavailable("another process writes") from None
        try:
            super().record(files, references)
        finally:
            lock.unlink()
