"""Calls that meet: readers see each batch whole, and no writer fails or loses because of others."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from kharvest.spi import (
    Capability,
    Metadata,
    Page,
    Pod,
    Query,
    Reference,
    Signature,
    Store,
    UnknownContent,
)
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._place import Place
from kharvest_conformance._samples import OTHER, WEB, File, Sample, removed
from kharvest_conformance._tasks import MEETING_FILES, MEETING_NAMED, Meet, meet, meeting_turn
from kharvest_conformance._walks import walk, walk_files
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._collected import Numbered
from kharvest_conformance.suite._holding import THREAD_SECONDS, at_once, has_data, listing, put

TODAY = 1_764_000_000_123_456_789
BODY = Sample(30)
SIZE = 300
ROUNDS = 8
MEETINGS = 8
WHOLE = "each read shows one moment: what a batch wrote is in an answer whole"
NONE_FAILS = "None fails because others are under way."
MEETING_SECONDS = 0.005
"""How long one call waits in the middle for another, which may have to wait for its end."""
OFTEN_SECONDS = 1e-5
"""How long a thread goes on before another one has its turn: so short that calls are cut wherever they can be."""


class _Batch:
    """A large batch of one pod, with files and metadata of its own."""

    def __init__(self, number: int) -> None:
        self.pod = Pod("meeting", f"pod-{number}")
        self.tag = Metadata({"batch": str(number)})
        files = [File(f"/meeting/{number}/{part}", BODY) for part in range(SIZE)]
        self.files = {file.signature: file.content for file in files}
        self.references = [file.seen(TODAY, self.pod, self.tag) for file in files]
        self.timelines = [one.timeline for one in self.references]


class _Watched(Numbered[Reference]):
    """A sequence that calls `before` when its first item is drawn for the first time."""

    def __init__(self, items: Sequence[Reference], before: Callable[[], None]) -> None:
        super().__init__(items)
        self._before: Callable[[], None] | None = before

    def __iter__(self) -> Iterator[Reference]:
        before, self._before = self._before, None
        if before is not None:
            before()
        return super().__iter__()


@thorough
class MeetingTests(Base):
    """Of calls that come at once."""

    @clause("store", WHOLE)
    def test_readers_see_each_batch_whole_or_not_at_all(self, store: Store) -> None:
        store.put(BODY.content, BODY.chunks())
        for number in range(ROUNDS):
            batch = _Batch(number)

            def append(batch: _Batch = batch) -> None:
                store.append(batch.files, batch.references)

            def record(batch: _Batch = batch) -> None:
                store.record(batch.files, batch.references)

            def forget(batch: _Batch = batch) -> None:
                assert store.forget(Query(pod=batch.pod.name)) == SIZE

            for write in (append if number % 2 else record, forget):
                _assert_seen_whole(store, batch, write)

    @clause("store", NONE_FAILS)
    def test_writers_of_the_same_in_opposite_orders_all_succeed(self, store: Store) -> None:
        store.put(BODY.content, BODY.chunks())
        pods = [Pod("order", f"pod-{number}") for number in range(5)]
        expected: set[Reference] = set()
        with _switching_often():
            for number in range(MEETINGS):
                files = [File(f"/order/{number}/{part}", BODY) for part in range(6)]
                tags = [Metadata({"round": str(number), "part": str(part)}) for part in range(2)]
                batch = [file.seen(TODAY, pod, tag) for file in files for pod in pods for tag in tags]
                contents = {file.signature: file.content for file in files}
                backwards = dict(reversed(contents.items()))
                orders = [
                    (contents, batch),
                    (backwards, batch[::-1]),
                    (contents, [*batch[20:], *batch[:20]]),
                    (backwards, batch[15:45]),
                ]
                if number % 4 < 3:
                    at_once(*(lambda order=order: store.record(*order) for order in orders))
                    expected |= set(batch)
                    continue
                for order, answer in zip(
                    orders, at_once(*(lambda order=order: store.append(*order) for order in orders)), strict=True
                ):
                    assert [one.timeline for one in answer] == [one.timeline for one in order[1]]
                    assert expected.isdisjoint(answer), "two appends gave one time"
                    expected |= set(answer)
        found = listing(store)
        assert set(found) == expected
        assert len(found) == len(expected), "a reference that several recorded at once is there twice"
        signatures = {one.signature for one in expected}
        assert store.known(signatures) == dict.fromkeys(signatures, BODY.content)

    @clause("store", NONE_FAILS)
    def test_forgetting_beside_recording_loses_nothing_and_invents_nothing(self, store: Store) -> None:
        put(store, *MEETING_FILES)
        with _switching_often():
            outcomes = at_once(*(lambda writer=writer: meet(store, writer, MEETINGS) for writer in range(4)))
        _assert_met(store, outcomes)

    @clause("store", NONE_FAILS, needs=Capability.SHARED)
    def test_forgetting_beside_recording_in_another_process_loses_nothing(self, place: Place) -> None:
        store = place.open()
        put(store, *MEETING_FILES)
        worker = place.worker()
        worker.ready()
        worker.start(Meet(0, 2 * MEETINGS))
        outcomes: list[tuple[int, int, list[Reference]]] = []
        done = threading.Event()

        def meet_it() -> None:
            for writer in itertools.count(1, 2):
                outcomes.append(meet(store, writer, MEETINGS))
                if done.is_set():
                    break

        def wait_for_it() -> None:
            try:
                answer = worker.report()
                assert isinstance(answer, tuple)
                outcomes.append(answer)
            finally:
                done.set()

        at_once(meet_it, wait_for_it)
        _assert_met(store, outcomes)

    @clause("ContentStore.discard", "neither fails for another reason than that the content is not there")
    def test_discarding_beside_recording_leaves_no_half(self, store: Store) -> None:
        file, other = File("/discarded", Sample(3000, 5)), File("/stays", BODY)
        files = {file.signature: file.content, other.signature: other.content}
        refusals: list[UnknownContent] = []
        put(store, other)
        with _switching_often():
            for number in range(MEETINGS):
                put(store, file)
                pod = Pod("discarded", f"pod-{number}")
                batch = [file.seen(TODAY + number, pod), other.seen(TODAY + number, pod)]
                drawn = threading.Event()
                discarded = threading.Event()

                def meet_there(drawn: threading.Event = drawn, discarded: threading.Event = discarded) -> None:
                    drawn.set()
                    discarded.wait(MEETING_SECONDS)

                def record(number: int = number, batch: Sequence[Reference] = _Watched(batch, meet_there)) -> bool:
                    try:
                        (store.append if number // 2 % 2 else store.record)(files, batch)
                    except UnknownContent as error:
                        refusals.append(error)
                        return False
                    finally:
                        meet_there()
                    return True

                def discard(
                    drawn: threading.Event = drawn, done: threading.Event = discarded, waits: int = number % 2
                ) -> bool:
                    if waits:
                        drawn.wait(THREAD_SECONDS)
                    store.discard([file.content.sha256])
                    done.set()
                    return True

                recorded, _discarded = at_once(record, discard)
                found = walk(store, Query(pod=pod.name))
                assert set(found) == (set(batch) if recorded else set()), "a part of a batch is there"
                there = store.present([file.content.sha256])
                assert there in ({}, {file.content.sha256: file.content})
                if there:
                    assert has_data(store, file), "a content is there in part"
                assert store.forget(Query(path=file.path)) == recorded
        assert {one.sha256s for one in refusals} <= {frozenset({file.content.sha256})}
        put(store, file)
        store.record(files, [file.seen(1)])
        assert has_data(store, file)


def _assert_seen_whole(store: Store, batch: _Batch, write: Callable[[], None]) -> None:
    """Whoever looks while a batch is written or forgotten, again and again, sees all of it or nothing."""
    done = threading.Event()

    def look(count: Callable[[], int | None]) -> list[int]:
        torn = []
        while True:
            last = done.is_set()
            seen = count()
            if seen not in (None, 0, SIZE):
                torn.append(seen)
            if last or torn:
                return torn

    def run() -> list[int]:
        try:
            write()
        finally:
            done.set()
        return []

    of_pod, of_tag = Query(pod=batch.pod.name, limit=SIZE + 1), Query(metadata=batch.tag, latest=True, limit=SIZE + 1)
    looks: dict[str, Callable[[], int | None]] = {
        "references": lambda: _whole(store.references(of_pod)),
        "latest": lambda: _whole(store.references(of_tag)),
        "files": lambda: _whole(store.files(of_pod)),
        "known": lambda: len(store.known(batch.files.keys())),
        "newest": lambda: len(store.newest(batch.timelines)),
    }
    with _switching_often():
        answers = at_once(run, *(lambda count=count: look(count) for count in looks.values()))
    for name, torn in zip(looks, answers[1:], strict=True):
        assert not torn, f"{name} shows {torn[0]} of the {SIZE} references of a batch"


def _whole(page: Page[object]) -> int | None:
    """How many items a page has; None if it is not the last one, and does not tell how many there are."""
    return None if page.next_cursor is not None else len(page.items)


@contextmanager
def _switching_often() -> Iterator[None]:
    """Let threads have their turns more often than usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(OFTEN_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _assert_met(store: Store, outcomes: list[tuple[int, int, list[Reference]]]) -> None:
    """What was recorded was forgotten or is there, what was appended has times of its own, and all answers agree."""
    found = listing(store)
    assert len(set(found)) == len(found), "a reference is there twice"
    appended = [reference for _recorded, _forgotten, references in outcomes for reference in references]
    times = [(one.timeline, one.observed_at_ns) for one in found if one in set(appended)]
    assert len(set(times)) == len(times), "two references of one timeline got one time"
    recorded = sum(outcome[0] for outcome in outcomes) + len(appended)
    forgotten = sum(outcome[1] for outcome in outcomes)
    assert len(found) == recorded - forgotten, (
        f"{recorded} were recorded, {forgotten} forgotten, {len(found)} are there"
    )
    turns = [meeting_turn(number) for number in range(2 * MEETINGS)]
    files = dict(MEETING_NAMED) | {file.signature: file.content for file in turns}
    named: set[Signature] = {one.signature for one in found if not one.signature.is_removal}
    assert store.known(files.keys()) == {one: files[one] for one in named}, "what is known is not what references name"
    assert {one.signature for one in walk_files(store, Query())} == named
    last = {one.timeline: one for one in found}
    assert store.newest([*last, *(one.timeline for one in appended)]) == last
    store.record(dict(MEETING_NAMED), [file.seen(1, pod) for file in MEETING_FILES for pod in (WEB, OTHER)])
    store.record({}, [*(file.seen(2) for file in MEETING_FILES), removed("/meeting", 3)])
    assert store.known(MEETING_NAMED.keys()) == MEETING_NAMED
    assert store.forget(Query(limit=10_000)) == len(found) + 3 * len(MEETING_FILES) + 1
    assert store.known(MEETING_NAMED.keys()) == {}
