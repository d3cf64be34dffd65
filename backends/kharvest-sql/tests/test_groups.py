"""Group commit: what arrives while a transaction runs shares the next one, and each learns how its own ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from kharvest.spi import StoreUnavailable
from kharvest_sql.groups import Gatherer


class Commits:
    """Commits that wait until they are let on, each with the items that it was given."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.refused: Callable[[list[int]], Exception | None] = lambda _items: None
        self.may_go_on = threading.Semaphore(0)
        self._started = threading.Condition()

    def __call__(self, items: list[int]) -> None:
        with self._started:
            self.groups.append(items)
            self._started.notify_all()
        assert self.may_go_on.acquire(timeout=20)
        if (error := self.refused(items)) is not None:
            raise error

    def wait_for(self, groups: int) -> None:
        with self._started:
            assert self._started.wait_for(lambda: len(self.groups) >= groups, 20), self.groups


def arrive(gatherer: Gatherer[int], threads: ThreadPoolExecutor, items: range) -> list[Future[None]]:
    """Have a thread wait for each item."""
    before = len(gatherer._waiting)
    futures = [threads.submit(gatherer.run, item) for item in items]
    while len(gatherer._waiting) < before + len(items):
        pass
    return futures


@pytest.fixture
def threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(40)


def test_what_arrives_during_a_commit_shares_the_next_one(threads: ThreadPoolExecutor) -> None:
    commits = Commits()
    gatherer = Gatherer(commits)
    with threads:
        first = threads.submit(gatherer.run, 0)
        commits.wait_for(1)
        others = arrive(gatherer, threads, range(1, 31))
        commits.may_go_on.release(2)
        for future in (first, *others):
            future.result(20)
    assert [sorted(group) for group in commits.groups] == [[0], list(range(1, 31))]


def test_who_comes_back_at_once_does_not_commit_alone_before_those_who_wait(threads: ThreadPoolExecutor) -> None:
    """As with a lock that the fastest gets: then groups would be of one or two, however many threads there are."""
    sizes: list[int] = []
    start = threading.Barrier(16)

    def commit(items: list[int]) -> None:
        sizes.append(len(items))
        threading.Event().wait(0.001)  # as a disk does

    gatherer = Gatherer(commit)

    def come_back() -> None:
        start.wait(20)
        for item in range(200):
            gatherer.run(item)

    with threads:
        for future in [threads.submit(come_back) for _ in range(16)]:
            future.result(60)
    assert sum(sizes) == 16 * 200
    assert len(sizes) < 16 * 200 / 4, len(sizes)


def test_one_that_fails_fails_alone(threads: ThreadPoolExecutor) -> None:
    commits = Commits()
    commits.refused = lambda items: ValueError("the sixth") if 6 in items else None
    gatherer = Gatherer(commits)
    with threads:
        first = threads.submit(gatherer.run, 0)
        commits.wait_for(1)
        others = arrive(gatherer, threads, range(1, 11))
        commits.may_go_on.release(20)
        first.result(20)
        failures = {item: future.exception(20) for item, future in enumerate(others, 1)}
    assert {item: str(error) for item, error in failures.items() if error is not None} == {6: "the sixth"}


def test_an_error_that_all_share_is_not_tried_out_on_each(threads: ThreadPoolExecutor) -> None:
    commits = Commits()
    commits.refused = lambda items: StoreUnavailable("gone") if 6 in items else None
    gatherer = Gatherer(commits, shared=(StoreUnavailable,))
    with threads:
        first = threads.submit(gatherer.run, 0)
        commits.wait_for(1)
        others = arrive(gatherer, threads, range(1, 11))
        commits.may_go_on.release(2)
        first.result(20)
        assert {type(future.exception(20)) for future in others} == {StoreUnavailable}
    assert len(commits.groups) == 2
    commits.may_go_on.release()
    gatherer.run(11)


def test_a_commit_that_is_interrupted_leaves_nobody_waiting(threads: ThreadPoolExecutor) -> None:
    class Interrupt(BaseException):
        pass

    started, go_on = threading.Event(), threading.Event()
    committed: list[int] = []

    def commit(items: list[int]) -> None:
        if not started.is_set():
            started.set()
            assert go_on.wait(20)
            raise Interrupt
        committed.extend(items)

    gatherer = Gatherer(commit)
    with threads:
        first = threads.submit(gatherer.run, 0)
        assert started.wait(20)
        others = arrive(gatherer, threads, range(1, 4))
        go_on.set()
        assert isinstance(first.exception(20), Interrupt)
        for future in others:
            future.result(20)
    assert sorted(committed) == [1, 2, 3]
