"""One history: whoever loses a race checks anew, answers that get lost change nothing, and nobody forks it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness.buckets import WatchedBucket, X, record, seen
from harness.stores import check_replicas_that_start_together, content_of

from kharvest.spi import Conflict, Content, Query, StoreUnavailable, UnknownContent
from kharvest_fsspec._local import LocalBucket
from kharvest_fsspec._log import segment_name
from kharvest_fsspec._opening import open_bucket
from kharvest_fsspec._store import FsspecStore

COLLIDING = Content(bytes(32), X.md5, 1)


class Opener:
    """Opens stores in one directory, each in a bucket that is watched, and closes them in the end."""

    def __init__(self, directory: Path, closing_stack: ExitStack) -> None:
        self._directory = directory
        self._closing = closing_stack

    def open(self, *, retention_seconds: float = 1000, trust_seconds: float = 500) -> tuple[FsspecStore, WatchedBucket]:
        bucket = WatchedBucket(LocalBucket(self._directory))
        store = open_bucket(bucket, "test", retention_seconds=retention_seconds, trust_seconds=trust_seconds)
        self._closing.callback(store.close)
        return store, bucket


@pytest.fixture
def opener(directory: Path) -> Iterator[Opener]:
    with ExitStack() as stack:
        yield Opener(directory, stack)


def times(store: FsspecStore) -> list[int]:
    return [one.observed_at_ns for one in store.references(Query()).items]


def once(bucket: WatchedBucket, kind: str, do: object, *, after: bool = False) -> None:
    """Do something before (or after) the bucket's next request of a kind."""

    def hook(found: str, _name: str) -> None:
        if found == kind:
            bucket.before = bucket.after = lambda _kind, _name: None
            do()  # type: ignore[operator]

    if after:
        bucket.after = hook
    else:
        bucket.before = hook


def test_a_writer_that_loses_the_race_for_a_number_is_behind_the_winner(opener: Opener) -> None:
    one, its_bucket = opener.open()
    other, _ = opener.open()
    record(one, 1)
    once(its_bucket, "create", lambda: record(other, 2))
    record(one, 3)
    assert times(one) == times(other) == [1, 2, 3]


def test_who_loses_the_race_appends_behind_the_winner(opener: Opener) -> None:
    one, its_bucket = opener.open()
    other, _ = opener.open()
    record(one, 5)
    once(its_bucket, "create", lambda: other.append({}, [seen(1)]))
    assert one.append({}, [seen(2), seen(3)]) == [seen(7), seen(8)]
    assert times(one) == times(other) == [5, 6, 7, 8]


def test_an_append_whose_answer_got_lost_is_there_once(opener: Opener) -> None:
    store, bucket = opener.open()
    record(store, 5)

    def lose() -> None:
        raise StoreUnavailable("the test says so")

    once(bucket, "create", lose, after=True)
    assert store.append({}, [seen(1)]) == [seen(6)]
    assert times(store) == [5, 6]


def test_what_the_winner_wrote_is_checked_anew_by_the_loser(opener: Opener) -> None:
    one, its_bucket = opener.open()
    other, _ = opener.open()
    for content in (X, COLLIDING):
        one.put(content, [b"x"])
    reference = seen(1)
    once(its_bucket, "create", lambda: other.record({reference.signature: X}, [reference]))
    with pytest.raises(Conflict):
        one.record({reference.signature: COLLIDING}, [reference])
    assert one.known([reference.signature]) == other.known([reference.signature]) == {reference.signature: X}


def test_of_two_who_claim_at_the_same_number_one_is_told_that_it_lost(opener: Opener) -> None:
    one, its_bucket = opener.open()
    other, _ = opener.open()
    won: list[set[bytes]] = []
    once(its_bucket, "create", lambda: won.append(other.claim([b"key"], "other", 1, 10)))
    assert one.claim([b"key"], "one", 1, 10) == set()
    assert won == [{b"key"}]


