"""Checkpoints bound what opening costs, trimming takes only what is old, and sweeping only what nobody can publish."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

import pytest
from harness.buckets import WatchedBucket, X, record, seen
from harness.stores import content_of

from kharvest.spi import Query, StoreUnavailable
from kharvest_fsspec._bucket import Entry
from kharvest_fsspec._local import LocalBucket
from kharvest_fsspec._opening import open_bucket
from kharvest_fsspec._store import FsspecStore

NS = 10**9


class AgedBucket(WatchedBucket):
    """A bucket whose clock a test sets: everything counts as made when the clock stood where it stood then."""

    def __init__(self, directory: Path, times: dict[str, int]) -> None:
        super().__init__(LocalBucket(directory))
        self.clock_ns = 0
        self._times = times

    def create(self, name: str, data: bytes) -> None:
        super().create(name, data)
        self._times[name] = self.clock_ns

    def upload(self, name: str, parts: object) -> None:
        super().upload(name, parts)  # type: ignore[arg-type]
        self._times[name] = self.clock_ns

    def entries(self, folder: str, start: str = "") -> list[Entry]:
        return [Entry(one.name, self._times[one.name]) for one in super().entries(folder, start)]

    def modified_ns(self, name: str) -> int:
        return self._times[name]


def opened(bucket: WatchedBucket) -> FsspecStore:
    return open_bucket(bucket, "test", retention_seconds=100, trust_seconds=10)


def objects(directory: Path, folder: str) -> list[str]:
    return sorted(path.name for path in (directory / folder).glob("*"))


def write(store: FsspecStore, count: int, start: int = 0) -> None:
    """So many segments, and the checkpoints that they give rise to."""
    for number in range(start, start + count):
        store.record({}, [seen(number)])
        store._upkeep.wait()


@pytest.fixture
def bucket(directory: Path) -> AgedBucket:
    return AgedBucket(directory, {})


def test_opening_costs_no_more_with_a_longer_log(bucket: AgedBucket) -> None:
    with closing(opened(bucket)) as store:
        record(store, 0)
        write(store, 300, 1)
    bucket.requests.clear()
    with closing(opened(bucket)) as store:
        assert len(store.references(Query()).items) == 301
    assert sum(bucket.requests.values()) < 50, bucket.requests


def test_two_checkpoints_are_kept(bucket: AgedBucket, directory: Path) -> None:
    with closing(opened(bucket)) as store:
        record(store, 0)
        write(store, 200, 1)
    assert len(objects(directory, "checkpoints")) == 2


def test_segments_stay_as_long_as_a_sleeper_may_miss_them(bucket: AgedBucket, directory: Path) -> None:
    with closing(opened(bucket)) as store:
        record(store, 0)
        bucket.clock_ns = 99 * NS
        write(store, 100, 1)
        assert len(objects(directory, "log")) == 102
        bucket.clock_ns = 300 * NS
        write(store, 50, 200)
        left = objects(directory, "log")
        assert len(left) < 102, "what a checkpoint of 99 s covers is gone at 300 s"
        assert left == objects(directory, "log")[-len(left) :]
        checkpoint = int(objects(directory, "checkpoints")[-1].partition("-")[0])
        assert left[-1] >= f"{checkpoint:020}"
    with closing(opened(bucket)) as store:
        assert len(store.references(Query(limit=1000)).items) == 151


def test_what_was_trimmed_is_not_removed_again_by_whoever_comes_next(bucket: AgedBucket) -> None:
    with closing(opened(bucket)) as store:
        record(store, 0)
        write(store, 40, 1)
        bucket.clock_ns = 300 * NS
        write(store, 40, 100)
    with closing(opened(bucket)) as store:
        removed: list[list[str]] = []
        real = bucket.bucket.remove

        def remove(names: Collection[str]) -> None:
            removed.append(list(names))
            real(names)

        bucket.bucket.remove = remove  # type: ignore[method-assign]
        bucket.clock_ns = 600 * NS
        write(store, 40, 200)
    segments = [name for names in removed for name in names if name.startswith("log/")]
    assert segments
    assert segments == sorted(set(segments))
    assert segments[0] > "log/00000000000000000008"


def test_a_second_process_goes_on_from_the_checkpoint_of_the_first(bucket: AgedBucket, directory: Path) -> None:
    with closing(opened(bucket)) as store:
        record(store, 0)
        write(store, 100, 1)
        for path in (directory / "log").iterdir():
            if path.name <= objects(directory, "checkpoints")[-1].partition("-")[0]:
                path.unlink()
        with closing(opened(WatchedBucket(LocalBucket(directory)))) as other:
            assert other.references(Query()).items == store.references(Query()).items


def test_two_processes_do_not_both_make_the_same_checkpoint(bucket: AgedBucket, directory: Path) -> None:
    with closing(opened(bucket)) as one, closing(opened(bucket)) as other:
        record(one, 0)
        made = set()
        for number in range(1, 200, 2):
            write(one, 1, number)
            write(other, 1, number + 1)
            made |= set(objects(directory, "checkpoints"))
        assert len(one.references(Query(limit=1000)).items) == 201
    assert len(made) <= 200 // 8 + 1


def test_upkeep_that_fails_fails_no_call_and_is_tried_again(
    bucket: AgedBucket, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(opened(bucket)) as store:
        record(store, 0)

        def away(kind: str, name: str) -> None:
            if kind == "upload" and name.startswith("checkpoints/"):
                raise StoreUnavailable("away")

        bucket.before = away
        write(store, 30, 1)
        assert "is tried again later" in caplog.text
        assert not (directory / "checkpoints").exists()
        bucket.before = lambda _kind, _name: None
        write(store, 30, 100)
        assert objects(directory, "checkpoints")


def leave(bucket: AgedBucket, data: bytes = b"left") -> str:
    """What a process leaves that is killed between upload and publication."""
    name = f"contents/{content_of(data).sha256.hex()}-{secrets.token_hex(8)}"
    bucket.upload(name, [data])
    return name


def test_what_killed_processes_left_is_swept_when_it_is_old(bucket: AgedBucket, directory: Path) -> None:
    with closing(opened(bucket)) as store:
        record(store, 0)
        old = leave(bucket)
        bucket.clock_ns = 150 * NS
        young = leave(bucket)
        write(store, 30, 1)
        assert not (directory / old).exists()
        assert (directory / young).exists()
        assert store.present([X.sha256]) == {X.sha256: X}
        assert b"".join(store.read(X.sha256)) == b"x"


def test_files_of_somebody_else_among_the_contents_are_not_swept(bucket: AgedBucket, directory: Path) -> None:
    with closing(opened(bucket)) as store:
        record(store, 0)
        bucket.upload("contents/abc.txt", [b"somebody else's"])
        bucket.clock_ns = 150 * NS
        write(store, 30, 1)
        assert (directory / "contents/abc.txt").exists()


def test_an_upload_that_was_taken_for_dead_is_refused_and_never_shown(bucket: AgedBucket) -> None:
    data = b"slow"
    with closing(opened(bucket)) as store, closing(opened(bucket)) as other:
        record(other, 0)

        real = bucket.upload

        def upload(name: str, parts: object) -> None:
            # The upload has ended, and its process is about to publish it, when others find that it is 150 s old.
            real(name, parts)
            if name.startswith("contents/"):
                bucket.upload = real  # type: ignore[method-assign]
                bucket.clock_ns = 150 * NS
                write(other, 30, 1)

        bucket.upload = upload  # type: ignore[method-assign]
        with pytest.raises(StoreUnavailable, match="send it again"):
            store.put(content_of(data), [data])
        assert store.present([content_of(data).sha256]) == {}
        store.put(content_of(data), [data])
        assert b"".join(other.read(content_of(data).sha256)) == data


def test_a_discarded_content_that_is_put_again_meanwhile_keeps_its_bytes(bucket: AgedBucket, directory: Path) -> None:
    with closing(opened(bucket)) as store, closing(opened(bucket)) as other:
        record(store, 0)
        store.forget(Query())

        def put_again(kind: str, _name: str) -> None:
            if kind == "remove":
                bucket.before = lambda _kind, _name: None
                other.put(X, [b"x"])

        bucket.before = put_again
        store.discard([X.sha256])
        assert store.present([X.sha256]) == {X.sha256: X}
        assert b"".join(store.read(X.sha256)) == b"x"
        assert len(objects(directory, "contents")) == 1


@pytest.fixture
def index_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_an_index_is_removed_with_its_store_and_after_a_crash_with_the_next(
    directory: Path, index_folder: Path
) -> None:
    left = index_folder / "kharvest-index-killed"
    left.mkdir()
    (left / "lock").touch()
    (left / "index.db").write_bytes(b"x" * 1000)
    with closing(open_bucket(LocalBucket(directory), "test")) as store:
        assert not left.exists()
        record(store, 0)
        with closing(open_bucket(LocalBucket(directory), "test")):
            assert len(os.listdir(index_folder)) == 2  # noqa: PTH208
        write(store, 30, 1)
        assert len(os.listdir(index_folder)) == 1, "checkpoints are made in the same folder"  # noqa: PTH208
    assert list(index_folder.iterdir()) == []
