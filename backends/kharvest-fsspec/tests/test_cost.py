"""A batch costs a request or two, however large; so do reading and asking, whatever is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from harness.buckets import WatchedBucket, X, record, seen
from harness.stores import content_of

from kharvest.spi import Query, Timeline
from kharvest_fsspec._connecting import bucket_at
from kharvest_fsspec._opening import open_bucket
from kharvest_fsspec._store import FsspecStore

MANY = 2000
DATA = {content_of(b"%d" % number): b"%d" % number for number in range(20)}
LARGE = content_of(bytes(12 * 2**20))


@pytest.fixture
def watched(url: str) -> Iterator[tuple[FsspecStore, WatchedBucket]]:
    bucket = WatchedBucket(bucket_at(url))
    with closing(open_bucket(bucket, "test")) as store:
        record(store, 1)
        for content, data in DATA.items():
            store.put(content, [data])
        store.record({}, [seen(1, pod=f"web-{number}") for number in range(MANY)])
        store._upkeep.wait()
        yield store, bucket


def requests_of(bucket: WatchedBucket, call: Callable[[], object]) -> Counter[str]:
    bucket.requests.clear()
    call()
    return Counter(bucket.requests)


@pytest.mark.slow
def test_every_method_takes_as_few_requests_for_a_large_batch(watched: tuple[FsspecStore, WatchedBucket]) -> None:
    store, bucket = watched
    references = [seen(2, pod=f"web-{number}") for number in range(MANY)]
    keys = [b"%d" % number for number in range(MANY)]
    strangers = [number.to_bytes(32) for number in range(MANY)]
    look, write = {"get": 1}, {"create": 1}
    calls: dict[str, tuple[Callable[[], object], dict[str, int]]] = {
        "record": (lambda: store.record({references[0].signature: X}, references), write),
        "record again": (lambda: store.record({}, references), look),
        "append": (lambda: store.append({}, references), write),
        "known": (lambda: store.known([one.signature for one in references]), look),
        "newest": (lambda: store.newest([Timeline(one.pod, "/etc/a") for one in references]), look),
        "references": (lambda: store.references(Query(limit=MANY)), look),
        "files": (lambda: store.files(Query(limit=MANY)), look),
        "claim": (lambda: store.claim(keys, "me", 1, 10), write),
        "claim what others hold": (lambda: store.claim(keys, "you", 1, 10), look),
        "release": (lambda: store.release(keys, "me"), write),
        "now_ns": (store.now_ns, {"now_ns": 1}),
        "present": (lambda: store.present(strangers), look),
        "contents": (lambda: list(store.contents()), look),
        "put what is there": (lambda: store.put(X, [b"x"]), look),
        "put": (lambda: store.put(content_of(b"new"), [b"new"]), {"get": 1, "upload": 1, "create": 1}),
        "put a large one": (lambda: store.put(LARGE, [bytes(LARGE.size)]), {"get": 1, "upload": 1, "create": 1}),
        "read": (lambda: list(store.read(content_of(b"new").sha256)), {"get": 1, "get_range": 1}),
        "read a large one": (lambda: list(store.read(LARGE.sha256)), {"get": 1, "get_range": 12}),
        "forget": (lambda: store.forget(Query(limit=MANY)), write),
        "discard": (lambda: store.discard([*(one.sha256 for one in DATA), *strangers]), {"create": 1, "remove": 1}),
    }
    for name, (call, expected) in calls.items():
        found = requests_of(bucket, call)
        assert found == expected, (name, found)


def test_a_query_that_follows_another_processs_writes_reads_each_once(url: str) -> None:
    bucket = WatchedBucket(bucket_at(url))
    with closing(open_bucket(bucket, "test")) as reader:
        with closing(open_bucket(bucket_at(url), "test")) as writer:
            record(writer, *range(10))
            writer._upkeep.wait()
            bucket.requests.clear()
            assert len(reader.references(Query()).items) == 10
        assert sum(bucket.requests.values()) <= 1 + 2 + 4 + 8 + 16
        bucket.requests.clear()
        reader.references(Query())
        assert bucket.requests == {"get": 1}
