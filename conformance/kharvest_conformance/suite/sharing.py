"""SHARED: several processes have the same data open at once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kharvest.spi import Capability, Metadata, Pod, Query, Reference, Signature, Store, UnknownContent
from kharvest_conformance.clauses import clause
from kharvest_conformance.place import Place
from kharvest_conformance.processes import Worker
from kharvest_conformance.samples import COLLIDING, OTHER, WEB, File, Sample, WatchedChunks, content_of, removed
from kharvest_conformance.suite.base import Base
from kharvest_conformance.suite.holding import harvest, has_data, listing
from kharvest_conformance.suite.walks import walk_files
from kharvest_conformance.tasks import Claim, Harvest, RecordOne, Task

PROCESSES = 3
ROUNDS = 40
FILE = File("/etc/app.conf", Sample(100_000, 1))
TOGETHER = "Several processes may have the same data open at once"
SEEN = "each sees what the others have written"


class SharingTests(Base):
    """Of `Capability.SHARED`."""

    @clause("Capability", SEEN, needs=Capability.SHARED)
    def test_a_second_handle_sees_each_write_at_once(self, place: Place) -> None:
        one, other = place.open(), place.open()
        _assert_each_write_is_seen(one, other)
        _assert_each_write_is_seen(other, one)

    @clause("Capability", SEEN, needs=Capability.SHARED)
    def test_a_second_handle_does_not_see_a_put_that_has_not_ended(self, place: Place) -> None:
        one, other = place.open(), place.open()

        def look(_chunk: int) -> None:
            assert other.present([FILE.content.sha256]) == {}
            with pytest.raises(UnknownContent):
                list(other.read(FILE.content.sha256))

        one.put(FILE.content, WatchedChunks(FILE.sample.chunks(1000), look))
        assert has_data(other, FILE)

    @clause("ReferenceStore.claim", "Of several takers exactly one wins.", needs=Capability.SHARED)
    def test_of_several_processes_exactly_one_takes_a_claim(self, place: Place) -> None:
        keys = [b"race/%d" % number for number in range(ROUNDS)]
        place.open().claim(keys[::2], "the one before", 0, 100)
        holders = [f"process {number}" for number in range(PROCESSES)]
        rounds = [[Claim([key], holder, 100, 200) for holder in holders] for key in keys]
        for held in _rounds(place, rounds):
            assert sorted(map(_size, held)) == [*[0] * (PROCESSES - 1), 1], "taken by several, or by none"

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
        _rounds(place, [[Harvest(pairs) for pairs in work.values()]])
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
        for signature, outcomes in zip(signatures, _rounds(place, rounds), strict=True):
            assert sorted(outcomes, key=str) == ["", "Conflict"], signature.path
            assert store.known([signature]) == {signature: contents[outcomes.index("")]}


def _size(answer: object) -> int:
    assert isinstance(answer, set)
    return len(answer)


def _rounds(place: Place, rounds: Sequence[Sequence[Task]]) -> list[list[object]]:
    """The answers of rounds of tasks; those of one round are done at the same time, each by a process of its own."""
    workers: list[Worker] = [place.worker() for _task in rounds[0]]
    for worker in workers:
        worker.ready()
    answers = []
    for tasks in rounds:
        for worker, task in zip(workers, tasks, strict=True):
            worker.start(task)
        answers.append([worker.report() for worker in workers])
    return answers


def _assert_each_write_is_seen(writer: Store, reader: Store) -> None:
    harvest(writer, [FILE], [FILE.seen(1)])
    assert reader.present([FILE.content.sha256]) == {FILE.content.sha256: FILE.content}
    assert has_data(reader, FILE)
    assert reader.known([FILE.signature]) == {FILE.signature: FILE.content}
    assert listing(reader) == [FILE.seen(1)]
    gone = removed(FILE.path, 2, OTHER)
    writer.record({}, [FILE.seen(3), gone])
    assert listing(reader) == [FILE.seen(1), gone, FILE.seen(3)]
    assert reader.newest([gone.timeline]) == {gone.timeline: gone}
    assert [one.last_seen_ns for one in walk_files(reader, Query())] == [3]
    assert writer.claim([b"key"], "writer", 1, 10) == {b"key"}
    assert reader.claim([b"key"], "reader", 2, 10) == set()
    writer.release([b"key"], "writer")
    assert reader.claim([b"key"], "reader", 3, 10) == {b"key"}
    reader.release([b"key"], "reader")
    assert writer.forget(Query()) == 3
    assert listing(reader) == []
    assert reader.known([FILE.signature]) == {}
    writer.discard([FILE.content.sha256])
    assert list(reader.contents()) == []
    with pytest.raises(UnknownContent):
        list(reader.read(FILE.content.sha256))