def test_a_refusal_is_told_only_in_the_newest_state(opener: Opener) -> None:
    one, _ = opener.open()
    other, _ = opener.open()
    record(other, 1)
    one.record({}, [seen(2)])  # refused in the state that `one` knows, and right in the newest
    with pytest.raises(UnknownContent):
        one.record({}, [seen(3, "/etc/unknown")])
    assert times(other) == [1, 2]


def test_a_write_whose_answer_got_lost_is_found_to_be_ours(opener: Opener) -> None:
    store, bucket = opener.open()
    record(store, 1)

    def lose_the_answer() -> None:
        raise StoreUnavailable("the connection broke")

    once(bucket, "create", lose_the_answer, after=True)
    store.record({}, [seen(2)])
    assert times(store) == [1, 2]
    assert store.claim([b"key"], "me", 1, 10) == {b"key"}


def test_a_request_that_is_sent_again_after_it_was_done_is_found_to_be_ours(opener: Opener, directory: Path) -> None:
    store, bucket = opener.open()
    record(store, 1, 2, 3)
    segments = sorted(directory.glob("log/*"))
    real_create = bucket.bucket.create

    def twice(name: str, data: bytes) -> None:
        real_create(name, data)
        real_create(name, data)

    bucket.bucket.create = twice  # type: ignore[method-assign]
    assert store.forget(Query(limit=1)) == 1
    assert len(sorted(directory.glob("log/*"))) == len(segments) + 1
    assert times(store) == [2, 3], "done twice, it would have taken two"


def test_a_write_that_arrives_late_is_part_of_the_history_once(opener: Opener) -> None:
    store, bucket = opener.open()
    record(store, 1)
    late: list[tuple[str, bytes]] = []
    real_create = bucket.bucket.create

    def hold_up(name: str, data: bytes) -> None:
        late.append((name, data))
        raise StoreUnavailable("no answer in time")

    bucket.bucket.create = hold_up  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        store.record({}, [seen(2)])
    bucket.bucket.create = real_create  # type: ignore[method-assign]
    assert times(store) == [1]
    real_create(*late[0])  # now it arrives
    store.record({}, [seen(2)])
    store.record({}, [seen(3)])
    assert times(store) == [1, 2, 3]


def test_a_put_that_may_have_been_published_keeps_its_object(opener: Opener) -> None:
    store, bucket = opener.open()
    real_create, real_get = bucket.bucket.create, bucket.bucket.get
    data = b"precious"

    def break_after(name: str, data: bytes) -> None:
        real_create(name, data)
        bucket.bucket.get = away  # type: ignore[method-assign, assignment]
        raise StoreUnavailable("the connection broke")

    def away(_name: str) -> bytes:
        raise StoreUnavailable("and stays broken")

    bucket.bucket.create = break_after  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        store.put(content_of(data), [data])
    bucket.bucket.create, bucket.bucket.get = real_create, real_get  # type: ignore[method-assign]
    assert b"".join(store.read(content_of(data).sha256)) == data


def test_calls_that_wait_for_one_write_share_the_next(opener: Opener, directory: Path) -> None:
    store, bucket = opener.open()
    record(store, 0)
    before = len(list(directory.glob("log/*")))
    callers = 20
    is_writing, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        is_writing.set()
        assert go_on.wait(30)

    once(bucket, "create", hold)
    threads = [threading.Thread(target=store.record, args=({}, [seen(n)])) for n in range(1, callers + 1)]
    threads[0].start()
    assert is_writing.wait(30)
    for thread in threads[1:]:
        thread.start()
    while store._log._groups.waiting_items < callers - 1:
        threading.Event().wait(0.001)
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert times(store) == list(range(callers + 1))
    assert len(list(directory.glob("log/*"))) == before + 2


