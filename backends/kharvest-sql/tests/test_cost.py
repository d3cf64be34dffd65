"""What calls cost: statements for a batch, and work for a page, do not grow with what is stored."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import pytest
from harness.real import RealServers
from harness.statements import statements_executed
from sqlalchemy import event

from kharvest.spi import Content, Metadata, Order, Pod, Query, Reference, Signature, Timeline
from kharvest_sql._store import SqlStore, open_store

CONTENT = Content(sha256(b"x").digest(), md5(b"x", usedforsecurity=False).digest(), 1)


def batch_of(size: int, first: int = 0, version: int = 0) -> list[Reference]:
    md5_of_version = md5(b"%d" % version, usedforsecurity=False).digest()
    return [
        Reference(
            Signature(f"/f{n % 20}", md5_of_version),
            Pod(f"n{n // 20 % 5}", f"web-{first + n // 20}"),
            Metadata(
                {"app": f"app-{(first + n // 20) // 10}", "tier": "ab"[n // 20 % 2], "pod": f"web-{first + n // 20}"}
            ),
            version * 10**9 + first * 20 + n,
        )
        for n in range(size)
    ]


def record(store: SqlStore, batch: list[Reference]) -> None:
    files = {one.signature: replace(CONTENT, md5=one.signature.md5) for one in batch}
    store.put(CONTENT, [b"x"])
    store.record(files, batch)


CALLS: dict[str, Callable[[SqlStore, list[Reference]], object]] = {
    "record": lambda store, batch: store.record({}, [replace(one, observed_at_ns=10**12) for one in batch]),
    "record late": lambda store, batch: store.record({}, [replace(one, observed_at_ns=10**11) for one in batch]),
    "record again": lambda store, batch: store.record({}, batch),
    "known": lambda store, batch: store.known([one.signature for one in batch]),
    "newest": lambda store, batch: store.newest([Timeline(one.pod, one.signature.path) for one in batch]),
    "references": lambda store, batch: store.references(Query(limit=len(batch))),
    "files": lambda store, batch: store.files(Query(limit=len(batch))),
    "claim": lambda store, batch: store.claim([b"%d" % n for n in range(len(batch))], "me", 0, 1),
    "release": lambda store, batch: store.release([b"%d" % n for n in range(len(batch))], "me"),
    "present": lambda store, batch: store.present([sha256(b"%d" % n).digest() for n in range(len(batch))]),
    "forget": lambda store, batch: store.forget(Query(limit=len(batch))),
}


def test_a_batch_takes_as_few_statements_when_it_is_large(store: SqlStore, url: str) -> None:
    record(store, batch_of(900))
    for name, call in CALLS.items():
        counts = []
        for size in (20, 900):  # the small one first, so that it finds as much to do
            with closing(open_store(url)) as cold, statements_executed() as statements:
                call(cold, batch_of(size))
            counts.append(len(statements))
        # 900 rows are given to a statement in two parts: see `database`.
        assert counts[1] <= min(30, 2 * counts[0]), (name, counts)


def numbered(number: int) -> Content:
    data = b"%d" % number
    return Content(sha256(data).digest(), md5(data, usedforsecurity=False).digest(), len(data))


LARGE = bytes(3 * 2**20)
LARGE_CONTENT = Content(sha256(LARGE).digest(), md5(LARGE, usedforsecurity=False).digest(), len(LARGE))

CONTENT_CALLS: dict[str, Callable[[SqlStore], object]] = {
    "put small": lambda store: store.put(numbered(10**6), [b"%d" % 10**6]),
    "put what is there": lambda store: store.put(numbered(1), [b"1"]),
    "put of some chunks": lambda store: store.put(LARGE_CONTENT, [LARGE]),
    "first chunk": lambda store: next(store.read(LARGE_CONTENT.sha256)),
    "chunk in the middle": lambda store: next(store.read(LARGE_CONTENT.sha256, len(LARGE) // 2)),
    "present": lambda store: store.present([numbered(number).sha256 for number in range(900)]),
    "contents": lambda store: list(store.contents()),
    "record": lambda store: record_new(store, 900),
    "discard": lambda store: store.discard([numbered(number).sha256 for number in range(900)]),
}


def record_new(store: SqlStore, size: int) -> None:
    """References to as many files, of as many contents."""
    batch = [replace(one, signature=Signature(f"/new{n}", numbered(n).md5)) for n, one in enumerate(batch_of(size))]
    store.record({one.signature: numbered(n) for n, one in enumerate(batch)}, batch)


@pytest.mark.slow
def test_calls_of_contents_take_a_few_statements_however_many_there_are(store: SqlStore, url: str) -> None:
    for number in range(900):
        store.put(numbered(number), [b"%d" % number])
    for name, call in CONTENT_CALLS.items():
        with closing(open_store(url)) as cold, statements_executed() as statements:
            call(cold)
        # Bodies are removed 64 to a transaction of five statements, so that none grows with the batch.
        most = 80 if name == "discard" else 30
        assert len(statements) <= most, (name, len(statements), statements[:10])


def test_each_chunk_takes_as_few_statements_in_a_large_content(store: SqlStore) -> None:
    counts: list[int] = []
    for size in (8, 32):
        data = bytes([size]) * (size * 2**20)
        content = Content(sha256(data).digest(), md5(data, usedforsecurity=False).digest(), len(data))
        with statements_executed() as putting:
            store.put(content, [data])
        with statements_executed() as reading:
            chunks = sum(1 for _ in store.read(content.sha256))
        assert len(putting) <= 4 * chunks + 30
        assert len(reading) <= 3 * chunks + 5
        counts.append(len(putting))
    assert counts[1] <= 4 * counts[0], "large contents take more for each chunk"


QUERIES = {
    "time": Query(since_ns=5_000),
    "newest first": Query(order=Order.NEWEST_FIRST),
    "pod": Query(namespace="n3", pod="web-3"),
    "pod name": Query(pod="web-3"),
    "path": Query(path="/f7"),
    "file": Query(path="/f7", md5=batch_of(1, 0, 2)[0].signature.md5),
    "md5": Query(md5=batch_of(1, 0, 2)[0].signature.md5),
    "rare pair": Query(metadata=Metadata({"app": "app-1"})),
    "common pair": Query(metadata=Metadata({"tier": "b"})),
    "latest by path": Query(path="/f7", latest=True),
    "latest by pod": Query(namespace="n3", pod="web-3", latest=True),
    "latest by pair": Query(metadata=Metadata({"app": "app-1"}), latest=True),
    "latest by common pair": Query(metadata=Metadata({"tier": "b"}), latest=True),
    "two pairs": Query(metadata=Metadata({"app": "app-1", "tier": "b"})),
    "latest": Query(latest=True),
}


def test_a_page_takes_a_few_statements_whatever_leads_to_it(store: SqlStore) -> None:
    for first in range(0, 180, 45):  # 180 pods, so as many sets of metadata
        record(store, batch_of(900, first, 2))
    for name, query in QUERIES.items():
        for order in Order:
            with statements_executed() as statements:
                store.references(replace(query, order=order, limit=20))
            assert len(statements) <= 14, (name, statements)
        with statements_executed() as statements:
            store.files(replace(query, limit=20))
        assert len(statements) <= 12, (name, statements)


def work_of(store: SqlStore, query: Query) -> int:
    """Steps of SQLite's virtual machine, in hundreds: what no other process on the machine can change."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    def watch(connection: sqlite3.Connection, *_others: object) -> None:
        connection.set_progress_handler(step, 100)

    engine = store._references_database._engine  # type: ignore[attr-defined]
    event.listen(engine, "checkout", watch)
    try:
        page = store.references(query)
    finally:
        event.remove(engine, "checkout", watch)
    assert page.items
    return steps


