"""A batch is visible whole or not at all: to readers meanwhile, when its writer is killed, and when it is only slow."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import harness
import pytest
from harness.stores import all_files, all_references, content_of, files_of, record, reference, removal

from kharvest.spi import Conflict, Query, StoreUnavailable
from kharvest_mongo import _pages as pages
from kharvest_mongo._batches import Batches
from kharvest_mongo._recording import Recorder
from kharvest_mongo._schema import REFERENCES, SIGNATURES, STORE
from kharvest_mongo._store import MongoStore, open_store

STEPS = {"begun": "_put", "written": "_tidy", "about to commit": "commit"}
WRITER = """
import sys, time
from kharvest_mongo import _batches as batches, _recording as recording
from kharvest_mongo._store import open_store
sys.path.insert(0, sys.argv[2])
from harness.stores import files_of, reference

def stop(*_arguments, **_options):
    print("there", flush=True)
    time.sleep(600)

holder = batches.Batches if sys.argv[3] == "commit" else recording.Recorder
setattr(holder, sys.argv[3], stop)
many = [reference(10 + n, path=f"/etc/{n % 5}", pod=f"web-{n % 7}") for n in range(50)]
open_store(sys.argv[1]).record(files_of(*many), many)
"""


@contextmanager
def writer_at(url: str, step: str) -> Iterator[subprocess.Popen[str]]:
    """A process that stands still in the middle of a batch."""
    command = [sys.executable, "-c", WRITER, url, str(Path(harness.__file__).parents[1]), STEPS[step]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "there\n"
            yield process
        finally:
            process.kill()


def state_of(store: MongoStore) -> tuple[object, ...]:
    signatures = [reference(0, path=f"/etc/{n}").signature for n in range(5)]
    timelines = [reference(0, path=f"/etc/{n % 5}", pod=f"web-{n % 7}").timeline for n in range(50)]
    return (
        all_references(store, Query(limit=9)),
        all_references(store, Query(latest=True)),
        all_references(store, Query(latest=True, until_ns=30)),
        all_references(store, Query(latest=True, path="/etc/1")),
        all_files(store, Query()),
        store.known(signatures),
        store.newest(timelines),
    )


@pytest.mark.parametrize("step", STEPS)
def test_of_a_writer_that_dies_in_the_middle_nothing_is_ever_seen(
    store: MongoStore, url: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(store, *(reference(n, path=f"/etc/{n % 5}", pod=f"web-{n % 7}") for n in range(20)))
    before = state_of(store)
    with writer_at(url, step):
        assert state_of(store) == before
    assert state_of(store) == before
    record(store, reference(100))
    store.forget(Query(since_ns=100))
    assert state_of(store) == before
    monkeypatch.setattr("kharvest_mongo._batches._IDLE", timedelta(0))
    with closing(open_store(url)) as again:  # finds the writer dead, and removes what it left
        assert state_of(again) == before
        hidden = again._server.collection(STORE).find_one({})["hidden"]  # type: ignore[index]
        (number,) = [one["batch"] for one in hidden if one["is_dead"]]
        for name in (REFERENCES, SIGNATURES):
            assert again._server.collection(name).count_documents({"batch": number}) == 0
        many = [reference(10 + n, path=f"/etc/{n % 5}", pod=f"web-{n % 7}") for n in range(50)]
        again.record(files_of(*many), many)
        assert set(many) <= set(all_references(store, Query()))


def test_a_writer_that_was_taken_for_dead_is_told_and_what_it_sent_stays_unseen(
    store: MongoStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(store, reference(1))
    before = state_of(store)
    monkeypatch.setattr("kharvest_mongo._batches._IDLE", timedelta(0))
    tidy = Recorder._tidy

    def slow(self: Recorder, plan: Any) -> None:
        monkeypatch.setattr(Recorder, "_tidy", tidy)
        open_store(url).close()
        tidy(self, plan)

    monkeypatch.setattr(Recorder, "_tidy", slow)
    late = [reference(2), reference(3)]
    with pytest.raises(StoreUnavailable, match="do it again"):
        store.record({}, late)
    assert state_of(store) == before
    store.record({}, late)
    assert all_references(store, Query()) == [reference(1), *late]


def test_what_a_dead_writer_still_had_on_the_way_stays_unseen(store: MongoStore) -> None:
    record(store, reference(1))
    batch, _snapshot = store._batches.begin()
    documents = list(store._references.find())
    store._batches.bury(batch)
    store._references.insert_one({**documents[0], "_id": b"late", "batch": batch})
    store._references.update_one(
        {"_id": documents[0]["_id"]},
        {"$addToSet": {"followers": {"order": documents[0]["order"][:8] + b"\xff" * 16, "batch": batch}}},
    )
    store._references.update_one({"_id": documents[0]["_id"]}, {"$addToSet": {"removed_by": batch}})
    for number in range(2, 30):  # and is not taken for settled later
        record(store, reference(number, pod="other"))
        store.forget(Query(pod="other"))
    assert all_references(store, Query()) == [reference(1)]
    assert all_references(store, Query(latest=True)) == [reference(1)]


PODS = 6
"""Each batch of the next test has one reference for each, all of one path and one time."""


def torn_reads(store: MongoStore, done: threading.Event) -> list[object]:
    """What was found, until done, that no whole batches are."""
    timelines = [reference(0, pod=f"web-{pod}").timeline for pod in range(PODS)]
    torn: list[object] = []
    while not done.is_set():
        latest = list(store.references(Query(path="/etc/a", latest=True)).items)
        newest = list(store.newest(timelines).values())
        torn += [
            found for found in (latest, newest) if len(found) != PODS or len({one.observed_at_ns for one in found}) != 1
        ]
        if len(all_references(store, Query(path="/etc/a", limit=1000))) % PODS:
            torn.append("history")
    return torn


def test_readers_see_whole_batches_only_while_several_write(store: MongoStore, url: str) -> None:
    done = threading.Event()
    record(store, *(reference(0, pod=f"web-{pod}") for pod in range(PODS)))

    def write(first: int) -> None:
        with closing(open_store(url)) as own:
            for number in range(first, 61, 2):
                own.record({}, [reference(number, pod=f"web-{pod}") for pod in range(PODS)])

    with ThreadPoolExecutor(3) as threads:
        reading = threads.submit(torn_reads, store, done)
        try:
            for writing in [threads.submit(write, first) for first in (1, 2)]:
                writing.result(120)
        finally:
            done.set()
        assert reading.result(60) == []
    assert len(all_references(store, Query())) == 61 * PODS


def test_a_reader_that_was_overtaken_reads_again(store: MongoStore, monkeypatch: pytest.MonkeyPatch) -> None:
    record(store, reference(0))
    monkeypatch.setattr("kharvest_mongo._batches.SLACK", 2)
    looks = 0
    overtaking = [1, 2]

    def look(snapshot: object, looked: int) -> object:
        nonlocal looks
        assert looked == looks
        looks += 1
        while overtaking:
            record(store, reference(overtaking.pop(0)))
        return snapshot

    assert store._batches.read(look, of_newest=True).version == 3  # type: ignore[attr-defined]
    assert looks == 2
    overtaking.extend([3, 4, 5, 6])
    looks = 0
    store._batches.read(look)
    assert looks == 1, "what does not go by the newest is not overtaken by what is recorded"


def test_a_page_that_is_overtaken_again_and_again_gets_shorter_until_it_is_read(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(store, *(reference(0, path=f"/{n}") for n in range(64)))
    monkeypatch.setattr("kharvest_mongo._batches.SLACK", 1)
    find = pages.find
    limits: list[int] = []

    def overtaken(*arguments: Any) -> Any:
        found = find(*arguments)
        limits.append(arguments[2].limit)
        if arguments[2].limit > 8:
            store.record({}, [removal(len(limits), path="/gone")])
        return found

    monkeypatch.setattr("kharvest_mongo._pages.find", overtaken)
    assert len(store.references(Query(limit=64, latest=True)).items) == 8
    assert limits == [64, 32, 16, 8]


def test_of_several_conflicting_records_at_once_one_wins(store: MongoStore, url: str) -> None:
    contents = [content_of(bytes([number])) for number in range(4)]
    for number, content in enumerate(contents):
        store.put(content, [bytes([number])])
    forged = [replace(content, md5=contents[0].md5) for content in contents]
    for number, content in enumerate(forged[1:], 1):
        store.discard([content.sha256])
        store.put(content, [bytes([number])])
    one = reference(1)
    signature = replace(one.signature, md5=contents[0].md5)
    start = threading.Barrier(4)
    outcomes: list[str] = []

    def write(number: int) -> None:
        with closing(open_store(url)) as own:
            start.wait(20)
            try:
                own.record({signature: forged[number]}, [replace(one, signature=signature, observed_at_ns=number)])
            except Conflict:
                outcomes.append("conflict")
            else:
                outcomes.append(f"won {number}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    (winner,) = [outcome for outcome in outcomes if outcome != "conflict"]
    assert len(outcomes) == 4
    assert store.known([signature]) == {signature: forged[int(winner[-1])]}


def test_records_of_several_threads_share_batches_and_errors_do_not_spread(store: MongoStore) -> None:
    store.put(content_of(b"x"), [b"x"])
    entered, go_on = threading.Event(), threading.Event()
    begin = store._batches.begin
    begun: list[int] = []

    def waiting() -> Any:
        begun.append(1)
        entered.set()
        assert go_on.wait(60)
        return begin()

    store._batches.begin = waiting  # type: ignore[method-assign]
    outcomes: list[str] = []

    def write(number: int) -> None:
        one = reference(number, pod=f"web-{number}")
        files = files_of(one) if number != 3 else {one.signature: content_of(b"never put")}
        try:
            store.record(files, [one])
        except Exception as error:  # noqa: BLE001  asserted on below
            outcomes.append(type(error).__name__)
        else:
            outcomes.append("recorded")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    threads[0].start()
    assert entered.wait(60)
    for thread in threads[1:]:
        thread.start()
    deadline = threading.Event()
    while store._groups.waiting_items < 7:
        assert not deadline.wait(0.01)
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == ["UnknownContent", *["recorded"] * 7]
    assert len(begun) == 2


def test_a_stopped_writer_stops_nobody(store: MongoStore, url: str) -> None:
    record(store, reference(1))
    with writer_at(url, "written") as process:
        process.send_signal(signal.SIGSTOP)
        record(store, reference(2))
        assert store.forget(Query(until_ns=2)) == 1
        process.send_signal(signal.SIGCONT)
    assert all_references(store, Query()) == [reference(2)]


def test_what_was_forgotten_is_gone_for_good_some_batches_later(store: MongoStore) -> None:
    record(store, *(reference(n, path=f"/{n}") for n in range(10)))
    assert store.forget(Query()) == 10
    for number in range(40):
        record(store, reference(number))
        store.forget(Query(limit=1))
    assert store._references.count_documents({"path": {"$ne": "/etc/a"}}) == 0
    assert store._signatures.count_documents({"path": {"$ne": "/etc/a"}}) == 0
    assert store._references.count_documents({}) < 25


def test_batches_are_listed_as_hidden_only_while_they_are_written(store: MongoStore) -> None:
    record(store, reference(1))
    with pytest.raises(Conflict):
        store.record({reference(1).signature: replace(content_of(b"x"), size=2)}, [reference(2)])
    store.forget(Query())
    assert Batches(store._server).snapshot().hidden == frozenset()


def test_who_commits_second_appends_behind_the_first(
    store: MongoStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(store, reference(5))
    commit = Batches.commit

    def late(*arguments: Any, **options: Any) -> bool:
        monkeypatch.undo()
        with closing(open_store(url)) as other:
            assert other.append({}, [reference(1)]) == [reference(6)]
        return commit(*arguments, **options)

    monkeypatch.setattr(Batches, "commit", late)
    assert store.append({}, [reference(2), reference(3)]) == [reference(7), reference(8)]
    assert [one.observed_at_ns for one in all_references(store, Query())] == [5, 6, 7, 8]


class _AsksTwice:
    """A collection whose driver missed the first answer to an update, and asked again."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    def update_one(self, *arguments: Any) -> Any:
        self._collection.update_one(*arguments)
        return self._collection.update_one(*arguments)


def test_an_append_that_is_committed_twice_is_there_once(store: MongoStore, monkeypatch: pytest.MonkeyPatch) -> None:
    record(store, reference(5))
    monkeypatch.setattr(store._batches, "_store", _AsksTwice(store._batches._store))
    assert store.append({}, [reference(1)]) == [reference(6)]
    assert [one.observed_at_ns for one in all_references(store, Query())] == [5, 6]
