"""Group commit: what arrives while a group is committed shares the next one, and each learns how its own ended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from kharvest.spi import GroupCommit, StoreError, StoreUnavailable


class Commits:
    """Commits that wait until they are let on, each with the items that it was given."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.refused: Callable[[list[int]], Exception | None] = lambda _items: None
        self.may_go_on = threading.Semaphore(0)
        self._started = threading.Condition()

    def __call__(self, items: list[int]) -> list[int | Exception]:
        with self._started:
            self.groups.append(items)
            self._started.notify_all()
        assert self.may_go_on.acquire(timeout=20)
        if (error := self.refused(items)) is not None:
            raise error
        return [10 * item for item in items]

    def wait_for(self, groups: int) -> None:
        with self._started:
            assert self._started.wait_for(lambda: len(self.groups) >= groups, 20), self.groups


class Arrivals:
    """Callers of a group commit, each on a thread of its own, that arrive one after the other."""

    def __init__(self, threads: ThreadPoolExecutor, groups: GroupCommit[int, int]) -> None:
        self._threads = threads
        self._groups = groups

    def arrive(self, *items: int) -> dict[int, Future[int]]:
        """Have a caller wait for each item."""
        futures = {}
        for item in items:
            before = self._groups.waiting_items
            futures[item] = self._threads.submit(self._groups.run, item)
            while self._groups.waiting_items == before:
                threading.Event().wait(0.001)
        return futures


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(40) as executor:
        yield executor


def errors(futures: dict[int, Future[int]]) -> dict[int, str]:
    failures = {item: future.exception(20) for item, future in futures.items()}
    return {item: type(error).__name__ for item, error in failures.items() if error is not None}


def test_what_arrives_during_a_commit_shares_the_next_one_in_the_order_of_arrival(threads: ThreadPoolExecutor) -> None:
    commits = Commits()
    groups: GroupCommit[int, int] = GroupCommit(commits)
    first = threads.submit(groups.run, 0)
    commits.wait_for(1)
    others = Arrivals(threads, groups).arrive(*range(30, 0, -1))
    commits.may_go_on.release(2)
    assert first.result(20) == 0
    assert {item: future.result(20) for item, future in others.items()} == {item: 10 * item for item in range(1, 31)}
    assert commits.groups == [[0], list(range(30, 0, -1))]


def test_who_comes_back_at_once_does_not_commit_alone_before_those_who_wait(threads: ThreadPoolExecutor) -> None:
    """As with a lock that the fastest gets: then groups would be of one or two, however many threads there are."""
    sizes: list[int] = []
    start = threading.Barrier(16)

    def commit(items: list[int]) -> list[None]:
        sizes.append(len(items))
        threading.Event().wait(0.001)  # as a disk does
        return [None] * len(items)

    groups: GroupCommit[int, None] = GroupCommit(commit)

    def come_back() -> None:
        start.wait(20)
        for item in range(200):
            groups.run(item)

    for future in [threads.submit(come_back) for _ in range(16)]:
        future.result(60)
    assert sum(sizes) == 16 * 200
    assert len(sizes) < 16 * 200 / 4, len(sizes)


def test_one_that_fails_fails_alone(threads: ThreadPoolExecutor) -> None:
    commits = Commits()
    commits.refused = lambda items: ValueError("the sixth") if 6 in items else None
    groups: GroupCommit[int, int] = GroupCommit(commits)
    first = threads.submit(groups.run, 0)
    commits.wait_for(1)
    others = Arrivals(threads, groups).arrive(*range(1, 11))
    commits.may_go_on.release(20)
    first.result(20)
    assert errors(others) == {6: "ValueError"}
    committed = [group for group in commits.groups if 6 not in group]
    assert [item for group in committed for item in group] == [item for item in range(11) if item != 6], "in order"


def test_an_error_that_a_commit_returns_is_that_caller_s_own() -> None:
    groups: GroupCommit[int, int] = GroupCommit(lambda items: [ValueError() if item == 1 else item for item in items])
    with pytest.raises(ValueError):  # noqa: PT011  it has no text
        groups.run(1)
    assert groups.run(2) == 2


