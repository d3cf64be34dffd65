"""A store and the model of it: does the same to both, and compares, each time with the clause that is at stake."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from kharvest.spi import (
    MAX_TIME_NS,
    Conflict,
    Content,
    InvalidValue,
    KharvestError,
    Query,
    Reference,
    Signature,
    Timeline,
    UnknownContent,
)
from kharvest_conformance._alphabet import DIGESTS, SIGNATURES, TIMELINES
from kharvest_conformance._clauses import promise
from kharvest_conformance._model import Model, matching, newest, summaries
from kharvest_conformance._place import Place
from kharvest_conformance._samples import BLOCK, FailingChunks, Sample, SourceFailed
from kharvest_conformance._walks import walk, walk_files

_EVERYTHING = Query(limit=10_000)


class Agreement:
    """The open handles on one place, the model of it, and what has happened so far.

    `order` has all references as the store gave them last. `seen` counts the events that a sequence is to have.
    """

    def __init__(self, place: Place, handles: int) -> None:
        self.place = place
        self.model = Model()
        self.order: list[Reference] = []
        self.seen: Counter[str] = Counter()
        self.forgotten: set[Reference] = set()
        self.discarded: set[bytes] = set()
        self._handles = handles
        self._writer = 0
        self.stores = [place.open() for _handle in range(handles)]

    def agree(self, answer: object, expected: object) -> None:
        """Compare an answer of the last call with what it must be."""
        self.place.transcript.expect(expected)
        assert answer == expected

    def reopen(self) -> None:
        """Close all handles and open as many again."""
        with promise("Opened.close", "Release what the store holds."):
            self.place.close_all()
        self.stores = [self.place.open() for _handle in range(self._handles)]
        with promise("Capability", "What a call has written when it returns survives a killed process"):
            self.compare(0)

    # contents

    def put(self, handle: int, sample: Sample, length: int = BLOCK) -> None:
        """Store a content."""
        sha256 = sample.content.sha256
        self._note(sha256 in self.model.contents, "put of what is there")
        self._note(sha256 in self.discarded - self.model.contents.keys(), "put again after a discard")
        with promise("ContentStore.put", "Store the bytes of `content`."):
            self.stores[handle].put(sample.content, sample.chunks(length))
        self.model.contents[sha256] = (sample.content, sample.data())

    def put_and_break_off(self, handle: int, sample: Sample) -> None:
        """Begin to store a content, of which the end does not come."""
        there = sample.content.sha256 in self.model.contents
        self.seen[f"failed put of what is {'' if there else 'not '}there"] += 1
        with promise("ContentStore.put", "that error itself is passed on and nothing is visible"):
            try:
                self.stores[handle].put(sample.content, FailingChunks(sample, min(1, sample.size)))
            except SourceFailed:
                pass
            else:
                assert there, "put has lost the error that its chunks raised"

    def discard(self, handle: int, samples: Sequence[Sample]) -> None:
        """Discard those contents that no file refers to."""
        named = set(self.model.files.values())
        digests = [sample.content.sha256 for sample in samples if sample.content not in named]
        with promise("ContentStore.discard", "Remove contents; what is not there is passed over."):
            self.stores[handle].discard(digests)
        there = {digest for digest in digests if digest in self.model.contents}
        self._note(bool(there), "discard of what is there")
        self._note(not there.issuperset(digests), "discard of what is not there")
        for digest in there:
            del self.model.contents[digest]
            self.discarded.add(digest)
        self.compare_contents(handle)

    def read(self, handle: int, sample: Sample, offset: int) -> None:
        """Read a content from an offset on."""
        sha256 = sample.content.sha256
        if sha256 in self.model.contents:
            self._note(0 < offset < sample.size, "read from an offset within a content")
            with promise("ContentStore.read", "The bytes of a content from `offset` on"):
                found = b"".join(self.stores[handle].read(sha256, offset))
                assert found == sample.data()[offset:]
        else:
            self._note(sha256 in self.discarded, "read after a discard")
            with promise("ContentStore.read", "UnknownContent: it is not there"), pytest.raises(UnknownContent):
                list(self.stores[handle].read(sha256, offset))

    def compare_contents(self, handle: int, after: bytes = b"") -> None:
        """Compare what is stored."""
        store = self.stores[handle]
        stored = {digest: content for digest, (content, _data) in self.model.contents.items()}
        with promise("ContentStore.contents", "All stored contents whose SHA-256 is greater than `after`, ascending"):
            listed = [stored[digest] for digest in sorted(stored) if digest > after]
            self.agree(list(store.contents(after)), listed)
        with promise("ContentStore.present", "Those of the contents that are stored, by their SHA-256."):
            self.agree(store.present(list(DIGESTS)), stored)

    # references

    def record(self, handle: int, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        """Record a batch, or see it refused."""
        if self._refused(handle, "record", files, references):
            return
        self._note_records(files, references)
        with promise("ReferenceStore.record", "Record references, and the content of their signatures"):
            self.stores[handle].record(files, references)
            self.model.record(files, references)
            self._written(handle)

    def append(self, handle: int, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        """Append a batch, or see it refused."""
        if self._refused(handle, "append", files, references):
            return
        self._note_appends(references)
        with promise("ReferenceStore.append", "Record references as the newest of their timelines"):
            self.agree(self.stores[handle].append(files, references), self.model.append(files, references))
            self._written(handle)

    def _refused(
        self, handle: int, method: str, files: Mapping[Signature, Content], references: Sequence[Reference]
    ) -> bool:
        """Whether a batch is not valid; then, that the store says so and records nothing."""
        absent = {content.sha256 for content in files.values()} - self.model.contents.keys()
        named = {one.signature for one in references if not one.signature.is_removal}
        unknown = named - files.keys() - self.model.files.keys()
        conflicts = {one for one, content in files.items() if self.model.files.get(one, content) != content}
        full = method == "append" and self.model.appended(references) is None
        self._note(bool(absent), "a content that is not stored")
        self._note(bool(unknown), "a signature that is not known")
        self._note(bool(unknown and named - unknown), "a batch with known and unknown signatures")
        self._note(bool(conflicts), "a conflict")
        reasons: dict[type[KharvestError], object] = {
            UnknownContent: absent | unknown,
            Conflict: conflicts,
            InvalidValue: full,
        }
        expected = tuple(kind for kind, reason in reasons.items() if reason)
        if not expected:
            return False
        with promise(f"ReferenceStore.{method}", "nothing was recorded"):
            with pytest.raises(expected) as caught:
                getattr(self.stores[handle], method)(files, references)
            if expected == (UnknownContent,):
                assert isinstance(caught.value, UnknownContent)
                assert caught.value.sha256s <= absent
                assert caught.value.signatures <= unknown
                assert absent == caught.value.sha256s or unknown == caught.value.signatures
            self._written(handle)
        return True

    def forget(self, handle: int, query: Query) -> None:
        """Forget what a query gives."""
        found = matching(self.order, query)
        expected = found[: query.limit]
        last = newest(self.order)
        self._note(bool(expected), "forget of something")
        self._note(len(expected) < len(found), "forget of a part of what matches")
        self._note(any(last[one.timeline] == one for one in expected), "forget of the newest of a timeline")
        files = self.model.files
        with promise("ReferenceStore.forget", "Returns how many were removed"):
            self.agree(self.stores[handle].forget(query), len(expected))
        self.model.forget(expected)
        self.forgotten.update(expected)
        self._note(len(self.model.files) < len(files), "forget of the last reference to a signature")
        with promise("ReferenceStore.forget", "Remove at most `query.limit` of the references that match"):
            self._written(handle)

    def _written(self, handle: int) -> None:
        self._writer = handle
        self.compare(handle)

    def compare(self, handle: int) -> None:
        """Compare all references, in the order that was seen before, what is known, and what is newest."""
        self._note(handle != self._writer, "a read on another handle than the write")
        store = self.stores[handle]
        found = walk(store, _EVERYTHING)
        self.place.transcript.expect(self.order if set(self.order) == self.model.references else self.model.references)
        assert set(found) == self.model.references
        assert len(found) == len(self.model.references), "a reference is given twice"
        with promise("ReferenceStore.references", "by time, and references of one time in an order"):
            assert [one.observed_at_ns for one in found] == sorted(one.observed_at_ns for one in found)
        with promise("ReferenceStore.references", "in an order that the store chooses and keeps"):
            kept = [one for one in self.order if one in self.model.references]
            before = set(kept)
            assert [one for one in found if one in before] == kept, "references of one time have changed places"
        self.order = found
        with promise(
            "ReferenceStore.known", "The content of those signatures that at least one reference in the store"
        ):
            self.agree(store.known(list(SIGNATURES)), self.model.files)
        with promise("ReferenceStore.newest", "The newest reference of those timelines that have any"):
            self.agree(store.newest(list(TIMELINES)), newest(found))

    def ask(self, handle: int, query: Query, *, files: bool = True) -> None:
        """Compare a query's answers, page by page, but not one page for each of many."""
        expected = matching(self.order, query)
        self.seen[
            f"a query that gives {'nothing' if not expected else 'all' if len(expected) == len(self.order) else 'some'}"
        ] += 1
        if query.latest and query.until_ns is not None:
            hidden = [one for one in newest(self.order).values() if one.observed_at_ns >= query.until_ns]
            self._note(bool(hidden and expected), "latest with an end that hides the newest")
        query = replace(query, limit=max(query.limit, len(expected) // 3))
        self._note(len(expected) > query.limit, "an answer of several pages")
        with promise("ReferenceStore.references", "One page of the references that match."):
            self.agree(walk(self.stores[handle], query), expected)
        if not files:
            return
        with promise("ReferenceStore.files", "One page of summaries of the files that matching references name"):
            self.agree(walk_files(self.stores[handle], query), summaries(expected, self.model.files))

    def look(self) -> None:
        """Compare every answer on every handle, and see that asking changes nothing."""
        for handle in range(len(self.stores)):
            self.compare(handle)
            self.compare_contents(handle)
            self.ask(handle, _EVERYTHING)
            self.ask(handle, replace(_EVERYTHING, latest=True))
        self.compare(0)

    # events

    def _note(self, happened: bool, event: str) -> None:
        if happened:
            self.seen[event] += 1

    def _note_records(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        there, last = self.model.references, newest(self.order)
        times = {(one.timeline, one.observed_at_ns) for one in there}
        for one in references:
            self._note(one in there, "the same reference again")
            self._note(one in self.forgotten - there, "the same reference again after it was forgotten")
            before = last.get(one.timeline)
            late = before is not None and one.observed_at_ns < before.observed_at_ns
            self._note(late, "an older reference than the newest of its timeline")
            self._note((one.timeline, one.observed_at_ns) in times and one not in there, "equal times on a timeline")
        self._note(len(set(references)) < len(references), "a reference twice in a batch")
        known = [one.signature in self.model.files for one in references if not one.signature.is_removal]
        self._note(any(known) and not all(known), "a batch that names known and new files")
        named = {one.signature for one in references}
        self._note(not files.keys() <= named, "a file that no reference names")

    def _note_appends(self, references: Sequence[Reference]) -> None:
        last = newest(self.order)
        appended = self.model.appended(references) or []
        for given, got in zip(references, appended, strict=True):
            self._note(given != got, "an append that moves its time")
            self._note(given in self.model.references, "an append of what is there")
            gone = {one for one in self.forgotten - self.model.references if one.timeline == given.timeline}
            newer = last.get(given.timeline)
            at = newer.observed_at_ns if newer else -1
            self._note(any(one.observed_at_ns > at for one in gone), "an append after the newest was forgotten")
        timelines: list[Timeline] = [one.timeline for one in references]
        self._note(len(set(timelines)) < len(timelines), "two appends to one timeline in a batch")
        self._note(any(one.observed_at_ns == MAX_TIME_NS for one in appended), "an append at the largest time")
