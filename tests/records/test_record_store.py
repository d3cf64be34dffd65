"""What the record layer promises beside the store contract: nothing is left behind, and commits that meet go on."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest

from kharvest.records import MemoryEngine, RecordStore, View
from kharvest.records import _commits as commits
from kharvest.records import _keys as keys
from kharvest.records import _plans as plans
from kharvest.records import _signatures as signatures
from kharvest.spi import (
    REMOVED,
    Conflict,
    Content,
    IncompatibleSchema,
    Metadata,
    Order,
    Pod,
    Query,
    Reference,
    Signature,
    StoreCorrupt,
    StoreUnavailable,
    UnknownContent,
)


class Watched(MemoryEngine):
    """An engine that counts commits, and does something of somebody else's just before one."""

    def __init__(self) -> None:
        super().__init__()
        self.refused = 0
        self.before: Callable[[], object] | None = None

    def commit(
        self, expected: Mapping[bytes, bytes | None], puts: Mapping[bytes, bytes], deletes: Collection[bytes]
    ) -> bool:
        if self.before is not None:
            act, self.before = self.before, None
            act()
        done = super().commit(expected, puts, deletes)
        self.refused += not done
        return done

    def everything(self) -> dict[bytes, bytes]:
        with self.view() as view:
            return dict(view.scan(b"\0", b"\xff" * 300, limit=10**6))


PATH = "/etc/application.conf"
LONG = "/" + "directory/" * 100


def file(path: str, data: bytes = b"1") -> tuple[Signature, Content]:
    md5 = hashlib.md5(data, usedforsecurity=False).digest()
    return Signature(path, md5), Content(hashlib.sha256(data).digest(), md5, len(data))


def reference(signature: Signature, pod: str = "pod", at_ns: int = 1, **metadata: str) -> Reference:
    return Reference(signature, Pod("default", pod), Metadata(metadata), at_ns)


@pytest.fixture
def engine() -> Watched:
    return Watched()


@pytest.fixture
def store(engine: Watched) -> RecordStore:
    return RecordStore(engine)


def test_nothing_is_left_of_what_was_forgotten(engine: Watched, store: RecordStore) -> None:
    for path in (PATH, LONG, f"{LONG}a", f"{LONG}b"):
        signature, content = file(path)
        some = [reference(signature, pod, at_ns, app=pod) for pod in ("a", "b") for at_ns in (1, 2)]
        gone = [reference(Signature(path, REMOVED), pod, 3) for pod in ("a", "b")]
        store.record({signature: content}, [*some, *gone])
    assert store.forget(Query(limit=10, order=Order.NEWEST_FIRST)) == 10
    assert store.forget(Query()) == 14
    assert engine.everything().keys() == {keys.FORMAT}


def test_pods_that_record_one_file_do_not_meet(engine: Watched, store: RecordStore) -> None:
    signature, content = file(LONG)
    store.record({signature: content}, [reference(signature, "first", app="web")])
    engine.before = lambda: store.append({}, [reference(signature, "second", app="web")])
    store.append({}, [reference(signature, "third", app="web")])
    assert engine.refused == 0
    assert len(store.references(Query(latest=True)).items) == 3


@pytest.mark.parametrize("path", [PATH, LONG])
def test_a_file_that_is_recorded_while_it_is_forgotten_stays_known(
    engine: Watched, store: RecordStore, path: str
) -> None:
    signature, content = file(path)

    def record(pod: str) -> None:
        store.record({signature: content}, [reference(signature, pod, app="web")])

    record("first")
    engine.before = lambda: record("second")  # before the file is marked
    assert store.forget(Query(pod="first")) == 1
    assert store.known([signature]) == {signature: content}

    def let_mark() -> None:
        engine.before = lambda: record("third")  # after it was marked, before it is deleted

    engine.before = let_mark
    assert store.forget(Query(pod="second")) == 1
    assert store.known([signature]) == {signature: content}
    assert [one.pod.name for one in store.references(Query(metadata=Metadata({"app": "web"}))).items] == ["third"]
    assert [one.signature for one in store.files(Query()).items] == [signature]


@pytest.mark.parametrize("path", [PATH, LONG])
def test_a_file_whose_references_are_forgotten_at_once_is_not_known(
    engine: Watched, store: RecordStore, path: str
) -> None:
    signature, content = file(path)
    store.record({signature: content}, [reference(signature, pod, app="web") for pod in ("first", "second")])
    engine.before = lambda: store.forget(Query(pod="second"))
    assert store.forget(Query(pod="first")) == 1
    assert store.known([signature]) == {}
    assert engine.everything().keys() == {keys.FORMAT}


