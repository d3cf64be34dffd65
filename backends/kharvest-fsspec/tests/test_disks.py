"""A directory on a disk that is full, that fails, or that is taken away; and what happens to the local index."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from harness.buckets import X, record, seen
from harness.disks import fill, mortal_disk, small_disk
from harness.stores import content_of

from kharvest.spi import Query, StoreFull, StoreReplaced, StoreUnavailable
from kharvest_fsspec._opening import open_store
from kharvest_fsspec._store import FsspecStore

MB = 10**6


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 40 MB, empty."""
    with small_disk(tmp_path / "disk", 40 * MB) as disk:
        yield disk


def undrawn() -> Iterator[bytes]:
    yield from (pytest.fail("a chunk was drawn") for _ in range(1))


def record_many(store: FsspecStore, first_ns: int) -> None:
    for at_ns in range(first_ns, first_ns + 3000):
        one = seen(at_ns, f"/etc/{os.urandom(1000).hex()}")
        store.record({one.signature: X}, [one])


def test_an_upload_that_will_not_fit_is_refused_before_its_first_chunk(disk: Path) -> None:
    with closing(open_store(f"file://{disk}/store")) as store:
        with pytest.raises(StoreFull, match="kept for references"):
            store.put(content_of(bytes(40 * MB)), undrawn())
        record(store, 1)


def test_of_two_uploads_of_which_each_fits_alone_one_is_refused_before_its_first_chunk(disk: Path) -> None:
    first, second = content_of(bytes(20 * MB)), content_of(b"1" * (20 * MB))

    def chunks() -> Iterator[bytes]:
        yield bytes(6 * MB)
        with pytest.raises(StoreFull):
            store.put(second, undrawn())
        yield bytes(14 * MB)

    with closing(open_store(f"file://{disk}/store")) as store:
        store.put(first, chunks())
        store.discard([first.sha256])
        store.put(second, [b"1" * (20 * MB)])


def test_a_full_disk_opens_reads_refuses_removes_and_records_again_when_there_is_room(disk: Path) -> None:
    large = content_of(bytes(10 * MB))
    with closing(open_store(f"file://{disk}/store")) as store:
        record(store, 1)
        store.put(large, [bytes(10 * MB)])
    other = fill(disk)
    with closing(open_store(f"file://{disk}/store")) as store:
        assert len(store.references(Query()).items) == 1
        with pytest.raises(StoreFull):
            store.put(content_of(bytes(MB)), undrawn())
        with pytest.raises(StoreFull):
            store.record({seen(2).signature: X}, [seen(2)])
        store.discard([large.sha256])
        store.record({seen(2).signature: X}, [seen(2)])
        fill(disk)
        assert store.forget(Query()) == 2
        other.unlink()
        record(store, 3)


def test_a_disk_that_fails_is_not_told_as_a_damaged_store(tmp_path: Path) -> None:
    with mortal_disk(tmp_path / "disk") as (disk, die):
        with closing(open_store(f"file://{disk}/store")) as store:
            record(store, 1)
            die()
            with pytest.raises(StoreUnavailable, match="see the system's log") as caught:
                record(store, 2)
            assert "backup" not in str(caught.value)
        with pytest.raises(StoreUnavailable, match="see the system's log"):
            open_store(f"file://{disk}/store")


@pytest.mark.parametrize("replaced", ["removed", "empty", "restored", "unmounted"])
def test_a_directory_that_is_replaced_is_told_before_the_next_acknowledgement(tmp_path: Path, replaced: str) -> None:
    mounted = tmp_path / "disk"
    with small_disk(mounted, 40 * MB) as disk, closing(open_store(f"file://{disk}/store")) as store:
        record(store, 1)
        directory = disk / "store"
        backup = shutil.copytree(directory, disk / "backup")
        if replaced == "unmounted":
            subprocess.run(["umount", "--lazy", mounted], check=True)
            directory.mkdir()
        else:
            shutil.rmtree(directory)
        if replaced == "empty":
            directory.mkdir()
        elif replaced == "restored":
            backup.rename(directory)
        before = sorted(directory.rglob("*")) if directory.exists() else None
        for _ in range(2):
            with pytest.raises(StoreReplaced, match=r"kharvest-store was (removed or moved|replaced by another file)"):
                store.record({}, [seen(2)])
            with pytest.raises(StoreReplaced):
                store.references(Query())
        assert (sorted(directory.rglob("*")) if directory.exists() else None) == before, "nothing is written there"
        if replaced == "unmounted":
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", mounted], check=True)  # for the harness to unmount


def test_a_local_index_that_is_removed_is_told(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with closing(open_store(f"file://{directory}")) as store:
        record(store, 1)
        (folder,) = tmp_path.glob("kharvest-index-*")
        shutil.rmtree(folder)
        with pytest.raises(StoreReplaced, match=r"index.db was removed.*restart the server"):
            store.references(Query())
        with pytest.raises(StoreReplaced, match=r"index.db was removed.*restart the server"):
            store.record({}, [seen(2)])


def test_a_full_disk_of_the_local_index_is_told_at_opening(
    directory: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(f"file://{directory}").close()
    fill(disk)
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    with pytest.raises(StoreUnavailable, match=r"local index in .*disk.* failed.*name another folder by TMPDIR"):
        open_store(f"file://{directory}")


def test_a_disk_of_the_local_index_that_fills_loses_nothing(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "index", 4 * MB) as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        with closing(open_store(f"file://{directory}")) as store:
            record(store, 1)
            other = fill(disk)
            with pytest.raises(StoreUnavailable, match=r"the local index in .* failed.*TMPDIR"):
                record_many(store, 2)
            other.unlink()
            record(store, 10**6)
            found = store.references(Query(limit=1000))
            assert found.items[0].observed_at_ns == 1
