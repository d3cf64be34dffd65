"""`record` and `known`: batches of references go in whole or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import strategies as st

from kharvest.spi import (
    MAX_METADATA_KEY_BYTES,
    MAX_METADATA_PAIRS,
    MAX_METADATA_VALUE_BYTES,
    MAX_NAMESPACE_BYTES,
    MAX_PATH_BYTES,
    MAX_POD_BYTES,
    MAX_TIME_NS,
    Conflict,
    Metadata,
    Pod,
    Query,
    Reference,
    Signature,
    Store,
    UnknownContent,
)
from kharvest_conformance import _strategies as strategies
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._depth import Depth
from kharvest_conformance._place import Places
from kharvest_conformance._samples import COLLIDING, OTHER, WEB, File, Sample, content_of, removed
from kharvest_conformance._strategies import LOOKALIKES, NASTY, VERSIONS
from kharvest_conformance._walks import walk, walk_files
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import at_once, data_of, harvest, listing, put

FILE = File("/etc/app.conf", Sample(100))
SECOND = File("/etc/app.conf", Sample(100, 1))
THIRD = File("/etc/third.conf", Sample(100, 2))


class RecordingTests(Base):
    """Of `ReferenceStore.record` and `known`."""

    @clause("ReferenceStore.record", "Record references, and the content of their signatures")
    def test_what_was_recorded_is_there(self, store: Store) -> None:
        references = [FILE.seen(1), SECOND.seen(2, OTHER, Metadata({"app": "web"})), removed(FILE.path, 3)]
        harvest(store, [FILE, SECOND], references)
        assert listing(store) == references
        signatures = [FILE.signature, SECOND.signature, THIRD.signature]
        assert store.known(signatures) == {FILE.signature: FILE.content, SECOND.signature: SECOND.content}

    @clause("ReferenceStore.record", "The same reference twice is one reference, in one batch or in two.")
    def test_the_same_reference_twice_is_one(self, store: Store) -> None:
        reference = FILE.seen(5, metadata=Metadata({"a": "1", "b": "2"}))
        same = FILE.seen(5, metadata=Metadata({"b": "2", "a": "1"}))
        harvest(store, [FILE], [reference, same])
        store.record({FILE.signature: FILE.content}, [reference])
        store.record({}, [same])
        assert listing(store) == [reference]
        gone = removed(FILE.path, 6)
        store.record({}, [gone, gone])
        store.record({}, [gone])
        assert listing(store) == [reference, gone]

    @clause("values.Reference", "The fact that one pod had one signature at one time.")
    def test_references_that_differ_in_any_field_are_several(self, store: Store) -> None:
        tag = Metadata({"k": "v"})
        references = [
            FILE.seen(5),
            FILE.seen(6),
            SECOND.seen(5),
            THIRD.seen(5),
            FILE.seen(5, OTHER),
            FILE.seen(5, Pod("other", WEB.name)),
            FILE.seen(5, metadata=tag),
            FILE.seen(5, metadata=Metadata({"k": "V"})),
            FILE.seen(5, metadata=Metadata({"k": "v", "l": ""})),
            removed(FILE.path, 5),
        ]
        harvest(store, [FILE, SECOND, THIRD], references)
        assert len(listing(store)) == len(references)
        assert set(listing(store)) == set(references)

    @clause("ReferenceStore.record", "may come in any order of their times")
    def test_references_may_come_in_any_order_of_their_times(self, store: Store) -> None:
        times = [50, 10, 40, 20, 30]
        put(store, FILE)
        for at in times:
            store.record({FILE.signature: FILE.content}, [FILE.seen(at)])
        assert [reference.observed_at_ns for reference in listing(store)] == sorted(times)

    @clause("ReferenceStore.record", "it may name known ones again")
    def test_files_are_needed_once_and_may_be_named_again(self, store: Store) -> None:
        harvest(store, [FILE], [FILE.seen(1)])
        store.record({}, [FILE.seen(2)])
        store.record({FILE.signature: FILE.content}, [FILE.seen(3)])
        store.record({FILE.signature: FILE.content}, [FILE.seen(4), removed(FILE.path, 5)])
        assert len(listing(store)) == 5

    @clause("ReferenceStore.record", "a content of `files` is not stored")
    def test_a_file_whose_content_is_not_stored_is_refused_with_its_batch(self, store: Store) -> None:
        put(store, FILE)
        files = {FILE.signature: FILE.content, THIRD.signature: THIRD.content}
        with pytest.raises(UnknownContent) as caught:
            store.record(files, [FILE.seen(1), THIRD.seen(1), removed(FILE.path, 2)])
        assert caught.value.sha256s == {THIRD.content.sha256}
        assert listing(store) == []
        assert store.known([FILE.signature, THIRD.signature]) == {}

    @clause("ReferenceStore.record", "a content of `files` is not stored")
    def test_a_file_whose_content_was_discarded_is_refused(self, store: Store) -> None:
        put(store, FILE)
        store.discard([FILE.content.sha256])
        with pytest.raises(UnknownContent) as caught:
            store.record({FILE.signature: FILE.content}, [FILE.seen()])
        assert caught.value.sha256s == {FILE.content.sha256}
        assert listing(store) == []

    @clause("ReferenceStore.record", "signature is neither known nor in `files`; nothing was recorded.")
    def test_a_signature_that_is_not_known_is_refused_with_its_batch(self, store: Store) -> None:
        harvest(store, [FILE], [FILE.seen(1)])
        put(store, SECOND, THIRD)
        with pytest.raises(UnknownContent) as caught:
            store.record({SECOND.signature: SECOND.content}, [SECOND.seen(2), THIRD.seen(2), FILE.seen(2)])
        assert caught.value.signatures == {THIRD.signature}
        assert listing(store) == [FILE.seen(1)]
        assert store.known([SECOND.signature]) == {}

    @clause("ReferenceStore.record", "Conflict: a signature is known with another content than `files` says")
    def test_a_known_signature_with_other_content_is_a_conflict(self, store: Store) -> None:
        first, second = map(content_of, COLLIDING)
        signature = Signature("/bin/tool", first.md5)
        for content, data in zip((first, second), COLLIDING, strict=True):
            store.put(content, [data])
        put(store, FILE)
        seen = Reference(signature, WEB, Metadata(), 1)
        store.record({signature: first}, [seen])
        with pytest.raises(Conflict) as caught:
            store.record(
                {FILE.signature: FILE.content, signature: second},
                [FILE.seen(2), Reference(signature, OTHER, Metadata(), 2)],
            )
        assert (caught.value.signature, caught.value.stored, caught.value.offered) == (signature, first, second)
        for offered in (replace(first, size=first.size + 1), replace(first, md5=FILE.content.md5)):
            with pytest.raises(Conflict) as caught:
                store.record({signature: offered}, [Reference(signature, OTHER, Metadata(), 2)])
            assert caught.value.offered == offered
        assert listing(store) == [seen]
        assert store.known([signature, FILE.signature]) == {signature: first}

    @clause("values.Signature", "The identity of a file version: full path and MD5 of its content")
    def test_one_md5_on_two_paths_may_have_two_contents(self, store: Store) -> None:
        contents = list(map(content_of, COLLIDING))
        files = {Signature(f"/{number}", content.md5): content for number, content in enumerate(contents)}
        for content, data in zip(contents, COLLIDING, strict=True):
            store.put(content, [data])
        store.record(files, [Reference(signature, WEB, Metadata(), 1) for signature in files])
        assert store.known(list(files)) == files
        assert {one.signature: one.content for one in walk_files(store, Query())} == files
        for content, data in zip(contents, COLLIDING, strict=True):
            assert b"".join(store.read(content.sha256)) == data

    @clause("values.Content", "Bytes, named by their SHA-256")
    def test_equal_content_on_two_paths_is_stored_once(self, store: Store) -> None:
        twin = File("/copy", FILE.sample)
        harvest(store, [FILE, twin], [FILE.seen(), twin.seen()])
        assert list(store.contents()) == [FILE.content]
        assert store.known([FILE.signature, twin.signature]) == dict.fromkeys(
            [FILE.signature, twin.signature], FILE.content
        )
        assert data_of(store, twin) == FILE.sample.data()

    @clause("ReferenceStore.known", "Never has removals.")
    def test_a_removal_is_recorded_without_a_file_and_never_known(self, store: Store) -> None:
        gone = removed("/was/here", 1)
        store.record({}, [gone])
        assert listing(store) == [gone]
        assert store.known([gone.signature]) == {}
        assert store.newest([gone.timeline]) == {gone.timeline: gone}

    @clause("ReferenceStore.known", "The content of those signatures that at least one reference in the store names.")
    def test_what_is_put_and_not_recorded_is_not_known(self, store: Store) -> None:
        put(store, FILE)
        assert store.known([FILE.signature]) == {}

    @thorough
    @clause("ReferenceStore.record", "as one atomic and idempotent batch")
    def test_batches_recorded_by_several_threads_are_all_there(self, store: Store) -> None:
        pods = [Pod("many", f"pod-{number}") for number in range(4)]
        shared = [File(f"/shared/{number}", Sample(64, number)) for number in range(5)]

        def write(pod: Pod) -> None:
            for number, file in enumerate(shared):
                own = File(f"/own/{pod.name}/{number}", Sample(32, number))
                harvest(store, [file, own], [file.seen(number, pod), own.seen(number, pod), file.seen(9, WEB)])

        at_once(*(lambda pod=pod: write(pod) for pod in pods))
        found = listing(store)
        assert len(found) == len(pods) * len(shared) * 2 + len(shared)
        assert len(set(found)) == len(found)
        assert len(store.known([file.signature for file in shared])) == len(shared)

    @thorough
    @clause("ReferenceStore.record", "Conflict: a signature is known with another content than `files` says")
    def test_of_two_conflicting_records_at_once_one_wins(self, store: Store) -> None:
        contents = list(map(content_of, COLLIDING))
        for content, data in zip(contents, COLLIDING, strict=True):
            store.put(content, [data])
        for number in range(10):
            signature = Signature(f"/race/{number}", contents[0].md5)

            def record(which: int, signature: Signature = signature) -> bool:
                pod = Pod("race", str(which))
                try:
                    store.record({signature: contents[which]}, [Reference(signature, pod, Metadata(), 1)])
                except Conflict:
                    return False
                return True

            won = at_once(lambda: record(0), lambda: record(1))
            assert sorted(won) == [False, True]
            assert store.known([signature]) == {signature: contents[won.index(True)]}

    @thorough
    @clause("values", "Strings are exact: nothing is trimmed, folded or")
    def test_strings_that_look_alike_stay_apart(self, store: Store) -> None:
        files = [File(f"/{text}", Sample(20, number % VERSIONS)) for number, text in enumerate(NASTY)]
        references = [file.seen(1) for file in files]
        references += [FILE.seen(2, Pod(text, "pod")) for text in NASTY]
        references += [FILE.seen(3, Pod("space", text)) for text in NASTY]
        references += [FILE.seen(4, metadata=Metadata({text: "value"})) for text in NASTY]
        references += [FILE.seen(5, metadata=Metadata({"key": text})) for text in NASTY]
        harvest(store, [*files, FILE], references)
        found = listing(store)
        assert len(found) == len(references)
        assert set(found) == set(references)
        known = store.known([file.signature for file in files])
        assert known == {file.signature: file.content for file in files}
        for group in LOOKALIKES:
            for text in group:
                assert walk(store, Query(namespace=text)) == [FILE.seen(2, Pod(text, "pod"))]
                assert walk(store, Query(pod=text)) == [FILE.seen(3, Pod("space", text))]
                tagged = Metadata({text: "value"})
                assert walk(store, Query(metadata=tagged)) == [FILE.seen(4, metadata=tagged)]
                valued = Metadata({"key": text})
                assert walk(store, Query(metadata=valued)) == [FILE.seen(5, metadata=valued)]
        for file, reference in zip(files, references, strict=False):
            assert walk(store, Query(path=file.path)) == [reference]
            assert store.newest([reference.timeline]) == {reference.timeline: reference}

    @thorough
    @clause("values", "They hold all of Unicode but NUL and lone surrogates.")
    def test_any_string_comes_back_as_it_went_in(self, places: Places, depth: Depth) -> None:
        one = st.builds(
            lambda path, sample, at, pod, metadata: (File(path, sample), at, pod, metadata),
            strategies.paths,
            st.builds(Sample, st.integers(0, 50), st.integers(0, 3)),
            strategies.times,
            strategies.pods,
            strategies.metadata,
        )

        @depth.given(share=2, items=st.lists(one, min_size=1, max_size=8))
        def check(items: list[tuple[File, int, Pod, Metadata]]) -> None:
            with places.fresh() as place:
                store = place.open()
                references = {file.seen(at, pod, metadata) for file, at, pod, metadata in items}
                harvest(store, [item[0] for item in items], list(references))
                found = listing(store)
                assert len(found) == len(references)
                assert set(found) == references
                for reference in references:
                    query = Query(
                        path=reference.signature.path,
                        namespace=reference.pod.namespace,
                        pod=reference.pod.name,
                        metadata=reference.metadata,
                    )
                    assert reference in walk(store, query)

        check()

    @thorough
    @clause("values", "with their limits")
    def test_values_at_their_limits_come_back_as_they_went_in(self, store: Store) -> None:
        paths = ["/" + "p" * (MAX_PATH_BYTES - 2) + last for last in ("a", "b", "A", " ")]
        paths.append("/" + "\U0001f600" * ((MAX_PATH_BYTES - 1) // 4))
        pod = Pod("n" * MAX_NAMESPACE_BYTES, "\u00e9" * (MAX_POD_BYTES // 2))
        pairs = {
            f"{number:02}{'k' * (MAX_METADATA_KEY_BYTES - 2)}": f"{number:02}{'v' * (MAX_METADATA_VALUE_BYTES - 2)}"
            for number in range(MAX_METADATA_PAIRS)
        }
        metadata = Metadata(pairs)
        almost = Metadata(pairs | {min(pairs): pairs[min(pairs)][:-1] + "w"})
        files = [File(path, Sample(10, number)) for number, path in enumerate(paths)]
        references = [file.seen(at, pod, metadata) for file in files for at in (0, 2**53, 2**53 + 1, MAX_TIME_NS)]
        references.append(files[0].seen(1, pod, almost))
        harvest(store, files, references)
        assert set(listing(store)) == set(references)
        assert len(listing(store)) == len(references)
        assert [one.signature.path for one in walk_files(store, Query())] == sorted(paths)
        for file in files:
            assert {one.signature for one in walk(store, Query(path=file.path))} == {file.signature}
        assert walk(store, Query(metadata=almost)) == [references[-1]]
        found = walk(store, Query(since_ns=2**53 + 1, until_ns=MAX_TIME_NS))
        assert {one.observed_at_ns for one in found} == {2**53 + 1}
        assert len(walk(store, Query(since_ns=MAX_TIME_NS))) == len(files)
        assert len(walk(store, Query(until_ns=1))) == len(files)
