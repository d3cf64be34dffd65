"""Opening and closing, capabilities, and batches of any size."""

from __future__ import annotations

import pytest

from kharvest.spi import (
    MAX_BATCH,
    NO_METADATA,
    Capability,
    Content,
    Query,
    Reference,
    Signature,
    Store,
    Timeline,
    UnknownContent,
    Unsupported,
)
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._place import Place
from kharvest_conformance._processes import OpeningUnsupported
from kharvest_conformance._samples import WEB, File, Sample
from kharvest_conformance._tasks import Look
from kharvest_conformance._using import Use
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import harvest, listing

FILE = File("/etc/app.conf", Sample(100))


class OpeningTests(Base):
    """Of `Opened` and of the contract as a whole."""

    @clause("Opened.capabilities", "What this opened store guarantees: always the same")
    def test_capabilities_are_a_frozen_set_that_stays(self, place: Place, capabilities: frozenset[Capability]) -> None:
        handles = [place.open()]
        if Capability.SHARED in capabilities:
            handles += [place.open(), place.open()]
        Use("first").run(handles[0])
        for handle in [*handles, place.reopen(), place.reopen()]:
            assert type(handle.capabilities) is frozenset, (
                "capabilities is a property that gives a frozenset, no method"
            )
            assert all(isinstance(one, Capability) for one in handle.capabilities)
            assert handle.capabilities == capabilities

    @clause("store", "batched: the server calls it from worker threads, a batch at a time")
    def test_empty_batches_do_nothing(self, store: Store) -> None:
        assert store.present([]) == {}
        assert store.known([]) == {}
        assert store.newest([]) == {}
        assert store.claim([], "holder", 1, 2) == set()
        store.release([], "holder")
        store.discard([])
        store.record({}, [])
        assert listing(store) == []
        assert list(store.contents()) == []

    @thorough
    @clause("store", "batched: the server calls it from worker threads, a batch at a time")
    def test_large_batches_are_one_batch(self, store: Store) -> None:
        count = 3000
        references = [FILE.seen(number) for number in range(count)]
        harvest(store, [FILE], references)
        assert len(listing(store)) == count

        strangers = [File(f"/none/{number}", Sample(100)) for number in range(count)]
        assert store.known([*(one.signature for one in strangers), FILE.signature]) == {FILE.signature: FILE.content}
        timelines = [*(Timeline(WEB, one.path) for one in strangers), references[0].timeline]
        assert store.newest(timelines) == {references[0].timeline: references[-1]}
        digests = [number.to_bytes(32) for number in range(count)]
        assert store.present([*digests, FILE.content.sha256]) == {FILE.content.sha256: FILE.content}
        keys = [b"batch/%d" % number for number in range(count)]
        assert store.claim(keys, "holder", 1, 10) == set(keys)
        assert store.claim(keys, "other", 1, 10) == set()
        store.release(keys, "holder")
        assert store.claim(keys, "other", 1, 10) == set(keys)
        store.discard([*digests, FILE.content.sha256])
        assert store.present([FILE.content.sha256]) == {}

    @thorough
    @clause("ReferenceStore.record", "It names all contents, or all")
    def test_an_error_names_all_of_the_largest_batches(self, store: Store) -> None:
        signatures = [Signature(f"/none/{number}", FILE.content.md5) for number in range(MAX_BATCH)]
        absent = {one: Content(number.to_bytes(32), one.md5, 100) for number, one in enumerate(signatures)}
        references = [Reference(one, WEB, NO_METADATA, 1) for one in signatures]
        for write in (store.record, store.append):
            with pytest.raises(UnknownContent) as unknown:
                write({}, references)
            assert unknown.value.signatures == set(signatures), f"it names {len(unknown.value.signatures)} signatures"
            with pytest.raises(UnknownContent) as unknown:
                write(absent, [])
            digests = {content.sha256 for content in absent.values()}
            assert unknown.value.sha256s == digests, f"it names {len(unknown.value.sha256s)} contents"
        assert listing(store) == []

    @clause("store", "batched: the server calls it from worker threads, a batch at a time")
    def test_what_is_named_twice_in_a_batch_counts_once(self, store: Store) -> None:
        reference = FILE.seen()
        harvest(store, [FILE], [reference, reference])
        assert store.known([FILE.signature, FILE.signature]) == {FILE.signature: FILE.content}
        assert store.newest([reference.timeline, reference.timeline]) == {reference.timeline: reference}
        assert store.present([FILE.content.sha256] * 2) == {FILE.content.sha256: FILE.content}
        assert store.claim([b"twice", b"twice"], "holder", 1, 10) == {b"twice"}
        store.release([b"twice", b"twice"], "holder")
        assert store.claim([b"twice"], "other", 1, 10) == {b"twice"}
        assert store.forget(Query()) == 1
        store.discard([FILE.content.sha256] * 2)
        assert list(store.contents()) == []

    @thorough
    @clause("Capability", "What is declared must hold.", lacks=Capability.SHARED)
    def test_sharing_that_is_not_declared_is_refused(self, place: Place) -> None:
        store = place.open()
        harvest(store, [FILE], [FILE.seen()])
        try:
            other = place.open()
        except Unsupported:
            pass
        else:
            assert listing(other) == [], "a second handle sees what the first wrote: declare SHARED, or refuse it"
        worker = place.worker()
        try:
            worker.ready()
        except OpeningUnsupported:
            return
        worker.start(Look(Query()))
        assert worker.report() == (), "another process sees what this one wrote: declare SHARED, or raise Unsupported"