@pytest.mark.slow
@pytest.mark.parametrize("limit", [20])
def test_a_page_takes_as_much_work_in_a_long_history(tmp_path: Path, limit: int) -> None:
    work: dict[str, list[int]] = {name: [] for name in QUERIES}
    for pods in (200, 2_000):
        with closing(open_store(f"sqlite:///{tmp_path}/{pods}.db")) as store:
            for version in range(3):
                for first in range(0, pods, 200):
                    record(store, batch_of(4_000, first, version))
            for name, query in QUERIES.items():
                work[name].append(work_of(store, replace(query, limit=limit)))
    grown = {name: counts for name, counts in work.items() if counts[1] > 1.5 * counts[0] + 80}
    assert grown == {}, work


def test_forgetting_takes_as_much_work_beside_a_busy_path(tmp_path: Path) -> None:
    pod = Pod("shop", "web-0")
    files = [Reference(Signature(f"/f{number}", CONTENT.md5), pod, Metadata(), 1) for number in range(400)]
    work = []
    for changes in (10, 3_000):
        busy = [Reference(Signature("/busy", CONTENT.md5), pod, Metadata(), 2 + at) for at in range(changes)]
        with closing(open_store(f"sqlite:///{tmp_path}/{changes}.db")) as store:
            record(store, [*files, *busy])
            steps: list[int] = []

            def step(steps: list[int] = steps) -> int:
                steps.append(0)
                return 0

            driver: Any = store._references_database._writer.connection.driver_connection  # type: ignore[attr-defined]
            driver.set_progress_handler(step, 100)
            assert store.forget(Query(until_ns=2)) == len(files)
            work.append(len(steps))
    assert work[1] <= 1.5 * work[0] + 80, work


