"""What one page shows while others write: one moment."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kharvest.spi import Order, Page, Pod, Query, Reference, Store
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._samples import File, Sample, contents_by_signature
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import THREAD_SECONDS, put

PODS, GUESTS, PATHS = 8, 4, 8
SIZE = (PODS + GUESTS) * PATHS
"""How many references a round has."""
ROUNDS, MOST_ROUNDS = 8, 80
LOOKS = 6
"""How many rounds come and go, and how often each reader looks meanwhile, unless the most rounds come first."""
FILES = tuple(File(f"/etc/{number}", Sample(1)) for number in range(PATHS))
CONTENTS = contents_by_signature(FILES)


def round_of(number: int) -> list[Reference]:
    """What all pods have in one round, all of one time: some come in every round, and guests in every other."""
    pods = [Pod("shop", f"web-{pod}") for pod in range(PODS)]
    guests = [Pod(("even", "odd")[number % 2], f"web-{pod}") for pod in range(GUESTS)]
    return [file.seen(number, pod) for pod in (*pods, *guests) for file in FILES]


@contextmanager
def turns_taken_often() -> Iterator[None]:
    """Let threads of this process take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@thorough
class WatchingTests(Base):
    """Of `references` and `files`, while rounds come and go: of each, a page shows all or nothing."""

    def watch(self, store: Store, *looks: Callable[[Store], None]) -> None:
        """Record round after round and forget the oldest, and look all the while."""
        put(store, FILES[0])
        store.record(dict(CONTENTS), round_of(1))
        finished = threading.Event()
        errors: list[BaseException] = []

        def keep_looking(look: Callable[[Store], None], count: list[None]) -> None:
            try:
                while not finished.is_set():
                    look(store)
                    count.append(None)
                look(store)
            except BaseException as error:  # noqa: BLE001  # raised below, in the test's own thread
                errors.append(error)

        looked: list[list[None]] = [[] for _look in looks]
        pairs = zip(looks, looked, strict=True)
        threads = [threading.Thread(target=keep_looking, args=pair, daemon=True) for pair in pairs]
        with turns_taken_often():
            for thread in threads:
                thread.start()
            try:
                for number in range(2, MOST_ROUNDS, 2):
                    for one in (number, number + 1):
                        store.record({} if one % 4 else dict(CONTENTS), round_of(one))
                    for _round in range(2):
                        assert store.forget(Query(limit=SIZE)) == SIZE
                    if number >= ROUNDS and (errors or min(map(len, looked)) >= LOOKS):
                        break
            finally:
                finished.set()
                for thread in threads:
                    thread.join(THREAD_SECONDS)
        assert not any(thread.is_alive() for thread in threads), "a read does not return once nobody writes"
        if errors:
            raise errors[0]

    @clause("ReferenceStore.references", "A page shows one moment")
    def test_a_page_of_references_shows_one_moment(self, store: Store) -> None:
        def whole(store: Store) -> None:
            for order in Order:
                page = store.references(Query(limit=1000, order=order))
                counts = Counter(one.observed_at_ns for one in page.items)
                assert not page.items or 1 <= len(counts) <= 3, f"rounds that were never together: {counts}"
                if page.next_cursor is None:
                    assert set(counts.values()) == {SIZE}, f"a round of {SIZE} references is there in part: {counts}"

        def edges(store: Store) -> None:
            for order in Order:
                page = store.references(Query(limit=SIZE, order=order))
                self.check_round(page, is_whole=False)

        def latest(store: Store) -> None:
            self.check_round(store.references(Query(latest=True, namespace="shop")), is_whole=True)
            for query in (
                Query(latest=True, namespace="shop", path=FILES[0].path),
                Query(latest=True, until_ns=MOST_ROUNDS + 2, namespace="shop", pod="web-1"),
            ):
                self.check_round(store.references(query), is_whole=False)

        self.watch(store, whole, edges, latest)

    @clause("ReferenceStore.files", "A page shows one moment.")
    def test_a_page_of_files_shows_one_moment(self, store: Store) -> None:
        def latest(store: Store) -> None:
            page = store.files(Query(latest=True, namespace="shop"))
            seen = {(one.pods, one.first_seen_ns, one.last_seen_ns) for one in page.items}
            assert len(seen) <= 1, f"files of several moments: {seen}"
            assert all(pods == PODS and first == last for pods, first, last in seen), f"a round in part: {seen}"

        def history(store: Store) -> None:
            page = store.files(Query())
            seen = {(one.pods, one.first_seen_ns, one.last_seen_ns) for one in page.items}
            assert len(seen) <= 1, f"files of several moments: {seen}"
            for pods, first, last in seen:
                assert last - first <= 2, f"never so: {seen}"
                assert pods == PODS + GUESTS * (1 if first == last else 2), f"never so: {seen}"
            if page.next_cursor is None:
                assert len(page.items) == PATHS

        self.watch(store, latest, history)

    def check_round(self, page: Page[Reference], *, is_whole: bool) -> None:
        times = {one.observed_at_ns for one in page.items}
        assert len(times) <= 1, f"references of several rounds: {sorted(times)}"
        if is_whole and page.next_cursor is None:
            assert len(page.items) == PODS * PATHS
