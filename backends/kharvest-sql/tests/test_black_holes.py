"""Every call ends in bounded time, also when packets vanish on an open connection, and so does closing the store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from random import Random

import pytest
from harness.real import RealServer
from harness.real.locks import blocked, held
from harness.real.proxy import Proxy
from harness.real.server import OwnServer
from harness.stores import content_of, record, reference
from sqlalchemy import make_url

from kharvest.spi import InvalidStoreURL, Query, StoreUnavailable
from kharvest_sql._database import Session
from kharvest_sql._store import SqlStore, open_store

BIG = Random(3).randbytes(12 * 2**20)
PATIENCE_SECONDS = 120.0
LOCK = {
    "postgresql": "LOCK TABLE kharvest_reference IN EXCLUSIVE MODE",
    "mariadb": "SELECT id FROM kharvest_store FOR UPDATE",
}
"""What `record` waits for."""

CALLS: dict[str, Callable[[SqlStore], object]] = {
    "record": lambda store: record(store, reference(2)),
    "claim": lambda store: store.claim([b"key"], "me", 0, 10),
    "references": lambda store: store.references(Query()),
    "put large": lambda store: store.put(content_of(BIG), [BIG]),
}


@contextmanager
def behind_a_proxy(server: RealServer, options: str = "timeout=2") -> Iterator[tuple[str, str, Proxy]]:
    """The URL of a place, the same one through a proxy, and the proxy."""
    assert isinstance(server, OwnServer)
    with server.place() as place, Proxy(server.port) as proxy:
        through = make_url(place).set(port=proxy.port).render_as_string(hide_password=False)
        yield place, f"{through}?{options}", proxy


def ends(call: Callable[[], object]) -> object:
    """What the call returns, or its error; it must end."""
    outcome: list[object] = []

    def run() -> None:
        try:
            outcome.append(call())
        except StoreUnavailable as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    assert outcome, "the call did not end"
    return outcome[0]


@pytest.mark.parametrize("name", CALLS)
def test_a_call_on_a_connection_that_vanished_ends_and_is_served_by_a_new_one(server: RealServer, name: str) -> None:
    with behind_a_proxy(server) as (_place, url, proxy), closing(open_store(url)) as store:
        record(store, reference(1))
        proxy.swallow()
        assert not isinstance(ends(lambda: CALLS[name](store)), StoreUnavailable)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_whose_server_vanished_is_unavailable_and_the_store_is_closed(server: RealServer, name: str) -> None:
    with behind_a_proxy(server) as (_place, url, proxy), closing(open_store(url)) as store:
        record(store, reference(1))
        proxy.swallows_new = True
        proxy.swallow()
        assert isinstance(ends(lambda: CALLS[name](store)), StoreUnavailable)
        assert isinstance(ends(lambda: open_store(url)), StoreUnavailable)
        ends(store.close)


def test_an_answer_that_never_comes_is_unavailable_and_the_next_call_works(server: RealServer) -> None:
    with behind_a_proxy(server, "timeout=6") as (place, url, proxy), closing(open_store(url)) as store:
        record(store, reference(1))
        with (
            held(place, LOCK[server.kind]),
            blocked(place, lambda: store.record({}, [reference(2)])) as outcome,
        ):
            proxy.swallow()
        assert len(outcome) == 1
        assert isinstance(outcome[0], StoreUnavailable)
        store.record({}, [reference(2)])
        assert [one.observed_at_ns for one in store.references(Query()).items] == [1, 2]


def test_a_lock_that_is_not_given_up_is_waited_for_in_bounded_time(server: RealServer) -> None:
    with server.place() as place, closing(open_store(f"{place}?timeout=2")) as store:
        record(store, reference(1))
        with held(place, LOCK[server.kind]):
            assert isinstance(ends(lambda: store.record({}, [reference(2)])), StoreUnavailable)
        store.record({}, [reference(2)])


def test_the_locks_of_a_client_that_vanished_end(server: RealServer) -> None:
    with (
        behind_a_proxy(server) as (place, url, proxy),
        closing(open_store(place)) as other,
        closing(open_store(url)) as store,
    ):
        record(store, reference(1))
        with pytest.raises(StoreUnavailable):
            store._references_database.write(lambda session: lock_and_vanish(session, proxy))
        while isinstance(ends(lambda: other.record({}, [reference(2)])), StoreUnavailable):
            pass  # as long as the server believes in the other one


def lock_and_vanish(session: Session, proxy: Proxy) -> None:
    session.all(str(session.dialect.lock_store_alone))
    proxy.swallow()
    session.all("SELECT 1")


def test_calls_end_without_any_option(server: RealServer) -> None:
    with behind_a_proxy(server, "") as (_place, url, proxy), closing(open_store(url)) as store:
        proxy.swallows_new = True
        proxy.swallow()
        assert isinstance(ends(lambda: store.references(Query())), StoreUnavailable)


def test_a_time_limit_of_no_time_is_refused(server_url: str) -> None:
    with pytest.raises(InvalidStoreURL, match="timeout"):
        open_store(f"{server_url}?timeout=1")
