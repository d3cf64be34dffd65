"""What every query of a store must answer, by the conformance suite's model: of nasty strings, and of random histories.

For a store's own tests, which turn its inner limits down and then look at every branch.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from harness.stores import all_files, all_references, content_of, record, reference
from kharvest.spi import REMOVED, Metadata, Order, Pod, Query, Reference, Signature, Store, Timeline
from kharvest_conformance._model import matching, newest, summaries

_NASTY = ["/a", "/A", "/a ", "/á", "/a\u0301", "/%", "/_", "/'\"\\", "/\U0001f600", "/\ufeff", "/a\n", "/" + "x" * 254]
_NASTY += ["/" + "y" * 4094 + end for end in "ab"] + ["/" + "é" * 2000 + end for end in "ab"]
_NASTY += ["/$a.b", "/a.$b", "/\ud7ff", "/\ue000", "/\U0010ffff", "/\U0010ffff\U0010ffff"]
_PREFIXES = ["/a", "/\U0001f600", "/é", "/" + "y" * 254, "/" + "y" * 4094, "/" + "é" * 127, "/" + "é" * 2000]
_PREFIXES += ["/%", "/\ud7ff", "/\U0010ffff", "/", ""]

_CONTENTS = {content_of(data).md5: content_of(data) for data in (b"x", b"y", b"z")}
_PATHS = ("/etc/a", "/etc/b", "/var/c")


def check_strings(store: Store) -> None:
    """In an empty store: strings are exact, and ordered by code point."""
    batch = [replace(reference(n, path), metadata=Metadata({path[:60]: path})) for n, path in enumerate(_NASTY)]
    record(store, *batch)
    assert store.references(Query()).items == tuple(batch)
    for one in batch:
        assert store.references(Query(path=one.signature.path)).items == (one,)
        assert store.references(Query(metadata=one.metadata)).items == (one,)
    assert [one.signature.path for one in all_files(store, Query(limit=3))] == sorted(_NASTY)
    for prefix in _PREFIXES:
        expected = sorted(path for path in _NASTY if path.startswith(prefix))
        assert sorted(one.signature.path for one in store.references(Query(path_prefix=prefix)).items) == expected
        assert [one.signature.path for one in all_files(store, Query(path_prefix=prefix, limit=5))] == expected
        latest = store.references(Query(path_prefix=prefix, latest=True)).items
        assert sorted(one.signature.path for one in latest) == expected


def check_history(store: Store, other: Store, random: Random) -> None:
    """Record and forget at random through two handles on an empty store, and ask all kinds of questions; empty it."""
    for data in (b"x", b"y", b"z"):
        store.put(content_of(data), [data])
    expected: set[Reference] = set()
    for step in range(8):
        through = random.choice([store, other])
        batch = [_random_reference(random) for _ in range(random.choice([1, 5, 30]))]
        files = {one.signature: _CONTENTS[one.signature.md5] for one in batch if not one.signature.is_removal}
        through.record(files, batch)
        expected |= set(batch)
        if step % 3 == 2:
            query = replace(_random_query(random), limit=random.choice([1, 7]))
            doomed = matching(all_references(store, Query()), query)[: query.limit]
            assert through.forget(query) == len(doomed)
            expected -= set(doomed)
        found = all_references(store, Query(limit=7))
        assert len(found) == len(expected)
        assert set(found) == expected
        check_queries(random.choice([store, other]), random, 6)
    while store.forget(Query(limit=50)):
        pass
    assert all_references(other, Query()) == []
    assert all_files(other, Query()) == []


def check_queries(store: Store, random: Random, queries: int) -> None:
    """What is asked of references fits to their listing, which is in the order of time."""
    listing = all_references(store, Query())
    times = [one.observed_at_ns for one in listing]
    assert times == sorted(times)
    signatures = {Signature(path, md5) for path in _PATHS for md5 in _CONTENTS}
    named = {one.signature for one in listing}
    files = store.known(signatures)
    assert files == {signature: _CONTENTS[signature.md5] for signature in signatures & named}
    for _ in range(queries):
        query = _random_query(random)
        expected = matching(listing, query)
        assert all_references(store, query) == expected, query
        assert all_files(store, query) == summaries(expected, files), query
    last = newest(listing)
    assert store.newest([*last, Timeline(Pod("no", "body"), "/etc/a")]) == last


def _random_reference(random: Random) -> Reference:
    labels = {key: random.choice("uv") for key in random.sample(["app", "zone"], random.randrange(3))}
    return Reference(
        Signature(random.choice(_PATHS), random.choice([*_CONTENTS, REMOVED])),
        Pod(random.choice(["n1", "n2"]), random.choice(["p1", "p2"])),
        Metadata(labels),
        random.randrange(12),
    )


def _random_query(random: Random) -> Query:
    def maybe(*values: object) -> object:
        return random.choice([None, *values])

    since, until = sorted([random.randrange(13), random.randrange(13)])
    asked: dict[str, object] = {
        "namespace": maybe("n1", "n3"),
        "pod": maybe("p1"),
        "md5": maybe(content_of(b"x").md5, REMOVED),
        "metadata": Metadata({"app": "u"} if random.random() < 0.3 else {}),
        "since_ns": maybe(since),
        "until_ns": maybe(until),
        "latest": random.random() < 0.5,
        "order": random.choice(list(Order)),
        "limit": random.choice([1, 2, 5, 100]),
    }
    asked |= random.choice([{}, {"path": "/etc/a"}, {"path_prefix": "/etc/"}, {"path_prefix": "/"}])
    return Query(**asked)  # type: ignore[arg-type]
