"""SHARED: several processes have the same data open at once."""

from __future__ import annotations

import itertools
import threading

import pytest

from kharvest.spi import Capability, Metadata, Pod, Query, Reference, Signature, Store, UnknownContent
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._place import Place
from kharvest_conformance._samples import COLLIDING, WEB, File, Sample, WatchedChunks, content_of
from kharvest_conformance._tasks import BATCH_FILES, Harvest, RecordOne, WriteBatches
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import at_once, has_data, listing
from kharvest_conformance.suite._rounds import rounds_of

PROCESSES = 3
ROUNDS = 40
WRITTEN_BATCHES = 6
MOST_TIMES = 6
LEAST_LOOKS = 100
"""How often readers look while batches are written: each look meets the middle of a batch by chance."""
FILE = File("/etc/app.conf", Sample(100_000, 1))
TOGETHER = "Several processes may have the same data open at once"
SEEN = "each sees what the others have written"


@thorough
class SharingTests(Base):
    """Of `Capability.SHARED`."""

    @clause("Capability", SEEN, needs=Capability.SHARED)
    def test_a_second_handle_does_not_see_a_put_that_has_not_ended(self, place: Place) -> None:
        one, other = place.open(), place.open()

        def look(_chunk: int) -> None:
            assert other.present([FILE.content.sha256]) == {}
            with pytest.raises(UnknownContent):
                list(other.read(FILE.content.sha256))

        one.put(FILE.content, WatchedChunks(FILE.sample.chunks(1000), look))
        assert has_data(other, FILE)

    @clause("store", "what a batch wrote is in an answer whole or not at all", needs=Capability.SHARED)
    def test_the_batches_of_another_process_are_seen_whole_or_not_at_all(self, place: Place) -> None:
        store, worker = place.open(), place.worker()
        worker.ready()
        done = threading.Event()
        looks = itertools.count()

        def write() -> None:
            try:
                for _time in range(MOST_TIMES):
                    worker.start(WriteBatches(WRITTEN_BATCHES))
                    worker.report()
                    if next(looks) >= LEAST_LOOKS:
                        break
            finally:
                done.set()

        def look() -> None:
            while not done.is_set():
                _assert_whole(store)
                next(looks)

        at_once(write, look)

    @clause("Capability", TOGETHER, needs=Capability.SHARED)
    def test_what_several_processes_put_and_record_at_once_is_all_there(self, place: Place) -> None:
        pods = [Pod("many", f"pod-{number}") for number in range(PROCESSES)]
        common = [File(f"/common/{number}", Sample(3000, number)) for number in range(15)]
        work = {
            pod: [
                pair
                for number, file in enumerate(common)
                for own in (File(f"/own/{pod.name}/{number}", Sample(50, number)),)
                for pair in ((file, file.seen(number, pod)), (own, own.seen(number, pod)), (file, file.seen(99, WEB)))
            ]
            for pod in pods
        }
        rounds_of(place, [[Harvest(pairs) for pairs in work.values()]])
        store = place.open()
        found = listing(store)
        assert len(set(found)) == len(found), "a reference is there twice"
        assert set(found) == {reference for pairs in work.values() for _file, reference in pairs}
        files = {file for pairs in work.values() for file, _reference in pairs}
        assert store.known([file.signature for file in files]) == {file.signature: file.content for file in files}
        assert {one.sha256 for one in store.contents()} == {file.content.sha256 for file in files}
        for file in common:
            assert has_data(store, file)

    @clause(
        "ReferenceStore.record",
        "Conflict: a signature is known with another content than `files` says",
        needs=Capability.SHARED,
    )
    def test_of_two_processes_with_conflicting_records_one_wins(self, place: Place) -> None:
        store = place.open()
        contents = list(map(content_of, COLLIDING))
        for content, data in zip(contents, COLLIDING, strict=True):
            store.put(content, [data])
        signatures = [Signature(f"/race/{number}", contents[0].md5) for number in range(ROUNDS)]
        rounds = [
            [
                RecordOne({signature: content}, (Reference(signature, Pod("race", str(which)), Metadata(), 1),))
                for which, content in enumerate(contents)
            ]
            for signature in signatures
        ]
        for signature, outcomes in zip(signatures, rounds_of(place, rounds), strict=True):
            assert sorted(outcomes, key=str) == ["", "Conflict"], signature.path
            assert store.known([signature]) == {signature: contents[outcomes.index("")]}


def _assert_whole(store: Store) -> None:
    """Of a batch that is written meanwhile, each answer has all or nothing."""
    count = len(BATCH_FILES)
    signatures = [file.signature for file in BATCH_FILES]
    timelines = [file.seen().timeline for file in BATCH_FILES]
    assert len(store.references(Query(path_prefix="/batch/")).items) in (0, count, 2 * count), "references"
    assert len(store.references(Query(path_prefix="/batch/", latest=True)).items) in (0, count), "latest references"
    assert len(store.known(signatures)) in (0, count), "known has a part of a batch"
    newest = store.newest(timelines)
    assert len(newest) in (0, count), "newest has a part of a batch"
    assert len({one.observed_at_ns for one in newest.values()}) <= 1, "newest has a part of a batch that was appended"
    files = store.files(Query(path_prefix="/batch/")).items
    assert len(files) in (0, count), "files has a part of a batch"
    assert len({one.last_seen_ns for one in files}) <= 1, "files has a part of a batch that was appended"
