"""What is particular to servers: they go away, ask for passwords, and have other things on them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from harness.real import RealServer
from harness.real.mongodb import MongoServer, client
from harness.stores import all_references, check_replicas_that_start_together, content_of, record, reference
from pymongo import WriteConcern
from pymongo.errors import OperationFailure

from kharvest.spi import (
    Capability,
    IncompatibleSchema,
    InvalidStoreURL,
    Query,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from kharvest_mongo._failures import told as told_as_kharvest
from kharvest_mongo._schema import SCHEMA_VERSION, STORE
from kharvest_mongo._store import MongoStore, open_references, open_store

SECRET = "hunter2/secret"


def told(error: BaseException | None) -> str:
    """All that an error says, with its causes."""
    parts: list[str] = []
    while error is not None:
        parts.append(f"{error} {getattr(error, '__notes__', '')}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return " ".join(parts)


def database_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def test_it_declares_what_it_guarantees(store: MongoStore) -> None:
    assert store.capabilities == {Capability.DURABLE, Capability.SHARED}


def test_a_server_that_goes_away_in_the_middle_of_a_call_is_unavailable_and_served_again_when_it_is_back(
    mongo: RealServer, own_url: str
) -> None:
    with closing(open_store(f"{own_url}?serverSelectionTimeoutMS=300")) as store:
        record(store, reference(1))
        tidy = store._groups._commit.__self__._tidy  # type: ignore[attr-defined]
        written = threading.Event()

        def stop_first(plan: object) -> None:
            if not written.is_set():
                written.set()
                mongo.stop()
            tidy(plan)

        store._groups._commit.__self__._tidy = stop_first  # type: ignore[attr-defined]
        with pytest.raises(StoreUnavailable):
            store.record({}, [reference(2), reference(3)])
        assert written.is_set()
        for call in (
            lambda: store.references(Query()),
            lambda: store.newest([reference(1).timeline]),
            lambda: store.put(content_of(b"y"), [b"y"]),
            lambda: list(store.read(content_of(b"x").sha256)),
            lambda: store.claim([b"key"], "holder", 1, 2),
            lambda: store.forget(Query()),
        ):
            with pytest.raises(StoreUnavailable):
                call()
        mongo.start()
        assert all_references(store, Query()) == [reference(1)], "nothing of a batch that was not committed"
        store.record({}, [reference(2), reference(3)])
        assert all_references(store, Query()) == [reference(1), reference(2), reference(3)]
        hidden = store._server.collection(STORE).find_one({})["hidden"]  # type: ignore[index]
        assert [one.get("is_buried") for one in hidden] in ([], [True]), "what broke off is cleared away"


def test_what_was_acknowledged_survives_a_server_that_is_killed(mongo: RealServer, own_url: str) -> None:
    with closing(open_store(own_url)) as store:
        for number in range(20):
            record(store, reference(number, data=b"%d" % number), data=b"%d" % number)
        store.claim([b"key"], "holder", 1, 100)
        with mongo.away():
            pass
        assert [one.observed_at_ns for one in all_references(store, Query())] == list(range(20))
        assert len(list(store.contents())) == 20
        assert store.claim([b"key"], "other", 2, 100) == set()


def test_a_server_that_is_not_there_is_unavailable_and_its_password_is_not_told() -> None:
    with pytest.raises(StoreUnavailable) as caught:
        open_store(f"mongodb://someone:{SECRET.replace('/', '%2F')}@127.0.0.1:1/db?serverSelectionTimeoutMS=200")
    assert "127.0.0.1:1" in str(caught.value)
    assert "hunter2" not in told(caught.value)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mongodb://127.0.0.1", "names no database"),
        ("mongodb://127.0.0.1/", "names no database"),
        ("mongodb://127.0.0.1/a.b", "does not name a database"),
        ("mongodb://127.0.0.1/db?colour=blue", "colour"),
        ("mongodb://127.0.0.1/db?serverSelectionTimeoutMS=soon", "serverselectiontimeoutms"),
        (f"mongodb://someone:{SECRET}@127.0.0.1/db", "cannot be read"),
        ("mongodb://", "cannot be read"),
        ("mongodb://127.0.0.1/db?authMechanismProperties=hunter2:x", "an option is wrong"),
        ("mongodb://127.0.0.1/db?tls=true&tlsCertificateKeyFilePassword=hunter2&tlsCAFile=none", "none: No such"),
    ],
)
def test_a_url_that_cannot_be_understood_is_refused_without_its_password(url: str, problem: str) -> None:
    with pytest.raises(InvalidStoreURL, match=problem) as caught:
        open_store(url)
    assert "hunter2" not in told(caught.value)
    assert "secret" not in told(caught.value)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *((code, StoreUnavailable) for code in (43, 50, 91, 94, 134, 189, 10107, 11600, 11602, 13435, 13436)),
        *((code, StoreDenied) for code in (11, 13, 18, 31, 8000)),
        (14031, StoreFull),
    ],
)
def test_what_a_server_answers_while_it_starts_and_what_waiting_does_not_mend_are_told_apart(
    code: int, kind: type[StoreError]
) -> None:
    with pytest.raises(StoreError) as caught, told_as_kharvest():
        raise OperationFailure("no", code)
    assert type(caught.value) is kind


def test_options_go_to_the_driver(own_url: str) -> None:
    with closing(open_store(f"{own_url}?appName=mine&maxPoolSize=3&w=0&readPreference=secondary")) as store:
        record(store, reference(1))
        options = store._server._client.options
        assert options.pool_options.max_pool_size == 3
        assert options.server_selection_timeout == 5
        assert options.heartbeat_frequency == 5
        pool = options.pool_options
        assert (pool.connect_timeout, pool.socket_timeout, pool.wait_queue_timeout) == (5, 10, 10)
        assert pool.max_idle_time_seconds == 10, (
            "what a socket's timeout found lost is not tried on the next connection"
        )
        collection = store._server.collection(STORE)
        assert collection.write_concern.document == {"w": 1, "j": True}
        assert collection.read_preference.mongos_mode == "primary"


@pytest.mark.slow
def test_a_replica_set_is_written_and_read_by_majority() -> None:
    server = MongoServer(replica_set=True)
    try:
        server.start()
        with server.place() as url, closing(open_store(f"{url}?wTimeoutMS=4321")) as store:
            collection = store._server.collection(STORE)
            assert collection.write_concern.document == {"w": "majority", "j": True, "wtimeout": 4321}
            assert collection.read_concern.level == "majority"
            record(store, reference(1), reference(2))
            store.put(content_of(bytes(2**20)), [bytes(2**20)])
            assert store.claim([b"key"], "holder", 1, 2) == {b"key"}
            assert store.forget(Query(limit=1)) == 1
            assert all_references(store, Query()) == [reference(2)]
            with server.away(), pytest.raises(StoreUnavailable):
                store.known([reference(1).signature])
            assert store.known([reference(1).signature]) == {reference(1).signature: content_of(b"x")}
    finally:
        server.close()


@contextmanager
def server_with_users() -> Iterator[MongoServer]:
    """A server with the users `writer`, `reader` and their database `kharvest`, all with one password."""
    server = MongoServer()
    try:
        server.start()
        with client(server.url) as connected:
            for name, role in (("writer", "readWrite"), ("reader", "read")):
                roles = [{"role": role, "db": "kharvest"}]
                connected["kharvest"].command("createUser", name, pwd="right", roles=roles)
            durable = connected["kharvest"].get_collection("other", write_concern=WriteConcern(j=True))
            durable.insert_one({})  # and with it what came before
        server.stop()
        server.needs_password = True
        server.start()
        yield server
    finally:
        server.close()


@pytest.mark.slow
def test_users_get_what_they_may_and_are_told_what_they_may_not() -> None:
    with server_with_users() as server:

        def url(user: str, password: str = "right") -> str:
            return f"mongodb://{user}:{password}@127.0.0.1:{server.port}/kharvest"

        with pytest.raises(StoreDenied, match="correct the user and password") as caught:
            open_store(url("writer", "hunter2"))
        assert "hunter2" not in told(caught.value)
        with pytest.raises(StoreDenied, match="readWrite"):
            open_store(url("reader"))
        with closing(open_store(url("writer"))) as store:
            record(store, reference(1))
            with closing(open_store(url("reader"))) as reading:
                assert all_references(reading, Query()) == [reference(1)]
                for call in (lambda: record(reading, reference(2)), lambda: reading.forget(Query())):
                    with pytest.raises(StoreDenied, match="readWrite"):
                        call()
            assert all_references(store, Query()) == [reference(1)]


def test_a_newer_schema_is_refused_and_nothing_changed(store: MongoStore, url: str) -> None:
    record(store, reference(1))
    documents = store._server.collection(STORE)
    documents.update_one({}, {"$set": {"schema_version": 99}})
    before = documents.find_one({})
    for attempt in (
        lambda: open_store(url),
        lambda: open_references(url),
        lambda: store.record({}, [reference(2)]),
        lambda: store.references(Query()),
        lambda: store.forget(Query()),
    ):
        with pytest.raises(IncompatibleSchema) as caught:
            attempt()
        assert (caught.value.found, caught.value.supported) == (99, SCHEMA_VERSION)
    assert documents.find_one({}) == before
    assert store._references.count_documents({}) == 1


def test_what_is_somebody_elses_in_the_database_is_left_alone(url: str) -> None:
    with client(url) as connected:
        other = connected[database_of(url)]["references"]
        other.insert_one({"_id": 1, "order": "mine"})
        with closing(open_store(url)) as store:
            record(store, reference(1))
            store.forget(Query())
            store.discard([content_of(b"x").sha256])
        assert list(other.find()) == [{"_id": 1, "order": "mine"}]
        names = set(connected[database_of(url)].list_collection_names()) - {"references"}
        assert names
        assert all(name.startswith("kharvest_") for name in names)


def test_replicas_that_start_together_create_one_store(url: str) -> None:
    check_replicas_that_start_together(lambda: open_store(url), 4)


def test_references_alone_believe_what_files_say(url: str) -> None:
    with closing(open_references(url)) as store:
        one = reference(1)
        store.record({one.signature: content_of(b"x")}, [one])
        assert store.known([one.signature]) == {one.signature: content_of(b"x")}


def test_the_environment_names_a_server_of_the_users(monkeypatch: pytest.MonkeyPatch, mongo: RealServer) -> None:
    from harness.real.mongodb import GivenMongo, url_of  # noqa: PLC0415

    monkeypatch.setitem(os.environ, "KHARVEST_TEST_MONGODB", mongo.url)  # type: ignore[attr-defined]
    given = GivenMongo()
    given.start()
    with given.place() as place, closing(open_store(place)) as store:
        record(store, reference(1))
    named = url_of("mongodb://u:p@h/?tls=true", "d")
    assert named == "mongodb://u:p@h/d?tls=true&authSource=admin"