def test_one_refused_call_of_a_group_does_not_stop_the_others(opener: Opener) -> None:
    store, bucket = opener.open()
    record(store, 0)
    is_writing, go_on = threading.Event(), threading.Event()
    refused: list[Exception] = []

    def hold() -> None:
        is_writing.set()
        assert go_on.wait(30)

    def record_unknown() -> None:
        try:
            store.record({}, [seen(7, "/etc/unknown")])
        except UnknownContent as error:
            refused.append(error)

    once(bucket, "create", hold)
    threads = [
        threading.Thread(target=store.record, args=({}, [seen(1)])),
        threading.Thread(target=record_unknown),
        threading.Thread(target=store.record, args=({}, [seen(2)])),
    ]
    threads[0].start()
    assert is_writing.wait(30)
    for thread in threads[1:]:
        thread.start()
    while store._log._groups.waiting_items < 2:
        threading.Event().wait(0.001)
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert len(refused) == 1
    assert times(store) == [0, 1, 2]


def write_until_trimmed(store: FsspecStore, directory: Path, number: int) -> None:
    """Write until the segment of this number is gone."""
    at_ns = 1000
    while (directory / segment_name(number)).exists():
        store.record({}, [seen(at_ns)])
        at_ns += 1
        assert at_ns < 2000


def test_a_sleeper_cannot_write_where_the_log_was_trimmed(opener: Opener, directory: Path) -> None:
    # The bounds are shrunk to nothing: the sleeper trusts no look at all, and segments are removed at once.
    sleeper, _ = opener.open(trust_seconds=-1)
    awake, _ = opener.open(retention_seconds=0)
    record(sleeper, 1)
    next_number = sleeper._log.number + 1
    record(awake, 2)
    write_until_trimmed(awake, directory, next_number)
    try:
        sleeper.record({}, [seen(3)])
    except StoreUnavailable:
        sleeper.record({}, [seen(3)])
    assert times(sleeper) == times(awake)
    assert 3 in times(awake)


def test_a_sleeper_does_not_take_a_trimmed_log_for_its_end(opener: Opener, directory: Path) -> None:
    sleeper, _ = opener.open(trust_seconds=-1)
    awake, _ = opener.open(retention_seconds=0)
    record(sleeper, 1)
    next_number = sleeper._log.number + 1
    record(awake, 2)
    write_until_trimmed(awake, directory, next_number)
    assert times(sleeper) == times(awake)


def test_a_sleeper_that_wakes_within_a_create_is_not_told_that_it_was_done(opener: Opener, directory: Path) -> None:
    sleeper, its_bucket = opener.open(trust_seconds=-1)
    awake, _ = opener.open(retention_seconds=0)
    record(sleeper, 1)
    next_number = sleeper._log.number + 1

    def sleep() -> None:
        record(awake, 2)
        write_until_trimmed(awake, directory, next_number)

    once(its_bucket, "create", sleep)
    with pytest.raises(StoreUnavailable, match="try again"):
        sleeper.forget(Query(until_ns=2))
    assert 1 in times(awake), "what it was about to do is in nobody's history"
    assert times(sleeper) == times(awake)
    assert sleeper.forget(Query(until_ns=2)) == 1


def test_the_trust_in_a_look_is_far_shorter_than_what_is_looked_for_stays() -> None:
    from kharvest_fsspec._log import RETENTION_SECONDS, TRUST_SECONDS  # noqa: PLC0415

    assert TRUST_SECONDS * 24 <= RETENTION_SECONDS


def test_within_its_trust_a_store_asks_for_no_list_of_checkpoints(opener: Opener) -> None:
    store, bucket = opener.open()
    record(store, 1)
    bucket.requests.clear()
    store.record({}, [seen(2)])
    assert times(store) == [1, 2]
    assert bucket.requests == {"create": 1, "get": 1}


def test_replicas_that_start_together_make_one_store(directory: Path) -> None:
    check_replicas_that_start_together(lambda: open_bucket(LocalBucket(directory), "test"), 8)
