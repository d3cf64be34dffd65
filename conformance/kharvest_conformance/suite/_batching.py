"""Batches as callers give them, and answers as callers take them: in any collection, of exact types, kept by nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import pytest

from kharvest.spi import (
    Conflict,
    Content,
    Metadata,
    Order,
    Page,
    Pod,
    Query,
    Reference,
    Signature,
    Store,
    Timeline,
    UnknownContent,
)
from kharvest_conformance._clauses import clause
from kharvest_conformance._dressing import OwnList
from kharvest_conformance._samples import (
    COLLIDING,
    OTHER,
    WEB,
    File,
    Sample,
    content_of,
    contents_by_signature,
    removed,
)
from kharvest_conformance._walks import walk_files
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._collected import MAPPINGS, SEQUENCES, Numbered, collections_of
from kharvest_conformance.suite._holding import harvest, listing, put

Item = TypeVar("Item")
Key = TypeVar("Key")
Value = TypeVar("Value")

TODAY = 1_764_000_000_123_456_789
FILES = tuple(File(f"/etc/{number}", Sample(10, number)) for number in range(4))
STRANGER = File("/etc/stranger", Sample(10))
TAG = Metadata({"app": "web", "b": "", "": "a"})
CONTENTS = contents_by_signature(FILES)


class BatchingTests(Base):
    """Of what is given to a `ReferenceStore`, and what it returns."""

    @pytest.fixture
    def four_files(self, store: Store) -> Store:
        """A store that has references of each kind."""
        references = [file.seen(TODAY + at, pod, TAG) for file in FILES for at, pod in ((1, WEB), (0, OTHER))]
        harvest(store, FILES, [*references, removed(FILES[0].path, TODAY + 2)])
        return store

    @clause("store", "It comes in any collection: a list, a tuple, a set, a view of a dictionary.")
    def test_known_and_newest_take_any_collection(self, four_files: Store) -> None:
        signatures = [STRANGER.signature, *CONTENTS, removed(FILES[0].path).signature]
        timelines = [STRANGER.seen().timeline, *(file.seen(1, pod).timeline for file in FILES for pod in (WEB, OTHER))]
        newest = {reference.timeline: reference for reference in listing(four_files)}
        for name, given in collections_of(signatures).items():
            assert four_files.known(given) == CONTENTS, name
        for name, wanted in collections_of(timelines).items():
            assert four_files.newest(wanted) == newest, name
        for name, nothing in collections_of(list[Signature]()).items():
            assert four_files.known(nothing) == {}, name
        for name, none in collections_of(list[Timeline]()).items():
            assert four_files.newest(none) == {}, name

    @clause("store", "It comes in any collection: a list, a tuple, a set, a view of a dictionary.")
    def test_record_and_append_take_any_mapping_and_any_sequence(self, store: Store) -> None:
        put(store, *FILES)
        expected: list[Reference] = []
        shapes = [(mapping, "a tuple") for mapping in MAPPINGS] + [("a dictionary", sequence) for sequence in SEQUENCES]
        for number, (mapping, sequence) in enumerate(shapes):
            what = f"files in {mapping}, references in {sequence}"
            pods = Pod("shapes", f"record-{number}"), Pod("shapes", f"append-{number}")
            files = [File(f"/shapes/{number}/{part}", FILES[part].sample) for part in range(3)]
            contents = {file.signature: file.content for file in files}
            recorded, appended = ([file.seen(TODAY + number, pod) for file in files] for pod in pods)
            store.record(MAPPINGS[mapping](contents), SEQUENCES[sequence](recorded))
            assert store.append(MAPPINGS[mapping](contents), SEQUENCES[sequence](appended)) == appended, what
            assert store.known(contents) == contents, what
            expected += [*recorded, *appended]
        found = listing(store)
        assert len(found) == len(expected)
        assert set(found) == set(expected)

    @clause("store", "A batch holds 0 to MAX_BATCH items")
    def test_batches_without_files_or_references_do_nothing(self, four_files: Store) -> None:
        before = listing(four_files)
        mappings: list[Mapping[Signature, Content]] = [{}, dict(CONTENTS), MappingProxyType({})]
        sequences: list[Sequence[Reference]] = [[], (), Numbered[Reference]([])]
        for files in mappings:
            for nothing in sequences:
                four_files.record(files, nothing)
                assert four_files.append(files, nothing) == []
        assert listing(four_files) == before
        assert four_files.known(CONTENTS.keys()) == CONTENTS

    @clause("ReferenceStore.record", "A signature of `files` that none of `references` names is not recorded.")
    def test_a_file_that_no_reference_names_is_not_recorded(self, store: Store) -> None:
        file, twin, beside = FILES[0], File("/twin", FILES[0].sample), File(FILES[0].path, Sample(10, 9))
        put(store, *FILES, beside)
        extras = {one.signature: one.content for one in (STRANGER, twin, beside)}
        files = extras | {file.signature: file.content}
        store.record(extras, [])
        assert store.append(extras, []) == []
        store.record(extras, [removed(beside.path, 1), removed(STRANGER.path, 1)])
        _assert_only(store, {}, extras)
        store.record(files, [file.seen(2)])
        _assert_only(store, {file.signature: file.content}, extras)
        assert store.append(files, [file.seen(3, OTHER)]) == [file.seen(3, OTHER)]
        assert store.append(files, [removed(beside.path, 4)]) == [removed(beside.path, 4)]
        _assert_only(store, {file.signature: file.content}, extras)
        for signature in extras:
            for write in (store.record, store.append):
                with pytest.raises(UnknownContent) as caught:
                    write({}, [Reference(signature, WEB, Metadata(), 5)])
                assert caught.value.signatures == {signature}
        assert len(listing(store)) == 5

    @clause("ReferenceStore.record", "UnknownContent: a content of `files` is not stored")
    def test_a_file_is_checked_also_where_no_reference_names_it(self, store: Store) -> None:
        first, second = map(content_of, COLLIDING)
        signature = Signature("/bin/tool", first.md5)
        for content, data in zip((first, second), COLLIDING, strict=True):
            store.put(content, [data])
        put(store, FILES[0])
        seen = Reference(signature, WEB, Metadata(), 1)
        store.record({signature: first}, [seen])
        absent = {FILES[1].signature: FILES[1].content, FILES[2].signature: FILES[2].content}
        for references in ([], [FILES[0].seen(2)], [seen]):  # the last one is there, and so is its file
            for write in (store.record, store.append):
                with pytest.raises(UnknownContent) as unknown:
                    write({FILES[0].signature: FILES[0].content, **absent}, references)
                assert unknown.value.sha256s == {content.sha256 for content in absent.values()}
                with pytest.raises(Conflict) as conflict:
                    write({FILES[0].signature: FILES[0].content, signature: second}, references)
                caught = conflict.value
                assert (caught.signature, caught.stored, caught.offered) == (signature, first, second)
        assert listing(store) == [seen]
        assert store.known([signature, *CONTENTS]) == {signature: first}

    @clause("store", "A store keeps nothing that it is given and changes nothing of it: the caller may use it again.")
    def test_what_is_given_is_neither_kept_nor_changed(self, store: Store) -> None:
        put(store, *FILES)
        one, two, three, _four = FILES
        contents = {one.signature: one.content, two.signature: two.content}
        recorded = [two.seen(TODAY), one.seen(TODAY + 9), two.seen(TODAY), one.seen(TODAY - 9)]
        appended = [one.seen(TODAY, OTHER), two.seen(TODAY - 1, OTHER), one.seen(TODAY, OTHER)]
        for write, references in ((store.record, recorded), (store.append, appended)):
            files, given = dict(contents), list(references)
            answer = write(files, given)
            assert (list(files.items()), given) == (list(contents.items()), references), "what was given has changed"
            assert answer is not given
            files.clear()
            files[three.signature] = three.content
            given[:] = [three.seen(1)]
        expected = [*set(recorded), *appended[:2], one.seen(TODAY + 1, OTHER)]
        found = listing(store)
        assert set(found) == set(expected), "the store has kept what it was given"
        assert len(found) == len(expected)

        signatures = OwnList([*contents, three.signature])
        timelines = OwnList([one.seen().timeline, three.seen().timeline])
        asked = list(signatures), list(timelines)
        assert store.known(signatures) == contents
        newest = store.newest(timelines)
        assert (signatures, timelines) == asked, "a list that was asked with has changed"
        signatures.clear()
        timelines[:] = [two.seen().timeline]
        assert store.known(asked[0]) == contents
        assert store.newest(asked[1]) == newest == {one.seen().timeline: one.seen(TODAY + 9)}
        with pytest.raises(UnknownContent):
            store.record({}, [three.seen(2)])

    @clause("store", "the caller's own.")
    def test_what_is_returned_is_the_caller_s_own(self, four_files: Store) -> None:
        newest = {reference.timeline: reference for reference in listing(four_files)}
        timelines, stranger = [*newest], STRANGER.seen().timeline
        for asked, wanted in (
            ([FILES[0].signature], timelines[:1]),
            ([FILES[0].signature, STRANGER.signature], [*timelines[:1], stranger]),
            ([*CONTENTS], timelines),
            ([*CONTENTS, STRANGER.signature], [*timelines, stranger]),
            ([STRANGER.signature], [stranger]),
            ([], []),
        ):
            for _again in range(2):
                known, latest = four_files.known(asked), four_files.newest(wanted)
                assert known == {one: CONTENTS[one] for one in asked if one in CONTENTS}
                assert latest == {one: newest[one] for one in wanted if one in newest}
                known.clear()
                known[STRANGER.signature] = FILES[1].content
                latest.clear()
                latest[stranger] = STRANGER.seen(9)
        asks: list[tuple[Callable[[Any], Any], Mapping[Any, Any]]] = [
            (four_files.known, CONTENTS),
            (four_files.newest, newest),
        ]
        for ask, everything in asks:
            given = dict(everything)  # it is the very answer: it is tempting to give it back
            found = ask(given)
            assert found == everything
            found.clear()
            assert given == everything, "the answer is what the caller gave"
        assert four_files.known([STRANGER.signature, *CONTENTS]) == CONTENTS
        with pytest.raises(UnknownContent):
            four_files.record({}, [STRANGER.seen(1)])
        before = listing(four_files)
        for _again in range(2):
            nothing = four_files.append({}, [])
            assert nothing == []
            nothing.append(STRANGER.seen(1))
        nothing_given: list[Reference] = []
        four_files.append({}, nothing_given).append(STRANGER.seen(1))
        assert nothing_given == [], "the answer of append is what the caller gave"
        stays = [FILES[1].seen(TODAY + 2, Pod("of", "append")), FILES[2].seen(TODAY + 3, Pod("of", "append"))]
        given_list = list(stays)  # each is the newest with the time that it has
        kept = four_files.append({}, given_list)
        assert kept == stays
        kept.reverse()
        assert given_list == stays, "the answer of append is what the caller gave"
        assert four_files.forget(Query(namespace="of")) == len(stays)
        (appended,) = answer = four_files.append({}, [FILES[1].seen(1)])
        answer.clear()
        assert four_files.append({}, [FILES[1].seen(1)]) == [FILES[1].seen(appended.observed_at_ns + 1, WEB)]
        assert [one for one in listing(four_files) if one not in before] == [
            FILES[1].seen(TODAY + 2),
            FILES[1].seen(TODAY + 3),
        ]

    @clause("store", "What a method returns is of the type that its signature says")
    def test_answers_are_of_the_types_of_the_contract(self, four_files: Store) -> None:
        assert four_files.record(dict(CONTENTS), [FILES[3].seen(TODAY + 7, WEB, TAG)]) is None  # type: ignore[func-returns-value]
        answers: list[tuple[str, object, type]] = [
            ("known", four_files.known(list(CONTENTS)), dict),
            ("known of nothing", four_files.known([]), dict),
            ("known of a stranger", four_files.known([STRANGER.signature]), dict),
            ("newest", four_files.newest([file.seen().timeline for file in FILES]), dict),
            ("newest of nothing", four_files.newest([]), dict),
            ("newest of a stranger", four_files.newest([STRANGER.seen().timeline]), dict),
            ("append", four_files.append({}, [FILES[0].seen(TODAY, WEB, TAG), FILES[0].seen(TODAY, OTHER)]), list),
            ("append of nothing", four_files.append({}, []), list),
            ("references", four_files.references(Query()), Page),
            ("a page of references", four_files.references(Query(limit=2, order=Order.NEWEST_FIRST)), Page),
            ("latest references", four_files.references(Query(latest=True)), Page),
            ("files", four_files.files(Query()), Page),
            ("a page of files", four_files.files(Query(limit=1)), Page),
            ("forget of one", four_files.forget(Query(limit=1)), int),
            ("forget of several", four_files.forget(Query(path=FILES[1].path)), int),
            ("forget of none", four_files.forget(Query(path="/none")), int),
        ]
        for name, answer, kind in answers:
            is_of_it = isinstance(answer, kind) and not isinstance(answer, bool)
            assert is_of_it, f"{name} gives {type(answer).__name__}, not {kind.__name__}"
            _assert_exact(name, answer)


def _assert_only(store: Store, known: Mapping[Signature, Content], extras: Mapping[Signature, Content]) -> None:
    """No more than these files is known, by any way to ask."""
    assert store.known([*known, *extras]) == known
    assert {one.signature: one.content for one in walk_files(store, Query())} == known


_EXACT = (str, bytes, int, type(None))
_VALUES = "kharvest.spi._values"


def _assert_exact(where: str, value: object) -> None:
    """A value of the contract is made of the contract's types through and through, and of none that equal them."""
    match value:
        case dict():
            for key, one in value.items():
                _assert_exact(f"a key of {where}", key)
                _assert_exact(where, one)
        case list() | tuple():
            for one in value:
                _assert_exact(where, one)
        case Metadata():
            assert type(value) is Metadata, f"{where}: {type(value).__name__} for Metadata"
            assert list(value.items()) == sorted(value.items()), f"{where}: the pairs are not sorted"
            assert hash(value) == hash(Metadata(dict(value)))
            for pair in value.items():
                _assert_exact(f"metadata of {where}", pair)
        case _ if is_dataclass(value):
            assert type(value).__module__ == _VALUES, f"{where}: {type(value)} is none of the contract's values"
            for field in fields(value):
                if field.name == "items":
                    assert type(value) is Page
                    assert type(getattr(value, "items")) is tuple, f"{where}: the items are in no tuple"  # noqa: B009
                _assert_exact(f"{field.name} of {where}", getattr(value, field.name))
            assert isinstance(hash(value), int)
        case _:
            assert type(value) in _EXACT, f"{where}: {type(value).__name__} {value!r} is none of the contract's types"
            if "md5" in where or "sha256" in where:
                assert type(value) is bytes, f"{where}: {type(value).__name__} for bytes"
