"""Strings in queries: at their limits, alike but for the last byte, joined by separators, and as prefixes."""

from __future__ import annotations

from dataclasses import replace

from kharvest.spi import (
    MAX_METADATA_KEY_BYTES,
    MAX_METADATA_PAIRS,
    MAX_METADATA_VALUE_BYTES,
    MAX_NAMESPACE_BYTES,
    MAX_PATH_BYTES,
    MAX_POD_BYTES,
    Metadata,
    Order,
    Pod,
    Query,
    Reference,
    Store,
)
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._model import matching, newest, summaries
from kharvest_conformance._samples import File, Sample
from kharvest_conformance._walks import walk, walk_files
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import harvest, listing, put

SAMPLE = Sample(10, 1)
FILE = File("/etc/app", SAMPLE)
ENDINGS = ("wxya", "wxyb", "wxyA", "wxy ", "wxy", "wx\u00e9", "w\u00e9", "we\u0301", "we", "wxy%", "wxy_", "Wxya")
SEPARATORS = (*"/:|,;=-. \"'", "\\", "//", "\t", "\n", "\x01", "\x1f", "\x7f", "\u00ff")
STEPS = ("\x01", "\x7f", "\x80", "\xff", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff")
"""Characters at which the length of UTF-8, the length of UTF-16 or the alphabet changes."""
KEYS = ("", *'.ab$*%_#"\\', "a.b", "$a", "$.a", "a[0]", '"a"', "a'b", "a\\b", "->", "{}", "[]")


def endings(limit: int) -> list[str]:
    """Strings of up to `limit` bytes that are alike but for their end."""
    return ["m" * (limit - 4) + ending for ending in ENDINGS]


def at_their_limits() -> list[Reference]:
    """Each string in each place, in timelines of two references where it tells timelines apart."""
    references = []
    for at in (1, 11):
        references += [File(f"/{text}", SAMPLE).seen(at) for text in endings(MAX_PATH_BYTES - 1)]
        references += [FILE.seen(at, Pod(text, "pod")) for text in endings(MAX_NAMESPACE_BYTES)]
        references += [FILE.seen(at, Pod("space", text)) for text in endings(MAX_POD_BYTES)]
    references += [FILE.seen(4, metadata=Metadata({text: "value"})) for text in endings(MAX_METADATA_KEY_BYTES)]
    references += [FILE.seen(5, metadata=Metadata({"key": text})) for text in endings(MAX_METADATA_VALUE_BYTES)]
    return references


def joined_alike() -> list[Reference]:
    """Timelines whose namespace, pod and path make one string when they are joined, with whatever between."""
    references = []
    for text in SEPARATORS:
        pods = (Pod("a", f"b{text}c"), Pod(f"a{text}b", "c"), Pod("", f"a{text}b{text}c"), Pod(f"a{text}b{text}c", ""))
        references += [File("/e", SAMPLE).seen(at, pod) for at in (2, 5) for pod in pods]
        long, short = File(f"/d{text}/e", SAMPLE), File("/e", SAMPLE)
        references += [long.seen(3, Pod("a", "b")), short.seen(3, Pod("a", f"b{text}/d"))]
    return references


def record(store: Store, references: list[Reference]) -> list[Reference]:
    """Record references to the one sample; their listing."""
    put(store, FILE)
    store.record({one.signature: SAMPLE.content for one in references}, references)
    everything = listing(store)
    assert len(everything) == len(references)
    assert set(everything) == set(references)
    return everything


def check(store: Store, everything: list[Reference], query: Query) -> None:
    """Compare what the store answers with what the model does: references and files, also the latest."""
    contents = {one.signature: SAMPLE.content for one in everything}
    for asked in (query, replace(query, latest=True, order=Order.NEWEST_FIRST)):
        expected = matching(everything, asked)
        assert walk(store, asked) == expected, asked
        assert walk_files(store, asked) == summaries(expected, contents), asked


@thorough
class DistinguishingTests(Base):
    """Of `Query`, with strings that a store might take for one."""

    @clause("values", "Strings are exact: nothing is trimmed, folded or")
    def test_strings_at_their_limits_are_asked_for_exactly(self, store: Store) -> None:
        everything = record(store, at_their_limits())
        for text in endings(MAX_PATH_BYTES - 1):
            check(store, everything, Query(path=f"/{text}"))
            check(store, everything, Query(path_prefix=f"/{text}"))
        for text in endings(MAX_NAMESPACE_BYTES):
            check(store, everything, Query(namespace=text))
        for text in endings(MAX_POD_BYTES):
            check(store, everything, Query(pod=text))
        for text in endings(MAX_METADATA_KEY_BYTES):
            check(store, everything, Query(metadata=Metadata({text: "value"})))
        for text in endings(MAX_METADATA_VALUE_BYTES):
            check(store, everything, Query(metadata=Metadata({"key": text})))

    @clause("values", "Strings are exact: nothing is trimmed, folded or")
    def test_timelines_and_files_at_the_limits_stay_apart(self, store: Store) -> None:
        everything = record(store, at_their_limits())
        contents = {one.signature: SAMPLE.content for one in everything}
        for order in Order:
            query = Query(latest=True, order=order)
            assert walk(store, query) == matching(everything, query)
        assert store.newest({one.timeline for one in everything}) == newest(everything)
        for limit in (1, 2, 5, 1000):
            assert walk_files(store, Query(limit=limit)) == summaries(everything, contents), limit
        for limit in (1, 3):
            query = Query(limit=limit, path_prefix="/mm")
            assert walk(store, query) == matching(everything, query), limit
        doomed = everything[0].signature.path
        gone = store.forget(Query(path=doomed))
        left = [one for one in everything if one.signature.path != doomed]
        assert (gone, listing(store)) == (len(everything) - len(left), left)

    @clause("values.Timeline", "One path in one pod")
    def test_names_that_are_alike_when_joined_are_different_timelines(self, store: Store) -> None:
        everything = record(store, joined_alike())
        for query in (Query(), Query(path="/e"), Query(namespace="a"), Query(namespace="a", pod="b"), Query(pod="")):
            check(store, everything, query)
        assert store.newest({one.timeline for one in everything}) == newest(everything)
        for text in SEPARATORS:
            check(store, everything, Query(namespace=f"a{text}b", pod="c"))
            check(store, everything, Query(pod=f"b{text}c", latest=True))

    @clause("values.Query", "metadata: pairs that must all be among the reference's.")
    def test_metadata_is_asked_for_by_exact_keys_and_values(self, store: Store) -> None:
        tags = [Metadata(pairs) for key in KEYS for pairs in ({key: "v"}, {"v": key}, {key: ""}, {"": key})]
        tags += [
            Metadata({"a": "b=c"}),
            Metadata({"a=b": "c"}),
            Metadata({"a": "b,c=d"}),
            Metadata({"a": "b", "c": "d"}),
        ]
        tags += [Metadata({"a": '{"b": "v"}'}), Metadata({"a": "b", "b": "a"}), Metadata({"a": "a", "b": "b"})]
        pairs = {f"k{number}": f"v{number % 7}" for number in range(MAX_METADATA_PAIRS)}
        many = [Metadata(pairs), Metadata(pairs | {"k63": "v1"}), Metadata(pairs | {"k0": "v1"})]
        many.append(Metadata({key: value for key, value in pairs.items() if key != "k63"}))
        tags = list(dict.fromkeys([*tags, *many]))
        everything = record(store, [FILE.seen(1, Pod("n", str(n)), tag) for n, tag in enumerate(tags)])
        for tag in tags:
            query = Query(metadata=tag)
            assert walk(store, query) == matching(everything, query), query
        for tag in many:
            check(store, everything, Query(metadata=tag))
        check(store, everything, Query(metadata=Metadata({"k0": "v0", "k63": "v0"})))

    @clause("values.Query", "path_prefix: what the path starts with, compared character by character.")
    def test_a_prefix_ends_at_any_character(self, store: Store) -> None:
        heads = ("/", "/a", f"/{'p' * 300}", f"/{'p' * (MAX_PATH_BYTES - 20)}")
        paths = [f"{head}{text}" for head in heads for one in STEPS for text in (one, one * 2, f"{one}a")]
        paths += ["/a/b", "/a//b", "/a///b", "//b", "/a/./b", "/b/../a"]  # not resolved: none is another
        paths += [*heads, "/A", "/" + "p" * 299]
        everything = record(store, [File(path, SAMPLE).seen(1) for path in dict.fromkeys(paths)])
        contents = {one.signature: SAMPLE.content for one in everything}
        prefixes = [
            "",
            "/A",
            "/" + "p" * (MAX_PATH_BYTES - 1),
            *heads,
            *(f"{head}{one}" for head in heads for one in STEPS),
            *(f"{head}{one * 2}" for head in heads[:2] for one in (*STEPS, "/")),
            *("/a/b", "/a//b", "//b", "/a/./", "/a"),
        ]
        for prefix in prefixes:
            query = Query(path_prefix=prefix)
            expected = matching(everything, query)
            assert walk(store, query) == expected, query
            assert walk_files(store, query) == summaries(expected, contents), query

    @clause("ReferenceStore.files", "ascending by code point")
    def test_files_are_in_code_point_order_at_every_length(self, store: Store) -> None:
        tails = ("", *STEPS, *"aAZ-0 9", "10", "aa", "\u00e9", "e\u0301", "\ud7ffa", "\U00010000a", "\uffffa")
        heads = ("/", "/e", f"/{'q' * 254}", f"/{'q' * 1000}", "/" + "\U0001f600" * 1000)
        files = [File(f"{head}{tail}", Sample(5, variant)) for head in heads for tail in tails for variant in (1, 2)]
        harvest(store, files[:2], [files[0].seen()])
        store.record({file.signature: file.content for file in files}, [file.seen() for file in files])
        expected = sorted((file.path, file.content.md5) for file in files)
        for query in (Query(), Query(limit=7), Query(limit=50, order=Order.NEWEST_FIRST), Query(latest=True, limit=51)):
            found = [(one.signature.path, one.signature.md5) for one in walk_files(store, query)]
            held = {(one.signature.path, one.signature.md5) for one in walk(store, replace(query, limit=1000))}
            assert found == [one for one in expected if one in held], query
        for head in heads[:3]:
            query = Query(limit=1, path_prefix=head)
            if head != "/":
                found = [(one.signature.path, one.signature.md5) for one in walk_files(store, query)]
                assert found == [one for one in expected if one[0].startswith(head)], query
