"""A server that goes away is told as such by every call, and the same store works when it is back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from random import Random

import pytest
from harness.real import RealServer
from harness.real.postgresql import PostgreSQL
from harness.stores import content_of, reference
from sqlalchemy import create_engine

from kharvest.spi import (
    Pod,
    Query,
    Reference,
    StoreDenied,
    StoreUnavailable,
    Timeline,
)
from kharvest_sql._store import SqlStore, open_references, open_store

BIG = Random(1).randbytes(12 * 2**20)
PATIENCE_SECONDS = 60.0
X = content_of(b"x")


def fill(store: SqlStore) -> list[Reference]:
    batch = [reference(time_ns) for time_ns in range(1, 6)]
    store.put(X, [b"x"])
    store.put(content_of(BIG), [BIG])
    store.record({batch[0].signature: X}, batch)
    return batch


def everything(store: SqlStore, query: Query) -> list[Reference]:
    page = store.references(query)
    found = [*page.items]
    while page.next_cursor is not None:
        page = store.references(replace(query, cursor=page.next_cursor))
        found += page.items
    return found


CALLS: dict[str, Callable[[SqlStore], object]] = {
    "put": lambda store: store.put(content_of(b"new"), [b"new"]),
    "put large": lambda store: store.put(content_of(BIG[1:]), [BIG[1:]]),
    "read": lambda store: list(store.read(X.sha256)),
    "present": lambda store: store.present([X.sha256]),
    "contents": lambda store: list(store.contents()),
    "discard": lambda store: store.discard([b"?" * 32]),
    "record": lambda store: store.record({}, [reference(9)]),
    "known": lambda store: store.known([reference(1).signature]),
    "newest": lambda store: store.newest([Timeline(Pod("shop", "web-0"), "/etc/a")]),
    "references": lambda store: store.references(Query()),
    "files": lambda store: store.files(Query()),
    "claim": lambda store: store.claim([b"key"], "me", 0, 10),
    "release": lambda store: store.release([b"key"], "me"),
    "forget": lambda store: store.forget(Query(until_ns=2)),
}


def test_every_call_is_unavailable_during_an_outage_and_works_after_it(server: RealServer) -> None:
    with server.place() as url, closing(open_store(url)) as store:
        batch = fill(store)
        reading = store.read(content_of(BIG).sha256)
        start = next(reading)
        page = store.references(Query(limit=2))
        with server.away():
            for name, call in CALLS.items():
                with pytest.raises(StoreUnavailable) as caught:
                    call(store)
                assert caught.value.retryable, name
                assert not isinstance(caught.value, StoreDenied), name
            for opening in (open_store, open_references):
                with pytest.raises(StoreUnavailable, match="see that it runs"):
                    opening(url)
            with pytest.raises(StoreUnavailable):
                next(reading)
            with pytest.raises(StoreUnavailable):
                store.references(Query(limit=2, cursor=page.next_cursor))
        assert everything(store, Query()) == batch, "what was recorded is there, and nothing of what was not"
        assert set(store.contents()) == {X, content_of(BIG)}
        rest = everything(store, Query(limit=2, cursor=page.next_cursor))
        assert [*page.items, *rest] == batch, "a cursor outlives an outage"
        assert start + b"".join(store.read(content_of(BIG).sha256, len(start))) == BIG
        for call in CALLS.values():
            call(store)
        open_store(url).close()
        assert [one.observed_at_ns for one in everything(store, Query())] == [2, 3, 4, 5, 9]


@pytest.mark.slow
def test_a_server_that_starts_is_unavailable_and_refuses_nobody() -> None:
    server = PostgreSQL()
    try:
        server.start()
        server.stop()
        # A standby that serves no reads tells what a server that recovers tells, and for as long as we want.
        (server.folder / "data" / "standby.signal").touch()
        with (server.folder / "data" / "postgresql.conf").open("a") as configuration:
            configuration.write("\nhot_standby = off\n")
        with server.launched():
            deadline = time.monotonic() + PATIENCE_SECONDS
            while True:
                with pytest.raises(StoreUnavailable) as caught:
                    open_store(server.url.render_as_string(hide_password=False))
                assert not isinstance(caught.value, StoreDenied)
                if "not accepting connections" in str(caught.value):
                    break
                assert time.monotonic() < deadline, caught.value
    finally:
        server.close()


def test_a_server_that_goes_away_between_the_chunks_of_a_put_leaves_nothing_visible(server: RealServer) -> None:
    with server.place() as url, closing(open_store(url)) as store:

        def chunks() -> Iterator[bytes]:
            yield BIG[: 6 * 2**20]
            server.stop()
            yield BIG[6 * 2**20 :]

        try:
            with pytest.raises(StoreUnavailable):
                store.put(content_of(BIG), chunks())
        finally:
            server.start()
        assert list(store.contents()) == []
        store.put(content_of(BIG), [BIG])
        assert b"".join(store.read(content_of(BIG).sha256)) == BIG


WAITING = {
    "postgresql": (
        "SELECT pg_advisory_xact_lock(1801546354, 1)",
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    ),
    "mariadb": (
        "SELECT id FROM kharvest_store FOR UPDATE",
        "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE '%%SHARE MODE'",
    ),
}
"""A lock for which `record` waits, and who waits for it."""


def test_a_record_whose_server_goes_away_in_the_middle_is_unavailable_and_can_be_done_again(server: RealServer) -> None:
    hold, waiters = WAITING[server.kind]
    caught: list[StoreUnavailable] = []
    with server.place() as url, closing(open_store(url)) as store:
        batch = fill(store)

        def record() -> None:
            try:
                store.record({}, [reference(9)])
            except StoreUnavailable as error:
                caught.append(error)

        engine = create_engine(url)
        thread = threading.Thread(target=record)
        try:
            holder, watcher = engine.connect(), engine.connect()
            holder.exec_driver_sql(hold)
            thread.start()
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not watcher.exec_driver_sql(waiters).first():
                watcher.rollback()
                assert time.monotonic() < deadline, "nobody waits for the lock"
                time.sleep(0.01)
            with server.away():
                thread.join(PATIENCE_SECONDS)
                holder.invalidate()
                watcher.invalidate()
        finally:
            engine.dispose()
        assert len(caught) == 1
        assert everything(store, Query()) == batch
        store.record({}, [reference(9)])
        store.record({}, [reference(9)])
        assert everything(store, Query()) == [*batch, reference(9)]


def test_a_claim_survives_the_outage_of_its_server(server: RealServer) -> None:
    with server.place() as url, closing(open_store(url)) as store:
        assert store.claim([b"key"], "one", 0, 10) == {b"key"}
        with server.away():
            pass
        assert store.claim([b"key"], "two", 5, 20) == set()
        assert store.claim([b"key"], "two", 10, 20) == {b"key"}
