"""What calls cost: commands for a batch, and documents for a page, do not grow with what is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from hashlib import md5, sha256
from typing import Any

import pytest
from harness.real import RealServer
from pymongo import monitoring

from kharvest.spi import Content, Metadata, Order, Pod, Query, Reference, Signature, Timeline
from kharvest_mongo._schema import REFERENCES
from kharvest_mongo._store import MongoStore, open_store

CONTENT = Content(sha256(b"x").digest(), md5(b"x", usedforsecurity=False).digest(), 1)


class Commands(monitoring.CommandListener):
    """Notes every command that any client of this process sends, while it is told to."""

    def __init__(self) -> None:
        self.noted: list[Any] | None = None

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if self.noted is not None and event.command_name not in {"hello", "endSessions"}:
            self.noted.append(event.command)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


COMMANDS = Commands()
monitoring.register(COMMANDS)  # for clients that are made from here on; there is no way to take it back


@contextmanager
def counted() -> Iterator[list[Any]]:
    noted: list[Any] = []
    COMMANDS.noted = noted
    try:
        yield noted
    finally:
        COMMANDS.noted = None


def batch_of(size: int, first: int = 0, version: int = 0, pods: int = 0) -> list[Reference]:
    md5_of_version = md5(b"%d" % version, usedforsecurity=False).digest()
    return [
        Reference(
            Signature(f"/f{n % 20}", md5_of_version),
            Pod(f"n{n // 20 % 5}", f"web-{first + n // 20}"),
            Metadata(
                {"app": f"app-{(first + n // 20) // 10}", "tier": "ab"[n // 20 % 2], "pod": f"web-{first + n // 20}"}
            ),
            (version * pods + first) * 20 + n,
        )
        for n in range(size)
    ]


def record(store: MongoStore, batch: list[Reference]) -> None:
    files = {one.signature: replace(CONTENT, md5=one.signature.md5) for one in batch}
    store.put(CONTENT, [b"x"])
    store.record(files, batch)


def at(batch: list[Reference], time_ns: int) -> list[Reference]:
    return [replace(one, observed_at_ns=time_ns) for one in batch]


CALLS: dict[str, Callable[[MongoStore, list[Reference]], object]] = {
    "record": lambda store, batch: store.record({}, at(batch, 10**12 + len(batch))),
    "record late": lambda store, batch: store.record({}, at(batch, 10**11 + len(batch))),
    "record again": lambda store, batch: store.record({}, batch),
    "known": lambda store, batch: store.known([one.signature for one in batch]),
    "newest": lambda store, batch: store.newest([Timeline(one.pod, one.signature.path) for one in batch]),
    "references": lambda store, batch: store.references(Query(limit=len(batch))),
    "files": lambda store, batch: store.files(Query(limit=len(batch))),
    "claim": lambda store, batch: store.claim([b"%d" % n for n in range(len(batch))], "me", 0, 1),
    "claim what others hold": lambda store, batch: store.claim([b"%d" % n for n in range(len(batch))], "you", 0, 1),
    "release": lambda store, batch: store.release([b"%d" % n for n in range(len(batch))], "me"),
    "present": lambda store, batch: store.present([sha256(b"%d" % n).digest() for n in range(len(batch))]),
    "discard": lambda store, batch: store.discard([sha256(b"%d" % n).digest() for n in range(len(batch))]),
    "forget": lambda store, batch: store.forget(Query(limit=len(batch))),
}
LARGE, SMALL = 600, 20
"""References in a batch. A command names 200 values, or asks 100 questions: 600 take some more, and never one each."""


def test_a_batch_takes_few_commands_however_large_it_is(own_url: str) -> None:
    with closing(open_store(own_url)) as store:
        record(store, batch_of(LARGE))
        for name, call in CALLS.items():
            with counted() as large:
                call(store, batch_of(LARGE))
            with counted() as small:
                call(store, batch_of(SMALL))
            names = [next(iter(command)) for command in large]
            assert 0 < len(small) <= 16, (name, small)
            assert len(large) <= len(small) + 14, (name, names)


QUERIES = {
    "time": Query(since_ns=150),
    "newest first": Query(order=Order.NEWEST_FIRST),
    "pod": Query(namespace="n3", pod="web-3"),
    "pod name": Query(pod="web-3"),
    "path": Query(path="/f7"),
    "path, newest first": Query(path="/f7", order=Order.NEWEST_FIRST),
    "file": Query(path="/f7", md5=batch_of(1, 0, 2)[0].signature.md5, order=Order.NEWEST_FIRST),
    "common pair": Query(metadata=Metadata({"tier": "b"})),
    "rare pair": Query(metadata=Metadata({"app": "app-0"})),
    "latest by path": Query(path="/f7", latest=True, order=Order.NEWEST_FIRST),
    "latest by pod": Query(namespace="n3", pod="web-3", latest=True),
    "latest by pair": Query(metadata=Metadata({"app": "app-0"}), latest=True),
}


def documents_of(store: MongoStore, query: Query) -> tuple[int, int]:
    """How many commands a page takes, and how many documents lie in the windows it walks.

    They are what a server reads at most: one that reads a window whole before it sorts and stops.
    """
    with counted() as commands:
        page = store.references(query)
    assert page.items
    pipelines = [command["pipeline"] for command in commands if "aggregate" in command]
    references = store._server.collection(REFERENCES)
    return len(commands), sum(references.count_documents(pipeline[0]["$match"]) for pipeline in pipelines)


@pytest.mark.slow
def test_a_page_walks_windows_that_do_not_grow_with_the_history(mongo: RealServer) -> None:
    work: dict[str, list[tuple[int, int]]] = {name: [] for name in QUERIES}
    for pods in (10, 100):
        with mongo.place() as url, closing(open_store(url)) as store:
            for version in range(3):
                for first in range(0, pods, 10):
                    record(store, batch_of(200, first, version, pods))
            for name, query in QUERIES.items():
                work[name].append(documents_of(store, replace(query, limit=5)))
    grown = {
        name: counts
        for name, counts in work.items()
        if counts[1][0] > counts[0][0] + 3 or counts[1][1] > 2 * counts[0][1] + 20
    }
    assert grown == {}, work
