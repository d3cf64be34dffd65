"""DURABLE: what a call has written when it returns is there again, whatever became of the process."""

from __future__ import annotations

from random import Random

import pytest

from kharvest.spi import Capability, Query, Store, UnknownContent
from kharvest_conformance.clauses import clause
from kharvest_conformance.depth import Depth
from kharvest_conformance.place import Place, Places
from kharvest_conformance.samples import OTHER, WEB, File, Sample, removed
from kharvest_conformance.suite.base import Base
from kharvest_conformance.suite.holding import data_of, harvest, has_data, listing
from kharvest_conformance.suite.walks import walk_files
from kharvest_conformance.tasks import (
    CRASH_HOLDER,
    CRASH_LEASE_NS,
    PutUntilKilled,
    WriteUntilKilled,
    crash_files,
    crash_key,
    crash_references,
)

CRASHES = 3
WRITES = 25
FILES = (File("/etc/a", Sample(100, 1)), File("/etc/b", Sample(200_000, 2)))
SCENE = (*(file.seen(at, pod) for file in FILES for at, pod in ((1, WEB), (2, OTHER))), removed("/etc/a", 3, WEB))
WORDS = "What a call has written when it returns survives a killed process"


class SurvivingTests(Base):
    """Of `Capability.DURABLE`."""

    @clause("Capability", WORDS, needs=Capability.DURABLE)
    def test_everything_is_there_after_reopening(self, place: Place) -> None:
        store = place.open()
        harvest(store, FILES, SCENE)
        order = listing(store)
        summaries = walk_files(store, Query())
        store.claim([b"key"], "holder", 1, 100)

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

    @clause("ContentStore.put", "the process dies", needs=Capability.DURABLE)
    def test_a_put_that_is_killed_leaves_nothing_visible(self, place: Place) -> None:
        file = File("/", Sample(4_000_000, 3))
        worker = place.worker()
        worker.ready()
        worker.start(PutUntilKilled(file.sample, 50_000))
        assert worker.report() == "half of it is put"
        worker.kill()

        store = place.open()
        assert store.present([file.content.sha256]) == {}
        assert list(store.contents()) == []
        with pytest.raises(UnknownContent):
            list(store.read(file.content.sha256))
        store.put(file.content, file.sample.chunks())
        assert has_data(store, file)


def _check_after_crash(store: Store, writes: int) -> None:
    found = set(listing(store))
    for number in range(writes):
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