def test_calls_on_postgresql_take_few_round_trips(real_servers: RealServers, monkeypatch: pytest.MonkeyPatch) -> None:
    from kharvest_sql._postgresql import BoundedConnection  # noqa: PLC0415  it imports the driver

    batch = batch_of(1)
    calls: dict[str, tuple[int, Callable[[SqlStore], object]]] = {
        "present": (1, lambda store: store.present([CONTENT.sha256])),
        "contents": (1, lambda store: list(store.contents())),
        "now_ns": (1, lambda store: store.now_ns()),
        "read": (2, lambda store: list(store.read(CONTENT.sha256))),
        "known": (2, lambda store: store.known([batch[0].signature])),
        "newest": (3, lambda store: store.newest([batch[0].timeline])),
        "references": (3, lambda store: store.references(Query())),
        "claim": (4, lambda store: store.claim([b"key"], "me", 0, 10)),
        "claim that is refused": (4, lambda store: store.claim([b"key"], "you", 0, 10)),
    }
    waits: list[object] = []
    wait = BoundedConnection.wait

    def waiting(self: BoundedConnection, *args: Any, **kwargs: Any) -> Any:
        waits.append(args)
        return wait(self, *args, **kwargs)

    with real_servers.get("postgresql").place() as place, closing(open_store(place)) as store:
        record(store, batch)
        for _most, call in calls.values():  # what is asked for the first time is looked up
            call(store)
        store.release([b"key"], "me")
        monkeypatch.setattr(BoundedConnection, "wait", waiting)
        found = {}
        for name, (_most, call) in calls.items():
            waits.clear()
            call(store)
            found[name] = len(waits)
    assert found == {name: most for name, (most, _call) in calls.items()}


@pytest.mark.slow
def test_what_is_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kharvest_sql._remembered._BYTES_EACH", 20_000)
    with closing(open_store(f"sqlite:///{tmp_path}/k.db")) as store:
        for first in range(0, 2_000, 100):
            record(store, batch_of(2_000, first))
        remembered = store._memory._current
        for recent in (remembered.pods, remembered.metadata, remembered.metadata_by_id):
            assert len(recent._young) + len(recent._old) < 200
        assert len(store.newest([Timeline(Pod("n0", "web-0"), "/f1")])) == 1