def test_a_reference_is_forgotten_once_and_the_one_before_it_is_the_newest(engine: Watched, store: RecordStore) -> None:
    signature, content = file(PATH)
    store.record({signature: content}, [reference(signature, at_ns=at_ns) for at_ns in (1, 2, 3)])
    engine.before = lambda: store.forget(Query(since_ns=2, until_ns=3))
    assert store.forget(Query(since_ns=2)) == 1
    (newest,) = store.newest([reference(signature).timeline]).values()
    assert newest.observed_at_ns == 1
    assert store.references(Query(latest=True)).items == (newest,)


@pytest.mark.parametrize("first", [1, 2])
def test_forgetting_the_newest_beside_the_one_before_it_leaves_no_head(
    engine: Watched, store: RecordStore, first: int
) -> None:
    # Of two files with metadata of their own, which others have, too: the two have no row in common that changes.
    made = [file(PATH, data) for data in (b"1", b"2")]
    others = [reference(made[at][0], "other", at_ns=at + 1, app=f"{at}") for at in (0, 1)]
    store.record(dict(made), others)
    store.record(dict(made), [reference(made[at][0], at_ns=at + 1, app=f"{at}") for at in (0, 1)])
    engine.before = lambda: store.forget(Query(pod="pod", since_ns=3 - first, until_ns=4 - first))
    assert store.forget(Query(pod="pod", since_ns=first, until_ns=first + 1)) == 1
    assert store.newest([reference(made[0][0]).timeline]) == {}
    again = Watched()
    RecordStore(again).record(dict(made), others)
    assert engine.everything().keys() == again.everything().keys()


def test_appending_beside_forgetting_what_is_old_makes_neither_wait(engine: Watched, store: RecordStore) -> None:
    signature, content = file(PATH)
    store.record({signature: content}, [reference(signature, at_ns=at_ns) for at_ns in (1, 2, 3)])
    engine.before = lambda: store.append({}, [reference(signature)])
    assert store.forget(Query(until_ns=3)) == 2
    assert engine.refused == 0


def test_a_file_that_is_forgotten_while_it_is_recorded_is_sent_again(engine: Watched, store: RecordStore) -> None:
    signature, content = file(PATH)
    store.record({signature: content}, [reference(signature, "first")])
    engine.before = lambda: store.forget(Query())
    store.record({signature: content}, [reference(signature, "second")])
    assert engine.refused == 1
    assert store.known([signature]) == {signature: content}


def test_a_batch_is_recorded_whole_when_a_part_that_was_there_is_forgotten(engine: Watched, store: RecordStore) -> None:
    (old, old_content), (new, new_content) = file(PATH), file(LONG)
    there, added = reference(old, "first", app="old"), reference(new, "second", app="new")
    store.record({old: old_content}, [there])
    engine.before = lambda: store.forget(Query())
    store.record({old: old_content, new: new_content}, [there, added])
    assert set(store.references(Query()).items) == {there, added}


def test_a_late_reference_that_comes_while_the_newest_is_forgotten_is_the_newest(
    engine: Watched, store: RecordStore
) -> None:
    signature, content = file(PATH)
    store.record({signature: content}, [reference(signature, at_ns=9), reference(signature, at_ns=1)])
    engine.before = lambda: store.record({}, [reference(signature, at_ns=5)])
    assert store.forget(Query(since_ns=9)) == 1
    (newest,) = store.newest([reference(signature).timeline]).values()
    assert newest.observed_at_ns == 5
    assert store.references(Query(latest=True)).items == (newest,)


def test_recording_the_same_again_commits_nothing(engine: Watched, store: RecordStore) -> None:
    signature, content = file(PATH)
    some = [reference(signature, at_ns=at_ns) for at_ns in (1, 2, 3)]
    store.record({signature: content}, some)
    before = engine.everything()
    store.record({signature: content}, some)
    assert engine.everything() == before


def test_threads_that_append_to_one_timeline_all_succeed(store: RecordStore) -> None:
    signature, content = file(PATH)
    start = threading.Barrier(8)

    def append(_number: int) -> None:
        start.wait()
        for _ in range(20):
            store.append({signature: content}, [reference(signature)])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(append, range(8)))
    assert [one.observed_at_ns for one in store.references(Query()).items] == list(range(1, 161))


