"""SQLite stores on disks that are full, or that are filled by others: nothing is lost, and nothing stays stuck."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from harness.disks import fill, small_disk
from harness.stores import content_of, files_of, record, reference

from kharvest.spi import Query, StoreFull
from kharvest_sql._store import SqlStore, open_references, open_store

MB = 10**6


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 40 MB, empty."""
    with small_disk(tmp_path / "disk", 40 * MB) as disk:
        yield disk


def url_of(disk: Path) -> str:
    return f"sqlite:///{disk}/kharvest.db"


def chunks_in(store: SqlStore) -> int:
    with store._contents_database.read() as session:
        return int(session.first("SELECT COUNT(*) FROM kharvest_chunk")[0])


def put_zeros(store: SqlStore, size: int) -> None:
    store.put(content_of(bytes(size)), [bytes(size)])


def undrawn() -> Iterator[bytes]:
    yield from (pytest.fail("a chunk was drawn") for _ in range(1))


def put_until_full(store: SqlStore) -> None:
    for number in range(40):
        data = number.to_bytes() * MB
        store.put(content_of(data), [data])


def record_until_full(store: SqlStore, first_ns: int, at_once: int) -> None:
    for time_ns in range(first_ns, first_ns + 200_000, at_once):
        store.record({}, [reference(time_ns + number) for number in range(at_once)])


@pytest.mark.parametrize("disk_mb", [6, 40, 100])
def test_an_upload_that_will_not_fit_is_refused_before_its_first_chunk(tmp_path: Path, disk_mb: int) -> None:
    with small_disk(tmp_path / "disk", disk_mb * MB) as disk, closing(open_store(url_of(disk))) as store:
        with pytest.raises(StoreFull, match="kept for references"):
            store.put(content_of(bytes(disk_mb * MB)), undrawn())
        record(store, reference(1))
    open_store(url_of(tmp_path)).close()


def test_of_two_uploads_of_which_each_fits_alone_one_is_refused_before_its_first_chunk(disk: Path) -> None:
    first = content_of(bytes(18 * MB))
    second = content_of(b"1" * (18 * MB))

    def chunks() -> Iterator[bytes]:
        yield bytes(6 * MB)
        with pytest.raises(StoreFull):
            store.put(second, undrawn())
        yield bytes(12 * MB)

    with closing(open_store(url_of(disk))) as store:
        store.put(first, chunks())
        store.discard([first.sha256])
        store.put(second, [b"1" * (18 * MB)])
        assert store.present([first.sha256, second.sha256]).keys() == {second.sha256}


def test_an_upload_that_ends_gives_back_the_room_that_it_was_promised(disk: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield bytes(6 * MB)
        raise RuntimeError("sender died")

    with closing(open_store(url_of(disk))) as store:
        for _ in range(3):
            with pytest.raises(RuntimeError, match="sender died"):
                store.put(content_of(bytes(20 * MB)), broken())
        assert chunks_in(store) == 0
        put_zeros(store, 20 * MB)


@pytest.mark.slow
def test_contents_leave_a_small_disk_room_for_references(disk: Path) -> None:
    with closing(open_store(url_of(disk))) as store:
        with pytest.raises(StoreFull):
            put_until_full(store)
        assert len(list(store.contents())) > 20
        for time_ns in range(100):
            one = reference(time_ns, data=bytes(MB))
            store.record(files_of(one, data=bytes(MB)), [one])


def test_what_an_upload_left_is_removed_on_a_disk_that_others_filled_meanwhile(disk: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield bytes(9 * MB)
        filled.append(fill(disk))
        yield bytes(9 * MB)

    filled: list[Path] = []
    with closing(open_store(url_of(disk))) as store:
        record(store, reference(1))
        with pytest.raises(StoreFull):
            store.put(content_of(bytes(18 * MB)), chunks())
        assert chunks_in(store) == 1, "that of the one content"
        filled[0].unlink()
        put_zeros(store, 18 * MB)


def test_a_disk_that_others_fill_and_empty_again_records_again_without_a_restart(disk: Path) -> None:
    with closing(open_store(url_of(disk))) as store:
        record(store, reference(1))
        other = fill(disk)
        with pytest.raises(StoreFull):
            record_until_full(store, 2, 1)
        with pytest.raises(StoreFull):
            put_zeros(store, MB)
        assert reference(1) in store.references(Query()).items
        other.unlink()
        record(store, reference(10**6))
        put_zeros(store, MB)


@pytest.mark.slow
def test_a_store_opens_on_a_full_disk_reads_and_records_again_when_there_is_room(disk: Path) -> None:
    with closing(open_store(url_of(disk))) as store:
        record(store, reference(1))
    other = fill(disk)
    for _ in range(3):
        with closing(open_store(url_of(disk))) as store:
            assert store.references(Query()).items == (reference(1),)
            assert b"".join(store.read(content_of(b"x").sha256)) == b"x"
            with pytest.raises(StoreFull):
                record(store, *(reference(time_ns) for time_ns in range(2, 20_000)))
            with pytest.raises(StoreFull):
                put_zeros(store, MB)
    with closing(open_store(url_of(disk))) as store:
        other.unlink()
        record(store, reference(2))
        put_zeros(store, MB)


def test_references_alone_open_on_a_full_disk(disk: Path) -> None:
    open_references(url_of(disk)).close()
    fill(disk)
    with closing(open_references(url_of(disk))) as store:
        assert store.references(Query()).items == ()


UPLOADER = """
import sys
from kharvest.spi import Content
from kharvest_sql._store import open_store
def chunks():
    yield bytes(18_000_000)
    print("waiting", flush=True)
    sys.stdin.read()
open_store(sys.argv[1]).put(Content(b"s" * 32, b"m" * 16, 20_000_000), chunks())
"""


def test_what_a_killed_upload_left_is_removed_from_a_full_disk_at_opening(disk: Path) -> None:
    command = [sys.executable, "-c", UPLOADER, url_of(disk)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as uploader:
        assert uploader.stdout is not None
        assert uploader.stdout.readline() == b"waiting\n"
        uploader.send_signal(signal.SIGKILL)
        uploader.wait(20)
    other = fill(disk)
    with closing(open_store(url_of(disk))) as store:
        assert chunks_in(store) == 0
        other.unlink()
        put_zeros(store, 18 * MB)


@pytest.mark.slow
def test_contents_are_discarded_and_references_forgotten_on_a_full_disk(disk: Path) -> None:
    contents = [content_of(number.to_bytes() * MB) for number in range(10)]
    with closing(open_store(url_of(disk))) as store:
        for number, content in enumerate(contents):
            store.put(content, [number.to_bytes() * MB])
        record(store, *(reference(time_ns, f"/etc/{time_ns}") for time_ns in range(3000)))
        fill(disk)
        while store.forget(Query(limit=1000)):
            pass
        store.discard([content.sha256 for content in contents])
        assert store.references(Query()).items == ()
        assert chunks_in(store) == 1, "that of the content that was recorded"


@pytest.mark.slow
def test_a_disk_that_references_filled_takes_new_ones_when_old_ones_are_forgotten(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 6 * MB) as disk, closing(open_store(url_of(disk))) as store:
        record(store, reference(1))
        with pytest.raises(StoreFull):
            record_until_full(store, 2, 2000)
        assert store.forget(Query(limit=1000)) == 1000
        for number in range(100):
            store.record({}, [reference(10**6 + number)])
