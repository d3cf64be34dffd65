"""DURABLE: what a call has written when it returns is there again, whatever became of the process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType

from kharvest.spi import NO_METADATA, REMOVED, Capability, Metadata, Order, Pod, Query, Store
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._depth import Depth
from kharvest_conformance._place import Place, Places
from kharvest_conformance._samples import OTHER, WEB, File, Sample, removed
from kharvest_conformance._tasks import (
    CRASH_HOLDER,
    CRASH_LEASE_NS,
    WriteUntilKilled,
    crash_files,
    crash_key,
    crash_references,
    undone_by,
)
from kharvest_conformance._walks import walk, walk_files
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import data_of, harvest, has_data, listing, put

CRASHES = 3
WRITES = 25
FILES = (File("/etc/a", Sample(100, 1)), File("/etc/b", Sample(200_000, 2)))
SCENE = (*(file.seen(at, pod) for file in FILES for at, pod in ((1, WEB), (2, OTHER))), removed("/etc/a", 3, WEB))
LATER = File("/etc/later", Sample(300, 3))
TAG = Metadata({"app": "web"})
PODS = (WEB, OTHER, Pod("other", "web-0"))
HISTORY = (
    *(file.seen(at, pod, tag) for file in FILES for at in (5, 9) for pod in PODS for tag in (TAG, NO_METADATA)),
    *(removed(file.path, at, pod) for file in FILES for at in (5, 7) for pod in PODS),
)
WRITES_OF_ALL_KINDS: Mapping[str, Callable[[Store], object]] = MappingProxyType(
    {
        "record of a batch": lambda store: store.claim([b"1", b"2"], "one", 1, 100),
        "record of what is there, and of older ones": lambda store: store.record(
            {}, [*HISTORY[:3], FILES[1].seen(1, OTHER, TAG), FILES[0].seen(9, WEB, Metadata({"app": "new"}))]
        ),
        "append": lambda store: store.append({}, [FILES[0].seen(2, pod, TAG) for pod in PODS]),
        "put": lambda store: put(store, LATER),
        "append with a file": lambda store: store.append({LATER.signature: LATER.content}, [LATER.seen(3)] * 2),
        "forget of one of a pod, newest first": lambda store: store.forget(
            Query(pod=OTHER.name, order=Order.NEWEST_FIRST, limit=1)
        ),
        "forget by metadata": lambda store: store.forget(Query(metadata=TAG, limit=2)),
        "claim of others": lambda store: store.claim([b"2", b"3"], "three", 100, 200),
        "forget by namespace": lambda store: store.forget(Query(namespace="other", order=Order.NEWEST_FIRST, limit=2)),
        "release": lambda store: store.release([b"1", b"2", b"3"], "one"),
        "forget of some removals": lambda store: store.forget(Query(md5=REMOVED, limit=2)),
        "forget of a version since a time": lambda store: store.forget(
            Query(md5=FILES[0].content.md5, since_ns=6, until_ns=10, limit=2)
        ),
        "forget of the latest": lambda store: store.forget(Query(latest=True, path_prefix="/etc/b", limit=1)),
        "forget of equal times, from the newest on": lambda store: store.forget(
            Query(since_ns=5, until_ns=6, order=Order.NEWEST_FIRST, limit=2)
        ),
        "record of what was forgotten": lambda store: store.record({}, HISTORY),
        "forget of a file": lambda store: store.forget(Query(path=LATER.path)),
        "discard": lambda store: store.discard([LATER.content.sha256]),
        "record of it with a content that comes again": lambda store: harvest(store, [LATER], [LATER.seen(1, OTHER)]),
    }
)
"""One after the other, some of them each time that the store is open."""
WORDS = "What a call has written when it returns survives a killed process"


@thorough
class SurvivingTests(Base):
    """Of `Capability.DURABLE`."""

    @clause("Capability", WORDS, needs=Capability.DURABLE)
    def test_everything_is_there_after_reopening(self, place: Place) -> None:
        store = place.open()
        harvest(store, FILES, SCENE)
        order = listing(store)
        summaries = walk_files(store, Query())
        store.claim([b"key"], "holder", 1, 100)

        for _opening in range(3):
            store = place.reopen()
        assert listing(store) == order
        assert walk_files(store, Query()) == summaries
        assert store.known([file.signature for file in FILES]) == {file.signature: file.content for file in FILES}
        assert store.newest([SCENE[0].timeline]) == {SCENE[0].timeline: SCENE[-1]}
        assert {content.sha256 for content in store.contents()} == {file.content.sha256 for file in FILES}
        for file in FILES:
            assert has_data(store, file)
        assert store.claim([b"key"], "other", 99, 200) == set()

    @clause("Capability", WORDS, needs=Capability.DURABLE)
    def test_each_kind_of_write_leaves_the_same_after_reopening(self, place: Place) -> None:
        store = place.open()
        harvest(store, FILES, HISTORY)
        for number, (name, write) in enumerate(WRITES_OF_ALL_KINDS.items(), 1):
            write(store)
            if number % 3 and number < len(WRITES_OF_ALL_KINDS):
                continue
            before = _all_answers(store)
            store = place.reopen()
            after = _all_answers(store)
            for question, answer in before.items():
                assert after[question] == answer, f"{question} after {name} and those before it, then reopening"
        assert store.claim([b"1", b"2", b"3"], "two", 50, 60) == {b"1"}, "leases after reopening"

    @clause("Capability", WORDS, needs=Capability.DURABLE)
    def test_what_was_removed_stays_away_after_reopening(self, place: Place) -> None:
        store = place.open()
        harvest(store, FILES, SCENE)
        store.claim([b"key"], "holder", 1, 100)
        store.forget(Query(path="/etc/b"))
        store.discard([FILES[1].content.sha256])
        store.release([b"key"], "holder")

        store = place.reopen()
        assert set(listing(store)) == {one for one in SCENE if one.signature.path == "/etc/a"}
        assert store.known([FILES[1].signature]) == {}
        assert list(store.contents()) == [FILES[0].content]
        assert store.claim([b"key"], "other", 2, 100) == {b"key"}

    @clause("ReferenceStore.claim", "A lease is as durable as any other write", needs=Capability.DURABLE)
    def test_leases_outlive_the_handle_that_took_changed_or_ended_them(self, place: Place) -> None:
        store = place.open()
        keys = [b"%d" % number for number in range(4)]
        assert store.claim(keys, "holder", 1, 100) == set(keys)
        store = place.reopen()
        assert store.claim(keys, "other", 99, 200) == set(), "a lease ended with the handle that took it"
        assert store.claim(keys[:1], "holder", 2, 150) == set(keys[:1])
        assert store.claim(keys[1:2], "holder", 2, 50) == set(keys[1:2])
        store.release(keys[2:3], "holder")
        store = place.reopen()
        assert store.claim(keys, "other", 49, 500) == {keys[2]}
        assert store.claim(keys, "third", 50, 500) == {keys[1]}
        assert store.claim(keys, "third", 149, 500) == {keys[1], keys[3]}
        assert store.claim(keys, "third", 150, 500) == {keys[0], keys[1], keys[3]}

    @clause("Capability", WORDS, needs=Capability.DURABLE)
    def test_what_was_acknowledged_survives_a_killed_process(self, places: Places, depth: Depth) -> None:
        random = Random(depth.seed)  # noqa: S311  # where to kill, not a secret
        for _crash in range(max(CRASHES, depth.examples // 20)):
            writes = random.randint(1, WRITES)
            with places.fresh() as place:
                worker = place.worker()
                worker.ready()
                worker.start(WriteUntilKilled())
                acknowledged = [worker.report() for _write in range(writes)]
                worker.kill()
                assert acknowledged == list(range(writes))
                _check_after_crash(place.open(), writes)


def _all_answers(store: Store) -> dict[str, object]:
    """What a store says to every kind of question, in the order in which it says it."""
    queries = (Query(), Query(latest=True), Query(metadata=TAG), Query(order=Order.NEWEST_FIRST, md5=REMOVED))
    return {
        "present": store.present([file.content.sha256 for file in (*FILES, LATER)]),
        "contents": list(store.contents()),
        "known": store.known([file.signature for file in (*FILES, LATER)]),
        "newest": store.newest([one.timeline for one in HISTORY]),
        **{f"references of {query}": walk(store, query) for query in queries},
        **{f"files of {query}": walk_files(store, query) for query in queries[1:3]},
    }


def _check_after_crash(store: Store, writes: int) -> None:
    found = set(listing(store))
    undone = {one for one in map(undone_by, range(writes)) if one is not None}
    # A process that reports and goes on may be several writes ahead when it is killed.
    in_doubt = {undone_by(number) for number in range(writes, writes + 3)}
    for number in sorted(undone):
        assert found.isdisjoint(crash_references(number)), f"write {number} was forgotten, and is there again"
        assert store.known([file.signature for file in crash_files(number)]) == {}
        assert store.present([crash_files(number)[0].content.sha256]) == {}, f"the content of {number} was discarded"
        taken = store.claim([crash_key(number)], "another", 1, CRASH_LEASE_NS)
        assert taken == {crash_key(number)}, f"the lease of write {number} was released, and is there again"
    for number in sorted(set(range(writes)) - undone - in_doubt):
        missing = [one for one in crash_references(number) if one not in found]
        assert not missing, f"write {number} of {writes} was acknowledged, then {len(missing)} references are missing"
        known = {file.signature: file.content for file in crash_files(number)}
        assert store.known(list(known)) == known
        assert data_of(store, crash_files(number)[0]) == crash_files(number)[0].sample.data()
        taken = store.claim([crash_key(number)], "another", CRASH_LEASE_NS - 1, CRASH_LEASE_NS)
        assert taken == set(), f"the lease of {CRASH_HOLDER} of write {number} is lost"
    batches = {one.observed_at_ns - 1 for one in found}
    for number in batches:
        batch = set(crash_references(number))
        assert batch <= found, f"write {number} was cut off, and a part of its batch is there: it is not atomic"
    for content in store.contents():
        assert sum(map(len, store.read(content.sha256))) == content.size, "a content is there in part"