def test_a_call_that_never_gets_its_turn_ends(store: RecordStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(MemoryEngine, "commit", lambda *_arguments: False)
    with pytest.raises(StoreUnavailable, match="try again"):
        store.claim([b"key"], "holder", 0, 1)


def test_calls_that_wait_for_their_turn_wait_no_longer_than_one_that_has_it(
    store: RecordStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[float] = []
    monkeypatch.setattr(commits, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(MemoryEngine, "commit", lambda *_arguments: False)

    def claim(number: int) -> None:
        with pytest.raises(StoreUnavailable, match="try again"):
            store.claim([b"key"], f"holder {number}", 0, 1)
        ended.append(time.monotonic())

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(claim, range(8)))
    assert max(ended) - min(ended) < 4  # one after the other, they take 7 s


def damages(row: bytes) -> Iterator[bytes | None]:
    """What a damaged disk leaves of a row."""
    yield None
    yield b""
    for cut in {1, 8, 9, 24, len(row) // 2, len(row) - 1}:
        yield row[:cut]
    yield b"\xff" * len(row)
    yield bytes(len(row))


@pytest.mark.slow
def test_damaged_rows_are_reported_as_such(engine: Watched, store: RecordStore) -> None:
    contents = dict(file(path) for path in (PATH, LONG))
    some = [reference(signature, pod, at, app=pod) for signature in contents for pod in ("a", "b") for at in (1, 3)]
    big = Metadata({f"key-{number:02}": "v" * 4000 for number in range(20)})
    store.record(contents, [*some, replace(some[0], metadata=big, observed_at_ns=2)])
    store.claim([b"key"], "holder", 0, 10)
    whole = engine.everything()
    calls: list[Callable[[RecordStore], object]] = [
        lambda one: one.references(Query()),
        lambda one: one.references(Query(latest=True, until_ns=3)),
        lambda one: one.references(Query(metadata=Metadata({"app": "a"}))),
        lambda one: one.files(Query()),
        lambda one: one.known(contents),
        lambda one: one.newest([reference.timeline for reference in some]),
        lambda one: one.claim([b"key"], "holder", 0, 10),
        lambda one: one.release([b"key"], "holder"),
        lambda one: one.append(contents, some),
        lambda one: one.record(contents, [replace(some[0], observed_at_ns=9)]),
        lambda one: one.forget(Query(pod="a")),
    ]
    reported = 0
    for key, row in whole.items():
        for damaged in damages(row):
            for call in calls:
                engine = Watched()
                rows = {**whole, key: damaged}
                engine.commit({}, {name: value for name, value in rows.items() if value is not None}, ())
                try:
                    call(RecordStore(engine))
                except (StoreCorrupt, Conflict, UnknownContent, IncompatibleSchema):
                    reported += 1
    assert reported > 100


def test_rows_of_another_version_are_refused(engine: Watched) -> None:
    engine.commit({}, {keys.FORMAT: b"99"}, ())
    with pytest.raises(IncompatibleSchema) as caught:
        RecordStore(engine)
    assert caught.value.found == 99


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_calls_that_come_between_others_leave_the_rows_that_what_is_there_needs(seed: int) -> None:
    dice = random.Random(seed)
    engine = Watched()
    store = RecordStore(engine)
    paths = [PATH, LONG, f"{LONG}a"]
    contents = dict(file(path, data) for path in paths for data in (b"1", b"2"))
    signatures_ = [*contents, *(Signature(path, REMOVED) for path in paths)]

    def some() -> list[Reference]:
        return [
            reference(dice.choice(signatures_), dice.choice("ab"), dice.randint(1, 6), app=dice.choice("xy"))
            for _ in range(dice.randint(1, 3))
        ]

    def act(depth: int) -> None:
        if depth < 3 and dice.random() < 0.7:
            engine.before = lambda: act(depth + 1)
        match dice.randrange(5):
            case 0 | 1:
                store.record(contents, some())
            case 2:
                store.append(contents, some())
            case 3:
                since = dice.randint(0, 5)
                store.forget(Query(since_ns=since, until_ns=since + dice.randint(1, 4), limit=dice.randint(1, 4)))
            case _:
                store.forget(
                    Query(path=dice.choice(paths), pod=dice.choice(["a", "b", None]), latest=dice.random() < 0.3)
                )
        engine.before = None

    for _ in range(60):
        act(0)
        there = store.references(Query()).items
        again = Watched()
        RecordStore(again).record(contents, there)
        assert engine.everything().keys() == again.everything().keys()
        heads = [
            {key: row[: keys.RANK_BYTES] for key, row in one.everything().items() if key.startswith(b"H")}
            for one in (engine, again)
        ]
        assert heads[0] == heads[1]
    assert engine.refused > 5


class Counting(MemoryEngine):
    """An engine that counts the rows that views give."""

    rows = 0

    @contextmanager
    def view(self) -> Iterator[View]:  # type: ignore[override]
        with super().view() as view:
            yield _CountingView(self, view)


class _CountingView:
    def __init__(self, engine: Counting, view: View) -> None:
        self._engine = engine
        self._view = view

    def get(self, keys: Collection[bytes]) -> dict[bytes, bytes]:
        found = self._view.get(keys)
        self._engine.rows += len(found)
        return found

    def scan(self, start: bytes, end: bytes, *, reverse: bool = False, limit: int) -> list[tuple[bytes, bytes]]:
        rows = list(self._view.scan(start, end, reverse=reverse, limit=limit))
        self._engine.rows += len(rows)
        return rows


@pytest.fixture(scope="module")
def counted() -> Counting:
    """An engine with 3,000 references: 500 pods take turns in changing one of 3 files each time."""
    engine = Counting()
    store = RecordStore(engine)
    for number in range(0, 3000, 500):
        made = [(file(f"/path-{one % 3}", b"%d" % (one % 500)), one) for one in range(number, number + 500)]
        references = [
            reference(signature, f"pod-{one % 500}", one, app=f"app-{one % 500}", zone="one")
            for (signature, _content), one in made
        ]
        store.record(dict(one for one, _number in made), references)
    return engine


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize(
    "query",
    [
        Query(pod="pod-7"),
        Query(namespace="default", pod="pod-7", path="/path-1"),
        Query(md5=file("/path-1", b"7")[0].md5),
        Query(path="/path-1", md5=file("/path-1", b"7")[0].md5),
        Query(metadata=Metadata({"app": "app-7"})),
        Query(metadata=Metadata({"app": "app-7", "zone": "one"})),
        Query(path_prefix="/path-1", pod="pod-7"),
        Query(since_ns=1000, until_ns=1010),
        Query(latest=True, pod="pod-7"),
        Query(latest=True, path="/path-1", pod="pod-7"),
        Query(latest=True, metadata=Metadata({"app": "app-7"})),
        Query(path_prefix="/path-2"),
        Query(latest=True, until_ns=2995),
        Query(latest=True, until_ns=2995, pod="pod-7"),
        Query(latest=True, until_ns=2995, metadata=Metadata({"app": "app-7"})),
        Query(latest=True, until_ns=2500, path="/path-1", pod="pod-7"),
    ],
)
def test_a_page_reads_about_as_many_rows_as_it_shows(counted: Counting, query: Query, order: Order) -> None:
    store = RecordStore(counted)
    counted.rows = 0
    shown = store.references(replace(query, order=order, limit=10)).items
    assert shown
    assert counted.rows <= 150


@pytest.mark.slow
@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("until_ns", [1, 700, 1500, 2400, 2990, 3000])
def test_what_pods_held_at_a_time_is_the_same_by_either_way(
    counted: Counting, until_ns: int, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RecordStore(counted)
    for narrow in ({}, {"pod": "pod-7"}, {"path": "/path-1"}, {"path_prefix": "/path"}, {"since_ns": until_ns // 2}):
        query = Query(latest=True, until_ns=until_ns, order=order, limit=10_000, **narrow)
        quick = store.references(query).items
        with monkeypatch.context() as patched:
            patched.setattr(plans, "MOST_REPLACED", 0)
            assert store.references(query).items == quick
        every = store.references(replace(query, latest=False, order=Order.OLDEST_FIRST, since_ns=None)).items
        newest = {one.timeline: one for one in every}.values()
        assert set(quick) == {one for one in newest if one.observed_at_ns >= (query.since_ns or 0)}


def test_ways_to_long_paths_are_not_paths() -> None:
    assert [len(way.key) for way in signatures.ways_to(LONG)] == [273, 273, 273]
