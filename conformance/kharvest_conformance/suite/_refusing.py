"""Batches that are refused: nothing of them is there, wherever in them the fault is, and the error names all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import pytest

from kharvest.spi import (
    MAX_TIME_NS,
    Conflict,
    Content,
    InvalidValue,
    KharvestError,
    Metadata,
    Pod,
    Query,
    Reference,
    Signature,
    Store,
    UnknownContent,
)
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._samples import COLLIDING, WEB, File, Sample, content_of, removed
from kharvest_conformance._walks import walk_files
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import listing, put

TODAY = 1_764_000_000_123_456_789
COUNT = 200
POD = Pod("refused", "batch")
TAG = Metadata({"only": "in the refused batch"})
COMMON = Sample(40)
ABSENT = tuple(File(f"/absent/{number}", Sample(50, 10 + number)) for number in range(3))
UNKNOWN = tuple(File(f"/unknown/{number}", COMMON) for number in range(3))
LAST = File("/end/of/time", COMMON)
CLASHING, OFFERED = map(content_of, COLLIDING)
TOOL = Signature("/bin/tool", CLASHING.md5)
BATCH = tuple(File(f"/batch/{number}", COMMON) for number in range(COUNT))
BASE = (Reference(TOOL, WEB, Metadata(), 1), LAST.seen(MAX_TIME_NS), BATCH[7].seen(TODAY))

Write = Callable[[Mapping[Signature, Content], Sequence[Reference]], object]


@dataclass(frozen=True)
class Fault:
    """What is wrong with a batch.

    Attributes:
        files: what `files` has besides.
        references: what `references` has besides; the last of them is what the batch is refused for at the latest.
        error: what is raised.
        facts: whether an error tells what is wrong, and all of it.
    """

    files: Mapping[Signature, Content]
    references: Sequence[Reference]
    error: type[KharvestError]
    facts: Callable[[KharvestError], bool]


def _tells_absent(error: KharvestError) -> bool:
    digests = {file.content.sha256 for file in ABSENT}
    return isinstance(error, UnknownContent) and type(error.sha256s) is frozenset and error.sha256s == digests


def _tells_unknown(error: KharvestError) -> bool:
    signatures = {file.signature for file in UNKNOWN}
    return isinstance(error, UnknownContent) and type(error.signatures) is frozenset and error.signatures == signatures


def _tells_conflict(error: KharvestError) -> bool:
    return isinstance(error, Conflict) and (error.signature, error.stored, error.offered) == (TOOL, CLASHING, OFFERED)


FAULTS = MappingProxyType(
    {
        "contents that are not stored": Fault(
            {file.signature: file.content for file in ABSENT},
            [file.seen(TODAY, POD, TAG) for file in ABSENT],
            UnknownContent,
            _tells_absent,
        ),
        "signatures that are not known": Fault(
            {}, [file.seen(TODAY, POD, TAG) for file in UNKNOWN], UnknownContent, _tells_unknown
        ),
        "a known signature with another content": Fault(
            {TOOL: OFFERED}, [Reference(TOOL, POD, TAG, TODAY)], Conflict, _tells_conflict
        ),
    }
)
END_OF_TIME = MappingProxyType(
    {
        "a timeline that is at the end of time": Fault({}, [LAST.seen(TODAY)], InvalidValue, lambda _error: True),
        "a timeline that the batch itself brings to the end of time": Fault(
            {}, [removed("/new", MAX_TIME_NS, POD), removed("/new", 0, POD)], InvalidValue, lambda _error: True
        ),
    }
)


@thorough
class RefusingTests(Base):
    """Of `record` and `append` where they raise."""

    @pytest.fixture
    def prepared(self, store: Store) -> Store:
        """A store with what batches can clash with."""
        for content, data in zip((CLASHING, OFFERED), COLLIDING, strict=True):
            store.put(content, [data])
        put(store, LAST)
        store.record({TOOL: CLASHING, LAST.signature: LAST.content, BATCH[7].signature: BATCH[7].content}, BASE)
        return store

    @clause("ReferenceStore.record", "nothing was recorded. It names all contents, or all")
    def test_a_large_batch_is_refused_whole_wherever_its_fault_is(self, prepared: Store) -> None:
        for name, fault in FAULTS.items():
            for where, files, references in _batches(fault):
                _assert_refused(prepared, prepared.record, files, references, fault, f"{name}, {where}")
        _assert_the_rest_is_taken(prepared, prepared.record)

    @clause("ReferenceStore.append", "UnknownContent, Conflict: as for `record`; nothing was recorded.")
    def test_a_large_batch_is_not_appended_wherever_its_fault_is(self, prepared: Store) -> None:
        for name, fault in (FAULTS | END_OF_TIME).items():
            for where, files, references in _batches(fault):
                _assert_refused(prepared, prepared.append, files, references, fault, f"{name}, {where}")
        _assert_the_rest_is_taken(prepared, prepared.append)

    @clause("store", "Every call takes effect whole or not at all")
    def test_a_batch_with_several_faults_is_refused_for_one_of_them(self, prepared: Store) -> None:
        faults = list(FAULTS.values())
        files = {BATCH[0].signature: BATCH[0].content}
        references = [BATCH[0].seen(TODAY, POD, TAG)]
        for fault in faults:
            files |= fault.files
            references += fault.references
        for given in (references, references[::-1]):
            for write in (prepared.record, prepared.append):
                with pytest.raises((UnknownContent, Conflict)) as caught:
                    write(files, given)
                assert any(fault.facts(caught.value) for fault in faults), "the error tells half of what is wrong"
                _assert_nothing_is_there(prepared, "several faults")


def _batches(fault: Fault) -> Iterator[tuple[str, dict[Signature, Content], list[Reference]]]:
    """A large batch that is right but for a fault: at its start, its middle, its end, and one part in each of them."""
    right = [file.seen(TODAY, POD, TAG) for file in BATCH]
    contents = {file.signature: file.content for file in BATCH}
    for where, at in (("first", 0), ("in the middle", COUNT // 2)):
        items = list(contents.items())
        items[at:at] = fault.files.items()
        yield where, dict(items), [*right[:at], *fault.references, *right[at:]]
    spread = list(right)
    for number, reference in enumerate(fault.references):
        spread.insert(number * COUNT // max(1, len(fault.references) - 1), reference)
    yield "here and there", {**fault.files, **contents}, spread
    # A store that is cut into parts by pods or by paths has more than one that takes its share.
    pods = [Pod(f"refused-{number % 3}", f"batch-{number % 17}") for number in range(COUNT)]
    apart = [file.seen(TODAY, pod, TAG) for file, pod in zip(BATCH, pods, strict=True)]
    yield "last, behind many pods", {**contents, **fault.files}, [*apart, *fault.references]


def _assert_refused(
    store: Store,
    write: Write,
    files: Mapping[Signature, Content],
    references: Sequence[Reference],
    fault: Fault,
    what: str,
) -> None:
    with pytest.raises(fault.error) as caught:
        write(files, references)
    assert fault.facts(caught.value), f"{what}: the error does not name all that is wrong: {caught.value}"
    _assert_nothing_is_there(store, what)


def _assert_nothing_is_there(store: Store, what: str) -> None:
    """What was refused has left no trace: in no answer to any question."""
    assert set(listing(store)) == set(BASE), f"{what}: references of a refused batch are there"
    files = [*BATCH, *ABSENT, *UNKNOWN, LAST]
    known = {TOOL: CLASHING, LAST.signature: LAST.content, BATCH[7].signature: BATCH[7].content}
    assert store.known([*(file.signature for file in files), TOOL]) == known, f"{what}: files of it are known"
    assert store.newest([file.seen(1, POD).timeline for file in files]) == {}, f"{what}: timelines of it have a newest"
    assert store.references(Query(metadata=TAG)).items == (), f"{what}: its metadata finds something"
    by_path = Query(path_prefix="/batch/1")
    assert store.references(by_path).items == (), f"{what}: a path finds something of it"
    assert store.files(by_path).items == (), f"{what}: there are files of it"


def _assert_the_rest_is_taken(store: Store, write: Write) -> None:
    """Without its fault, the same batch goes in, and is there as if it had never been refused."""
    right = [file.seen(TODAY, POD, TAG) for file in BATCH]
    write({file.signature: file.content for file in BATCH}, right)
    found = listing(store)
    assert len(found) == len(BASE) + COUNT
    assert set(found) == {*BASE, *right}
    assert store.newest([one.timeline for one in right]) == {one.timeline: one for one in right}
    summaries = {one.signature: one.content for one in walk_files(store, Query(limit=10_000))}
    assert summaries == {
        TOOL: CLASHING,
        LAST.signature: LAST.content,
        **{file.signature: file.content for file in BATCH},
    }
    with pytest.raises(UnknownContent) as caught:  # what it was refused for is as unknown as before
        store.record({}, [file.seen(TODAY, POD) for file in UNKNOWN])
    assert caught.value.signatures == {file.signature for file in UNKNOWN}
