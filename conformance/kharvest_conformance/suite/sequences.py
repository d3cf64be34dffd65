"""Any sequence of calls, on one handle or two, reopened at any time, against the model."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from kharvest.spi import (
    REMOVED,
    Capability,
    Metadata,
    Pod,
    Query,
    Reference,
    Store,
    Timeline,
    UnknownContent,
)
from kharvest_conformance import strategies
from kharvest_conformance.clauses import clause
from kharvest_conformance.depth import Depth
from kharvest_conformance.model import Model, matching, newest, summaries
from kharvest_conformance.place import Places
from kharvest_conformance.samples import BLOCK, OTHER, WEB, FailingChunks, File, Sample, SourceFailed, removed
from kharvest_conformance.suite.base import Base
from kharvest_conformance.suite.holding import listing
from kharvest_conformance.suite.walks import reference_pages, walk_files

SAMPLES = (Sample(0), Sample(1), Sample(10), Sample(10, 1), Sample(BLOCK + 1))
PATHS = ("/etc/app", "/etc/App", "/etc/app ", "/etc/app/caf\u00e9", "/etc/app/cafe\u0301", "/\U0001f600", "/%", "/_")
PODS = (WEB, OTHER, Pod("Shop", "web-0"), Pod("", ""))
TAGS = (Metadata(), Metadata({"app": "web"}), Metadata({"app": "Web"}), Metadata({"app": "web", "a.b/$c": ""}))

SIGNATURES = [File(path, sample).signature for path in PATHS for sample in SAMPLES]
TIMELINES = [Timeline(pod, path) for pod in PODS for path in PATHS]

files = st.builds(File, st.sampled_from(PATHS), st.sampled_from(SAMPLES))
times = st.integers(0, 6)
pods = st.sampled_from(PODS)
tags = st.sampled_from(TAGS)
sightings = st.builds(lambda file, at, pod, tag: (file, file.seen(at, pod, tag)), files, times, pods, tags)
removals = st.builds(lambda file, at, pod, tag: (file, removed(file.path, at, pod, tag)), files, times, pods, tags)
batches = st.lists(st.one_of(sightings, sightings, removals), min_size=1, max_size=6)
queries = strategies.queries(
    paths=PATHS,
    prefixes=("/", "/etc", "/etc/app", "/etc/app/cafe", "/%"),
    md5s=(REMOVED, *(sample.content.md5 for sample in SAMPLES)),
    pods=PODS,
    tags=TAGS,
    times=range(8),
    limits=(1, 2, 3, 1000),
)
handles = st.integers(0, 1)
keys = st.lists(st.sampled_from((b"k", b"K", b"k\0")), min_size=1, max_size=3, unique=True)
holders = st.sampled_from(("one", "One"))


class StoreMachine(RuleBasedStateMachine):
    """Does the same to a store and to the model, and compares. A subclass says which store."""

    places: ClassVar[Places]

    def __init__(self) -> None:
        super().__init__()
        self.place = self.places.fresh()
        self.model = Model()
        self.now = 10
        self.order: list[Reference] = []
        self.stores: list[Store] = []
        self.open_all()

    def open_all(self) -> None:
        shared = Capability.SHARED in self.places.capabilities
        self.stores = [self.place.open() for _handle in range(2 if shared else 1)]

    def store(self, handle: int) -> Store:
        return self.stores[handle % len(self.stores)]

    def check(self, handle: int) -> None:
        """Compare all references, in the order that was seen before, what is known, and what is newest."""
        found = listing(self.store(handle))
        assert set(found) == self.model.references
        assert len(found) == len(self.model.references), "a reference is given twice"
        assert [one.observed_at_ns for one in found] == sorted(one.observed_at_ns for one in found)
        kept = [one for one in self.order if one in self.model.references]
        assert [one for one in found if one in kept] == kept, "references of one time have changed places"
        self.order = found
        assert self.store(handle).known(SIGNATURES) == self.model.files
        assert self.store(handle).newest(TIMELINES) == newest(found)

    @rule(handle=handles, sample=st.sampled_from(SAMPLES), length=st.sampled_from((1000, BLOCK)))
    def put(self, handle: int, sample: Sample, length: int) -> None:
        self.store(handle).put(sample.content, sample.chunks(length))
        self.model.contents[sample.content.sha256] = (sample.content, sample.data())

    @rule(handle=handles, sample=st.sampled_from(SAMPLES))
    def put_and_break_off(self, handle: int, sample: Sample) -> None:
        try:
            self.store(handle).put(sample.content, FailingChunks(sample, min(1, sample.size)))
        except SourceFailed:
            pass
        else:
            assert sample.content.sha256 in self.model.contents, "put has lost the error that its chunks raised"

    @rule(handle=handles, sample=st.sampled_from(SAMPLES))
    def discard(self, handle: int, sample: Sample) -> None:
        if sample.content in self.model.files.values():
            return  # the caller's duty: no file refers to it
        self.store(handle).discard([sample.content.sha256])
        self.model.contents.pop(sample.content.sha256, None)

    @rule(handle=handles, sample=st.sampled_from(SAMPLES), offset=st.sampled_from((0, 1, 5, BLOCK, BLOCK + 1)))
    def read(self, handle: int, sample: Sample, offset: int) -> None:
        sha256 = sample.content.sha256
        if sha256 in self.model.contents:
            assert b"".join(self.store(handle).read(sha256, offset)) == sample.data()[offset:]
        else:
            with pytest.raises(UnknownContent):
                list(self.store(handle).read(sha256, offset))

    @rule(handle=handles)
    def list_contents(self, handle: int) -> None:
        stored = sorted((content for content, _data in self.model.contents.values()), key=lambda one: one.sha256)
        assert list(self.store(handle).contents()) == stored
        digests = [sample.content.sha256 for sample in SAMPLES]
        assert self.store(handle).present(digests) == {content.sha256: content for content in stored}

    @rule(handle=handles, batch=batches)
    def harvest(self, handle: int, batch: list[tuple[File, Reference]]) -> None:
        for file, _reference in batch:
            self.put(handle, file.sample, BLOCK)
        self.record(handle, batch, also_known=True)

    @rule(handle=handles, batch=batches, also_known=st.booleans())
    def record(self, handle: int, batch: list[tuple[File, Reference]], also_known: bool) -> None:
        references = [reference for _file, reference in batch]
        named = {
            file.signature: file.content
            for file, reference in batch
            if not reference.signature.is_removal and (also_known or file.signature not in self.model.files)
        }
        absent = {content.sha256 for content in named.values()} - self.model.contents.keys()
        if absent:
            with pytest.raises(UnknownContent) as caught:
                self.store(handle).record(named, references)
            assert caught.value.sha256s == absent
        else:
            self.store(handle).record(named, references)
            self.model.record(named, references)
        self.check(handle)

    @rule(handle=handles, batch=batches)
    def record_without_files(self, handle: int, batch: list[tuple[File, Reference]]) -> None:
        references = [reference for _file, reference in batch]
        signatures = {one.signature for one in references if not one.signature.is_removal}
        unknown = signatures - self.model.files.keys()
        if unknown:
            with pytest.raises(UnknownContent) as caught:
                self.store(handle).record({}, references)
            assert caught.value.signatures == unknown
        else:
            self.store(handle).record({}, references)
            self.model.record({}, references)
        self.check(handle)

    @rule(handle=handles, query=queries)
    def ask(self, handle: int, query: Query) -> None:
        expected = matching(self.order, query)
        assert [one for page in reference_pages(self.store(handle), query) for one in page] == expected
        assert walk_files(self.store(handle), query) == summaries(expected, self.model.files)

    @rule(handle=handles, query=queries, batch=batches)
    def walk_while_others_write(self, handle: int, query: Query, batch: list[tuple[File, Reference]]) -> None:
        before = matching(self.order, query)
        given: list[Reference] = []
        writes = iter(batch)
        for page in reference_pages(self.store(handle), query):
            given += page
            write = next(writes, None)
            if write is not None:
                self.harvest(handle + 1, [write])
        assert len(set(given)) == len(given), "a reference is given twice"
        if not query.latest:
            assert [one for one in given if one in before] == before

    @rule(handle=handles, asked=keys, holder=holders, passed=st.integers(0, 4), length=st.integers(1, 8))
    def claim(self, handle: int, asked: list[bytes], holder: str, passed: int, length: int) -> None:
        self.now += passed
        expected = self.model.claim(asked, holder, self.now, self.now + length)
        assert self.store(handle).claim(asked, holder, self.now, self.now + length) == expected

    @rule(handle=handles, asked=keys, holder=holders)
    def release(self, handle: int, asked: list[bytes], holder: str) -> None:
        self.store(handle).release(asked, holder)
        self.model.release(asked, holder)

    @rule(handle=handles, query=queries)
    def forget(self, handle: int, query: Query) -> None:
        expected = matching(self.order, query)[: query.limit]
        assert self.store(handle).forget(query) == len(expected)
        self.model.forget(expected)
        self.check(handle)

    @precondition(lambda self: Capability.DURABLE in self.places.capabilities)
    @rule()
    def reopen(self) -> None:
        self.place.close_all()
        self.open_all()
        self.check(0)

    def teardown(self) -> None:
        self.place.__exit__(None, None, None)


class SequenceTests(Base):
    """Of everything together."""

    @clause("store", "The contract that a backend implements.")
    def test_any_sequence_of_calls_agrees_with_the_model(self, places: Places, depth: Depth) -> None:
        depth.run(type("StoreMachineHere", (StoreMachine,), {"places": places}))
