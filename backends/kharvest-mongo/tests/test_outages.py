"""Lost connections, servers that hang, elections, databases that are dropped: every call ends and says why."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
from harness.network import Proxy
from harness.real import RealServer
from harness.real.mongodb import MongoServer, client
from harness.stores import all_references, content_of, record, reference

from kharvest.spi import Query, StoreUnavailable
from kharvest_mongo._store import MongoStore, open_store

_WITHOUT_HEARTBEAT = "serverSelectionTimeoutMS=500&connectTimeoutMS=500&socketTimeoutMS=1000&maxIdleTimeMS=1000"
SOON = f"{_WITHOUT_HEARTBEAT}&heartbeatFrequencyMS=500"
"""Timeouts of a URL, so that tests need not wait for those that are ours."""
ENDS_SECONDS = 30.0
"""Far more than what SOON allows, and far less than PyMongo's own timeouts add up to."""


@pytest.fixture
def own_server(mongo: RealServer) -> MongoServer:
    assert isinstance(mongo, MongoServer)
    return mongo


@contextmanager
def behind_a_proxy(server: MongoServer, options: str = SOON) -> Iterator[tuple[MongoStore, Proxy]]:
    with (
        server.place() as url,
        Proxy(server.port) as proxy,
        closing(open_store(f"{url.replace(str(server.port), str(proxy.port))}?{options}")) as store,
    ):
        yield store, proxy


def calls(store: MongoStore) -> list[Callable[[], object]]:
    large = content_of(bytes(2**20))
    return [
        lambda: store.references(Query()),
        lambda: store.known([reference(1).signature]),
        lambda: store.present([large.sha256]),
        lambda: store.record({}, [reference(2)]),
        lambda: store.put(large, [bytes(2**20)]),
        lambda: list(store.read(content_of(b"x").sha256)),
        lambda: store.claim([b"key"], "holder", 1, 2),
        lambda: store.forget(Query(limit=1)),
    ]


def in_threads(work: Callable[[], object], threads: int) -> None:
    """Do something in several threads at once, so that there are as many connections."""
    start = threading.Barrier(threads)

    def run() -> None:
        start.wait(30)
        work()

    running = [threading.Thread(target=run) for _ in range(threads)]
    for one in running:
        one.start()
    for one in running:
        one.join(60)


def test_one_call_at_most_fails_on_connections_that_the_network_forgot(own_server: MongoServer) -> None:
    # The heartbeat, which would notice too, is as good as off.
    with behind_a_proxy(own_server, f"{_WITHOUT_HEARTBEAT}&heartbeatFrequencyMS=3600000") as (store, proxy):
        record(store, reference(1))
        in_threads(lambda: [store.references(Query()) for _ in range(20)], 6)
        proxy.lose_open_connections()
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="no answer"):
            store.record({}, [reference(2)])  # a write on a single server is not sent twice
        store.record({}, [reference(2)])
        assert reference(2) in all_references(store, Query())
        proxy.lose_open_connections()
        assert store.known([reference(1).signature]), "a read is sent again on another connection"
        assert time.monotonic() - began < ENDS_SECONDS


def test_every_call_ends_while_nothing_answers_and_so_does_closing(own_server: MongoServer) -> None:
    with behind_a_proxy(own_server) as (store, proxy):
        record(store, reference(1))
        proxy.lose_everything()
        for call in calls(store):
            began = time.monotonic()
            with pytest.raises(StoreUnavailable):
                call()
            assert time.monotonic() - began < ENDS_SECONDS
        began = time.monotonic()
        store.close()
        assert time.monotonic() - began < ENDS_SECONDS


@pytest.mark.slow
def test_without_options_a_call_ends_within_twenty_seconds_and_closing_within_five(own_server: MongoServer) -> None:
    with behind_a_proxy(own_server, "") as (store, proxy):
        record(store, reference(1))
        proxy.lose_everything()
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            store.record({}, [reference(2)])
        assert time.monotonic() - began < 20
        began = time.monotonic()
        store.close()
        assert time.monotonic() - began < 5


def test_opening_ends_while_nothing_answers(own_server: MongoServer) -> None:
    with Proxy(own_server.port) as proxy:
        proxy.lose_everything()
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            open_store(f"mongodb://127.0.0.1:{proxy.port}/db?{SOON}")
        assert time.monotonic() - began < ENDS_SECONDS


def test_a_server_that_hangs_is_unavailable_and_served_again_when_it_goes_on(own_server: MongoServer) -> None:
    with own_server.place() as url, closing(open_store(f"{url}?{SOON}")) as store:
        record(store, reference(1))
        assert own_server._process is not None
        pid = own_server._process.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(StoreUnavailable):
                store.record({}, [reference(2)])
        finally:
            os.kill(pid, signal.SIGCONT)
        store.record({}, [reference(3)])
        assert {reference(1), reference(3)} <= set(all_references(store, Query()))


@pytest.mark.slow
def test_a_primary_that_steps_down_is_unavailable_and_used_again_when_it_is_elected() -> None:
    server = MongoServer(replica_set=True)
    try:
        server.start()
        with server.place() as url, closing(open_store(f"{url}?{SOON}")) as store:
            record(store, reference(1))
            with client(server.url) as connected:
                connected.admin.command("replSetStepDown", 5, force=True)
            with pytest.raises(StoreUnavailable):
                store.record({}, [reference(2)])
            deadline = time.monotonic() + 60
            while True:
                try:
                    store.record({}, [reference(3)])
                    break
                except StoreUnavailable:
                    assert time.monotonic() < deadline
            assert {reference(1), reference(3)} <= set(all_references(store, Query()))
    finally:
        server.close()


@pytest.mark.parametrize("is_made_anew", [False, True])
def test_a_database_that_was_dropped_acknowledges_nothing_and_says_why(own_url: str, is_made_anew: bool) -> None:
    with closing(open_store(own_url)) as store:
        record(store, reference(1))
        with client(own_url) as connected:
            connected.drop_database(own_url.rpartition("/")[2])
        if is_made_anew:
            with closing(open_store(own_url)) as other:
                record(other, reference(9))
        for call in (
            lambda: store.known([reference(1).signature]),
            lambda: store.newest([reference(1).timeline]),
            lambda: store.references(Query()),
            lambda: store.record({}, [reference(2)]),
            lambda: store.forget(Query()),
        ):
            with pytest.raises(StoreUnavailable, match=r"was dropped.*restart the server"):
                call()
        if is_made_anew:
            with closing(open_store(own_url)) as other:
                assert all_references(other, Query()) == [reference(9)], "the other store is left as it is"
