"""Every call of the contract, one after the other: whether a handle works."""

from __future__ import annotations

from dataclasses import dataclass

from kharvest.spi import Query, Store
from kharvest_conformance._samples import File, Sample, removed
from kharvest_conformance._walks import walk, walk_files

SOME_TIME_NS = 1000


@dataclass(frozen=True, slots=True)
class Use:
    """Makes each kind of call on a file of its own, and leaves nothing behind. `name` tells it from others at once."""

    name: str

    def leases(self) -> dict[str, set[bytes]]:
        """What it claims, by holder."""
        return {self.name: {self.name.encode()}}

    def run(self, store: Store, report: object = None) -> object:  # noqa: ARG002
        """Make the calls.

        Raises:
            AssertionError: a call has no effect, or not the right one.
        """
        file = File(f"/used/{self.name}", Sample(3000 + sum(self.name.encode()), len(self.name)))
        digest, key = file.content.sha256, self.name.encode()
        ours = Query(path=file.path)
        store.put(file.content, file.sample.chunks(1000))
        _check(store.present([digest]) == {digest: file.content}, "put, then present")
        _check(b"".join(store.read(digest)) == file.sample.data(), "put, then read")
        _check(file.content in list(store.contents()), "put, then contents")
        store.record({file.signature: file.content}, [file.seen(1)])
        _check(store.append({}, [file.seen(1)]) == [file.seen(2)], "append")
        gone = removed(file.path, 5)
        store.record({}, [gone])
        _check(store.known([file.signature]) == {file.signature: file.content}, "record, then known")
        _check(store.newest([gone.timeline]) == {gone.timeline: gone}, "record, then newest")
        expected = [file.seen(1), file.seen(2), gone]
        _check(walk(store, ours) == expected, "record, then references")
        _check(len(walk_files(store, ours)) == 1, "record, then files")
        _check(store.claim([key], self.name, 0, SOME_TIME_NS) == {key}, "claim")
        store.release([key], self.name)
        _check(type(store.now_ns()) is int, "now_ns")
        _check(store.forget(ours) == len(expected), "forget")
        store.discard([digest])
        _check(store.present([digest]) == {}, "discard, then present")
        return None


def _check(holds: bool, calls: str) -> None:
    if not holds:
        raise AssertionError(f"{calls}: it has not the effect that it should have")
