"""Values that are nearly one: at their limits, cut at another place, or alike to an encoding. They stay apart."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import product

import pytest

from kharvest.spi import (
    MAX_METADATA_KEY_BYTES,
    MAX_METADATA_VALUE_BYTES,
    MAX_NAMESPACE_BYTES,
    MAX_PATH_BYTES,
    MAX_POD_BYTES,
    NO_METADATA,
    Metadata,
    Pod,
    Query,
    Reference,
    Signature,
    Store,
    Timeline,
    UnknownContent,
)
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._samples import WEB, File, Sample, content_of
from kharvest_conformance._strategies import NASTY
from kharvest_conformance._walks import walk, walk_files
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import listing, put

TODAY = 1_764_000_000_123_456_789
BODY = Sample(20)
FILE = File("/likeness", BODY)
EXACT = "Strings are exact: nothing is trimmed, folded or"

TAILS = ("a", "b", "A", " ", "\t", "\n", "\x01", "0", "/", "\\", "%", "_")
"""What the last byte may be, when all others are the same."""
SEPARATORS = "/\x1f\x1e\x01|:;,.=&\"'{}[]()%\\_-+#@ \t\n\r\u2028"
"""What somebody might put between two strings to make one of them, or quote one with."""

SPLIT = (
    *(
        Pod(*pair)
        for mark in SEPARATORS
        for pair in (
            (f"a{mark}b", "c"),
            ("a", f"b{mark}c"),
            ("a", mark),
            (mark, "a"),
            (f"a{mark}", "b"),  # the mark doubled to quote it
            ("a", f"{mark}b"),
            ("a\\", f"b{mark}c"),  # the mark escaped, and not what it is escaped with
            (f"a{mark}b\\", "c"),
        )
    ),
    *(
        Pod(*pair)
        for pair in product(("", "a", "ab", "abc", "b", "1", "11", "None", "null"), ("", "c", "bc", "abc", "1"))
    ),
    *(
        Pod(*pair)
        for pair in (("1:a", "b"), ("1", ":ab"), ("a%2Fb", "c"), ("a\\", "/b"), ("a", "\\/b"), ("a\\x1fb", "c"))
    ),
    *(Pod(*pair) for pair in (("1a", "2bc"), ("1a2", "bc"), ('a","b', "c"), ("a", 'b","c'), ("a", " b"), ("a ", "b"))),
    Pod("0", "abcdefgh3abc"),  # lengths in front, and nothing behind them: 1 0 12 …, 10 12…
    Pod("12abcdefgh", "abc"),
)
"""Pods whose namespace and name make the same string, with something between them or nothing."""

PAIRS = tuple(
    dict.fromkeys(
        Metadata(pairs)
        for pairs in (
            *({"a": f"b{mark}c"} for mark in SEPARATORS),
            *({f"a{mark}b": "c"} for mark in SEPARATORS),
            *(
                {"a": f"1{mark}b{other}2"}
                for mark, other in (",=", ";=", "&=", "\n=", ":,", ", ", "\x1f\x1f", "\x1e\x1f")
            ),
            *({"a": f'1{mark}"b": "2'} for mark in ('", ', '",', "', ", ", ")),
            *({f"a{mark}": "b"} for mark in '=:,;"\\'),
            *({"a": f"{mark}b"} for mark in '=:,;"\\'),
            {"a": "1", "b": "2"},
            {"a": "1"},
            {"b": "2"},
            {"a": "2", "b": "1"},
            {"1": "a", "2": "b"},
            {"a": "b", "1": "2"},
            {"": ""},
            {"": "a"},
            {"a": ""},
            {"a": "", "b": ""},
            {"a": "b"},
            {"b": "a"},
            {"ab": ""},
            {"": "ab"},
            {"A": "b"},
            {"a": "B"},
            {"a ": "b"},
            {"a": "b "},
            {"a": " b"},
            {" a": "b"},
            {"a": "null"},
            {"a": "true"},
            {"a": "01"},
            {"a": "1.0"},
            {"a": '{"b": "c"}'},
            {"a": '{"b":"c"}'},
            {'{"a": "1"': '"b": "2"}'},
            {'{"a": "1", "b": "2"}': ""},
            {"a": "[]"},
            {"a.b": "c"},
            {"a": "$b"},
            {"$a": "b"},
            {"caf\u00e9": "1"},
            {"cafe\u0301": "1"},
        )
    )
)
"""Sets of pairs of which some way to write them as one string makes one."""

NUMBERS = (5329, 16847, 17859, 31214, 32563, 40691, 42844, 48678, 61882, 88484, 140177, 148462, 216014)
"""Found by trial: the digests of their decimal digits begin or end with zeros, blanks, line feeds or 0xff."""


SUMMED = (
    ("xs4ibwwl", "adwoqc8j"),  # CRC-32
    ("qmeo5att", "whdasbt4"),  # CRC-32C
    ("aca", "bab"),  # Adler-32, Fletcher
    ("Aa", "BB"),  # times 31
    ("aB", "b!"),  # times 33
)
"""Strings of which a short hash makes one, also with the same text before and behind them."""


@thorough
class LikenessTests(Base):
    """Of strings and digests."""

    @clause("values", EXACT)
    def test_strings_at_their_limits_that_differ_in_one_byte_stay_apart(self, store: Store) -> None:
        put(store, FILE)
        files = [File(path, BODY) for path in _at_the_limit("/", MAX_PATH_BYTES)]
        namespaces = [Pod(text, "pod") for text in _at_the_limit("n", MAX_NAMESPACE_BYTES)]
        names = [Pod("space", text) for text in _at_the_limit("p", MAX_POD_BYTES)]
        keys = [Metadata({text: "value"}) for text in _at_the_limit("k", MAX_METADATA_KEY_BYTES)]
        values = [Metadata({"key": text}) for text in _at_the_limit("v", MAX_METADATA_VALUE_BYTES)]
        _assert_apart(store, files, [*namespaces, *names], [*keys, *values])
        for file in files[:3]:
            assert {one.signature for one in walk(store, Query(path=file.path))} == {file.signature}
        for pod in (*namespaces[:3], *names[:3]):
            found = walk(store, Query(namespace=pod.namespace, pod=pod.name))
            assert {one.pod for one in found} == {pod}
        for metadata in (*keys[:3], *values[:3]):
            assert walk(store, Query(metadata=metadata)) == [FILE.seen(TODAY, WEB, metadata)]

    @clause("values", EXACT)
    def test_strings_that_look_alike_stay_apart_in_every_use(self, store: Store) -> None:
        put(store, FILE)
        files = [File(f"/{text}", BODY) for text in (*NASTY, *(f"{mark}a{mark}" for mark in SEPARATORS))]
        pods = [pod for text in NASTY for pod in (Pod("space", text), Pod(text, "pod"))]
        _assert_apart(store, files, pods, [])

    @clause("values", "All values are immutable, hashable and compare by their fields.")
    def test_what_is_cut_at_another_place_is_something_else(self, store: Store) -> None:
        put(store, FILE)
        hexes = BODY.content.md5.hex()
        files = [File(path, BODY) for path in (f"/a{hexes}", "/a", f"/a/{hexes}", f"/a:{hexes}", "/a/", "//a", "/a//")]
        nested = [
            (Pod("a", "b"), File("/c/d", BODY)),
            (Pod("a", "b/c"), File("/d", BODY)),
            (Pod("a/b", "c"), File("/d", BODY)),
            (Pod("", "a"), File("/b/c/d", BODY)),
            (Pod("", ""), File("/a/b/c/d", BODY)),
            (Pod("a", ""), File("/b/c/d", BODY)),
            (Pod("a", ""), File("/", BODY)),
            (Pod("", "a"), File("/", BODY)),
        ]
        references = [file.seen(TODAY, pod) for pod, file in nested]
        store.record({file.signature: file.content for _pod, file in nested}, references)
        _assert_newest(store, references)
        pods = list(dict.fromkeys(SPLIT))
        _assert_apart(store, files, pods, PAIRS, beside=references)
        for pod in (Pod("", ""), Pod("", "c"), Pod("a", ""), Pod("a", "bc"), Pod("ab", "c")):
            assert {one.pod for one in walk(store, Query(namespace=pod.namespace, pod=pod.name))} == {pod}
        for metadata in PAIRS:
            expected = [one for one in PAIRS if one.matches(metadata)]
            found = walk(store, Query(metadata=metadata, path=FILE.path))
            assert _counted(one.metadata for one in found) == _counted(expected), metadata

    @clause("values", EXACT)
    def test_strings_of_one_checksum_stay_apart(self, store: Store) -> None:
        put(store, FILE)
        texts = [text for pair in SUMMED for text in pair]
        files = [File(f"/{text}", BODY) for text in texts]
        pods = [pod for text in texts for pod in (Pod("space", text), Pod(text, "pod"))]
        tags = [metadata for text in texts for metadata in (Metadata({text: "v"}), Metadata({"k": text}))]
        _assert_apart(store, files, pods, tags)
        for one, other in SUMMED:
            assert store.claim([one.encode()], "one", 1, 100) == {one.encode()}
            assert store.claim([other.encode()], "other", 1, 100) == {other.encode()}
            assert store.claim([b"key"], one, 1, 100) == {b"key"}
            assert store.claim([b"key"], other, 1, 100) == set()
            store.release([b"key"], one)

    @clause("values.Signature", "The identity of a file version: full path and MD5 of its content")
    def test_digests_are_compared_whole_and_byte_by_byte(self, store: Store) -> None:
        contents = {}
        for number in NUMBERS:
            data = str(number).encode()
            content = content_of(data)
            contents[Signature("/digest", content.md5)] = content
            store.put(content, [data])
        store.record(contents, [Reference(signature, WEB, NO_METADATA, TODAY) for signature in contents])
        assert store.known(contents.keys()) == contents
        assert {one.signature: one.content for one in walk_files(store, Query())} == contents
        near = {Signature("/digest", md5) for signature in contents for md5 in _near(signature.md5)} - contents.keys()
        assert store.known([*near, *contents]) == contents, "a digest that is nearly one that is known is known too"
        assert store.known([Signature("/Digest", one.md5) for one in contents]) == {}
        for signature, content in contents.items():
            (found,) = walk(store, Query(md5=signature.md5))
            assert found.signature == signature
            assert list(store.read(content.sha256))
        for md5 in {one.md5 for one in list(near)[::3]} - {one.md5 for one in contents}:
            assert walk(store, Query(md5=md5)) == [], "a digest that is nearly one that is stored is found"
        some = list(contents)[::4]
        unknown = [Signature("/digest", _near(one.md5)[0]) for one in some]
        for write in (store.record, store.append):
            with pytest.raises(UnknownContent) as caught:
                write({}, [Reference(one, WEB, NO_METADATA, TODAY) for one in (*unknown, *some)])
            assert caught.value.signatures == set(unknown), "a digest that is nearly a known one was taken for it"


def _at_the_limit(first: str, most: int) -> list[str]:
    """Strings of all bytes that there may be, equal but for the last; and some that are cut or begin otherwise."""
    base = first + "x" * (most - 2)
    wide = first + "\u00e9" * ((most - 2) // 2)
    texts = [base + tail for tail in TAILS]
    texts += [base, base[:-1], f"{first} {base[2:]}z", base[:-1] + " ", f"{base[:-2]}  ", wide, f"{wide[:-1]}\u00e8"]
    texts += [wide[:-1] + "e\u0301"[: (most - len(wide[:-1].encode())) // 2]]
    assert max(len(text.encode()) for text in texts) == most
    return list(dict.fromkeys(texts))


def _near(md5: bytes) -> list[bytes]:
    """Digests that differ from one in a bit, or in what somebody might cut off, or fill up with."""
    cut = [md5.rstrip(tail).ljust(16, fill) for tail in (b"\0", b" ", b"\n", md5[-1:]) for fill in (b"\0", b" ", b"\n")]
    flipped = [
        bytes(byte ^ (bit if at == place else 0) for at, byte in enumerate(md5))
        for place in (15, 0, 7)
        for bit in (1, 128)
    ]
    as_text = [md5.swapcase(), bytes(byte ^ (1 if byte >= 0xF8 else 0) for byte in md5)]  # no UTF-8 has these bytes
    return [one for one in (*flipped, *cut, *as_text, md5[::-1]) if one not in (md5, bytes(16))]


def _assert_apart(
    store: Store,
    files: Collection[File],
    pods: Collection[Pod],
    tags: Collection[Metadata],
    beside: Collection[Reference] = (),
) -> None:
    """Files, pods and metadata are as many as they are: in references, in timelines, among what is known and newest."""
    contents = {file.signature: file.content for file in (*files, FILE)}
    references = [file.seen(TODAY) for file in files] + [FILE.seen(TODAY, pod) for pod in pods]
    # Appended at one time they keep it, unless two timelines are taken for one.
    appended = store.append(contents, references)
    for before, after in zip(references, appended, strict=True):
        assert after == before, f"{before.timeline} is taken for another timeline"
    tagged = [FILE.seen(TODAY, WEB, metadata) for metadata in tags]
    store.record(contents, [*tagged, *references, *reversed(tagged)])
    found = listing(store)
    everything = [*references, *tagged, *beside]
    missing = set(everything) - set(found)
    assert not missing, f"{len(missing)} are not there, such as {next(iter(missing))}"
    assert len(found) == len(everything), "a reference is there twice"
    known = store.known(
        [*contents, *(File(f"{file.path[:-1]}?", BODY).signature for file in files if len(file.path) > 1)]
    )
    assert {one for one in known if one in contents} == set(contents)
    assert known.keys() <= {one.signature for one in everything}, "what nobody recorded is known"
    _assert_newest(store, references)
    timelines = {one.timeline for one in everything}
    strangers = {Timeline(pod, path) for pod in pods for path in ("/likenes", "/Likeness", "/likeness ")} - timelines
    assert store.newest(list(strangers)[:1000]) == {}, "timelines that nobody recorded have a newest reference"


def _assert_newest(store: Store, references: Iterable[Reference]) -> None:
    expected = {one.timeline: one for one in references}
    found = store.newest(expected)
    for timeline, reference in expected.items():
        assert found.get(timeline) == reference, f"{timeline} has the newest reference of another timeline, or none"
    assert len(found) == len(expected)


def _counted(sets: Iterable[Metadata]) -> list[tuple[tuple[str, str], ...]]:
    return sorted(tuple(one.items()) for one in sets)