def test_an_error_that_all_share_is_not_tried_out_on_each(threads: ThreadPoolExecutor) -> None:
    commits = Commits()
    commits.refused = lambda items: StoreError("gone") if 6 in items else None
    groups: GroupCommit[int, int] = GroupCommit(commits, is_shared=lambda error: isinstance(error, StoreError))
    first = threads.submit(groups.run, 0)
    commits.wait_for(1)
    arrivals = Arrivals(threads, groups)
    others = arrivals.arrive(*range(1, 11))
    commits.may_go_on.release()
    commits.wait_for(2)
    later = arrivals.arrive(11)
    commits.may_go_on.release(2)
    first.result(20)
    assert errors(others) == dict.fromkeys(range(1, 11), "StoreError")
    assert later[11].result(20) == 110, "who waited for the next group was not in this one"
    assert len(commits.groups) == 3


def test_who_waited_while_the_store_was_away_is_told_with_the_others(threads: ThreadPoolExecutor) -> None:
    commits = Commits()
    commits.refused = lambda items: StoreUnavailable("no answer") if 1 in items else None
    groups: GroupCommit[int, int] = GroupCommit(commits, shared_by_all=(StoreUnavailable,))
    arrivals = Arrivals(threads, groups)
    first = {1: threads.submit(groups.run, 1)}
    commits.wait_for(1)
    waiting = arrivals.arrive(2, 3)
    commits.may_go_on.release()
    assert errors(first | waiting) == dict.fromkeys((1, 2, 3), "StoreUnavailable")
    assert commits.groups == [[1]]
    commits.may_go_on.release()
    assert groups.run(4) == 40, "the next caller leads again"


@pytest.mark.parametrize(("max_items", "max_bytes"), [(7, 10_000), (1000, 700)])
def test_groups_are_bounded_in_items_and_in_bytes(max_items: int, max_bytes: int) -> None:
    groups: GroupCommit[int, int] = GroupCommit(
        lambda items: items, weigh=lambda item: (item, 100 * item), max_items=max_items, max_bytes=max_bytes
    )
    entries = [groups.add(item) for item in (4, 3, 3, 1, 1, 12, 2)]
    assert groups.waiting_items == 26
    taken = []
    while group := groups.take():
        taken.append([entry.item for entry in group])
        assert groups.commit(group) == group
    assert taken == [[4, 3], [3, 1, 1], [12], [2]], "what is larger than the bound goes alone"
    assert [entry.result() for entry in entries] == [4, 3, 3, 1, 1, 12, 2]
    assert groups.waiting_items == 0


def test_what_nobody_waits_for_any_more_is_left_out() -> None:
    groups: GroupCommit[int, int] = GroupCommit(lambda items: items)
    entries = [groups.add(item) for item in range(3)]
    entries[1].is_abandoned = True
    assert [entry.item for entry in groups.take()] == [0, 2]
    assert groups.waiting_items == 0


def test_after_closing_what_waits_is_committed_and_who_comes_is_refused(threads: ThreadPoolExecutor) -> None:
    commits = Commits()
    groups: GroupCommit[int, int] = GroupCommit(commits, closed=lambda: StoreUnavailable("closed"))
    first = threads.submit(groups.run, 0)
    commits.wait_for(1)
    waiting = Arrivals(threads, groups).arrive(1, 2)
    groups.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        groups.run(3)
    with pytest.raises(StoreUnavailable, match="closed"):
        groups.add(3)
    commits.may_go_on.release(2)
    assert first.result(20) == 0
    assert {item: future.result(20) for item, future in waiting.items()} == {1: 10, 2: 20}


def test_a_commit_that_is_interrupted_leaves_nobody_waiting(threads: ThreadPoolExecutor) -> None:
    class Interrupt(BaseException):
        pass

    started, go_on = threading.Event(), threading.Event()
    committed: list[int] = []

    def commit(items: list[int]) -> list[int]:
        if not started.is_set():
            started.set()
            assert go_on.wait(20)
            raise Interrupt
        committed.extend(items)
        return items

    groups: GroupCommit[int, int] = GroupCommit(commit)
    first = threads.submit(groups.run, 0)
    assert started.wait(20)
    others = Arrivals(threads, groups).arrive(1, 2, 3)
    go_on.set()
    assert isinstance(first.exception(20), Interrupt)
    for future in others.values():
        future.result(20)
    assert sorted(committed) == [1, 2, 3]
