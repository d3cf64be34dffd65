"""Every query gives what the contract says, also of timelines that grow in the middle and lose what is in them."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from harness.stores import all_files, all_references, content_of, record, reference

from kharvest.spi import REMOVED, InvalidCursor, Metadata, Order, Pod, Query, Reference, Signature, Timeline
from kharvest_mongo.store import MongoStore, open_store

NASTY = ["/a", "/A", "/a ", "/á", "/a\u0301", "/%", "/_", "/'\"\\", "/\U0001f600", "/\ufeff", "/a\n", "/" + "x" * 254]
NASTY += ["/" + "y" * 4094 + end for end in "ab"] + ["/" + "é" * 2000 + end for end in "ab"]
NASTY += ["/$a.b", "/a.$b", "/\ud7ff", "/\ue000", "/\U0010ffff", "/\U0010ffff\U0010ffff"]
PREFIXES = ["/a", "/\U0001f600", "/é", "/" + "y" * 4094, "/" + "é" * 2000, "/%", "/\ud7ff", "/\U0010ffff", "/", ""]


def test_strings_are_exact_and_ordered_by_code_point(store: MongoStore) -> None:
    batch = [replace(reference(n, path), metadata=Metadata({path[:60]: path})) for n, path in enumerate(NASTY)]
    record(store, *batch)
    assert store.references(Query()).items == tuple(batch)
    for one in batch:
        assert store.references(Query(path=one.signature.path)).items == (one,)
        assert store.references(Query(metadata=one.metadata)).items == (one,)
    assert [one.signature.path for one in all_files(store, Query(limit=3))] == sorted(NASTY)
    for prefix in PREFIXES:
        expected = sorted(path for path in NASTY if path.startswith(prefix))
        assert sorted(one.signature.path for one in store.references(Query(path_prefix=prefix)).items) == expected
        assert [one.signature.path for one in all_files(store, Query(path_prefix=prefix, limit=5))] == expected
        newest = store.references(Query(path_prefix=prefix, latest=True)).items
        assert sorted(one.signature.path for one in newest) == expected


def test_cursors_of_the_other_kind_are_refused(store: MongoStore) -> None:
    record(store, *(reference(time, path=f"/{time}") for time in range(3)))
    with pytest.raises(InvalidCursor):
        store.files(Query(limit=1, cursor=store.references(Query(limit=1)).next_cursor))
    with pytest.raises(InvalidCursor):
        store.references(Query(limit=1, cursor=store.files(Query(limit=1)).next_cursor))


class Model:
    """What the contract says of references, as plainly as can be. Ties come in the order the store gives them."""

    def __init__(self, in_order: list[Reference]) -> None:
        self.in_order = in_order

    def matching(self, query: Query) -> list[Reference]:
        before = [one for one in self.in_order if query.until_ns is None or one.observed_at_ns < query.until_ns]
        if query.latest:
            newest = {one.timeline: index for index, one in enumerate(before)}
            before = [before[index] for index in sorted(newest.values())]
        found = [
            one
            for one in before
            if (query.path is None or one.signature.path == query.path)
            and (query.path_prefix is None or one.signature.path.startswith(query.path_prefix))
            and (query.md5 is None or one.signature.md5 == query.md5)
            and (query.namespace is None or one.pod.namespace == query.namespace)
            and (query.pod is None or one.pod.name == query.pod)
            and (query.since_ns is None or one.observed_at_ns >= query.since_ns)
            and one.metadata.matches(query.metadata)
        ]
        return found if query.order is Order.OLDEST_FIRST else found[::-1]

    def files(self, query: Query) -> list[tuple[Signature, int, int, int]]:
        found = self.matching(replace(query, order=Order.OLDEST_FIRST))
        summaries = []
        for signature in sorted({one.signature for one in found if not one.signature.is_removal}):
            named = [one for one in found if one.signature == signature]
            times = [one.observed_at_ns for one in named]
            summaries.append((signature, len({one.pod for one in named}), min(times), max(times)))
        return summaries


def random_reference(random: Random) -> Reference:
    data = random.choice([b"x", b"y", b"z", None])
    path = random.choice(["/etc/a", "/etc/b", "/var/c"])
    labels = {key: random.choice("uv") for key in random.sample(["app", "zone"], random.randrange(3))}
    return Reference(
        Signature(path, REMOVED if data is None else content_of(data).md5),
        Pod(random.choice(["n1", "n2"]), random.choice(["p1", "p2"])),
        Metadata(labels),
        random.randrange(12),
    )


def random_query(random: Random) -> Query:
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


def check(store: MongoStore, random: Random, queries: int) -> None:
    model = Model(all_references(store, Query()))
    times = [one.observed_at_ns for one in model.in_order]
    assert times == sorted(times)
    for _ in range(queries):
        query = random_query(random)
        assert all_references(store, query) == model.matching(query), query
        found = all_files(store, query)
        summaries = [(one.signature, one.pods, one.first_seen_ns, one.last_seen_ns) for one in found]
        assert summaries == model.files(query), query
    newest = {one.timeline: one for one in model.in_order}
    assert store.newest([*newest, Timeline(Pod("no", "body"), "/etc/a")]) == newest
    named = {one.signature for one in model.in_order if not one.signature.is_removal}
    asked = {Signature(path, content_of(data).md5) for path in ("/etc/a", "/etc/b", "/var/c") for data in (b"x", b"y")}
    assert store.known(asked).keys() == asked & named


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("narrow", [False, True], ids=["one window", "many windows"])
def test_every_query_gives_what_the_contract_says(
    store: MongoStore, url: str, seed: int, narrow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if narrow:
        monkeypatch.setattr("kharvest_mongo.pages._FIRST_WINDOW_PAGES", 0)
        monkeypatch.setattr("kharvest_mongo.pages._GROWTH", 2)
        monkeypatch.setattr("kharvest_mongo.pages._LOOKED_AT", 3)
        monkeypatch.setattr("kharvest_mongo.summaries._FILES_OF_PODS_AT_ONCE", 2)
    # Keys are taken away, and what was removed is purged, as soon as that may be.
    monkeypatch.setattr("kharvest_mongo.batches.SLACK", 1)
    monkeypatch.setattr("kharvest_mongo.batches.REMOVAL_SLACK", 1)
    random = Random(seed)
    contents = {content_of(data).md5: content_of(data) for data in (b"x", b"y", b"z")}
    for data in (b"x", b"y", b"z"):
        store.put(content_of(data), [data])
    other = open_store(url)
    expected: set[Reference] = set()
    for step in range(8):
        through = random.choice([store, other])
        batch = [random_reference(random) for _ in range(random.choice([1, 5, 30]))]
        files = {one.signature: contents[one.signature.md5] for one in batch if not one.signature.is_removal}
        through.record(files, batch)
        expected |= set(batch)
        if step % 3 == 2:
            query = replace(random_query(random), limit=random.choice([1, 7]))
            doomed = Model(all_references(store, Query())).matching(query)[: query.limit]
            assert through.forget(query) == len(doomed)
            expected -= set(doomed)
        found = all_references(store, Query(limit=7))
        assert len(found) == len(expected)
        assert set(found) == expected
        check(random.choice([store, other]), random, 6)
    while store.forget(Query(limit=50)):
        pass
    assert all_references(other, Query()) == []
    assert all_files(other, Query()) == []
    other.close()
