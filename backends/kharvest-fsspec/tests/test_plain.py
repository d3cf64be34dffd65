"""File systems that promise little: one process at a time, told and refused; and what a directory makes of crashes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import fsspec
import pytest
from harness.buckets import record, seen
from harness.disks import small_disk
from harness.stores import content_of

from kharvest.spi import Capability, Query, StoreFull, StoreReplaced, Unsupported
from kharvest_fsspec._local import LocalBucket
from kharvest_fsspec._opening import open_bucket, open_store
from kharvest_fsspec._plain import PlainBucket
from kharvest_fsspec._store import FsspecStore


def plain(directory: Path) -> FsspecStore:
    """A store on fsspec's own file system for a directory, of which no more is expected than of any other."""
    return open_bucket(PlainBucket(fsspec.filesystem("file"), str(directory), "plain"), "test")


def test_a_store_in_memory_declares_nothing(tmp_path: Path) -> None:
    with closing(open_store(f"fsspec+memory://{tmp_path.name}")) as store:
        assert store.capabilities == frozenset()
        record(store, 1, 2)
        assert len(store.references(Query()).items) == 2


def test_a_file_system_without_exclusive_create_keeps_what_it_is_given(directory: Path) -> None:
    large = content_of(bytes(12 * 2**20))
    with closing(plain(directory)) as store:
        assert store.capabilities == frozenset({Capability.DURABLE})
        record(store, *range(40))
        store.put(large, [bytes(2**20)] * 12)
    with closing(plain(directory)) as store:
        assert len(store.references(Query()).items) == 40
        assert sum(map(len, store.read(large.sha256))) == large.size
    assert sorted(path.name for path in (directory / "uploads").iterdir()) == []
    assert not (directory / "kharvest-open").exists()


def test_a_second_handle_is_refused_where_nothing_can_be_created_exclusively(directory: Path) -> None:
    with closing(plain(directory)) as store:
        record(store, 1)
        with pytest.raises(Unsupported, match="kharvest-open"):
            plain(directory)
        record(store, 2)
    plain(directory).close()


OPEN_AND_DIE = """
import os, sys, fsspec
from kharvest_fsspec._opening import open_bucket
from kharvest_fsspec._plain import PlainBucket
store = open_bucket(PlainBucket(fsspec.filesystem("file"), sys.argv[1], "plain"), "test")
os.kill(os.getpid(), 9)
"""


def test_a_killed_process_of_this_machine_locks_nobody_out(directory: Path) -> None:
    subprocess.run([sys.executable, "-c", OPEN_AND_DIE, str(directory)], check=False)
    assert (directory / "kharvest-open").exists()
    plain(directory).close()


def test_a_process_of_another_machine_is_taken_to_be_alive(directory: Path) -> None:
    with closing(plain(directory)) as store:
        record(store, 1)
        who = json.loads((directory / "kharvest-open").read_text())
    (directory / "kharvest-open").write_text(json.dumps({**who, "host": "elsewhere"}))
    with pytest.raises(Unsupported, match=r"elsewhere.*remove .*kharvest-open"):
        plain(directory)


UPLOAD_AND_DIE = """
import os, sys
from pathlib import Path
from kharvest_fsspec._local import LocalBucket
def parts():
    yield b"x" * 100_000
    os.kill(os.getpid(), 9)
LocalBucket(Path(sys.argv[1])).upload("contents/half", parts())
"""


def test_what_a_killed_upload_left_in_a_directory_is_removed_when_it_is_opened(directory: Path) -> None:
    with closing(open_store(f"file://{directory}")) as store:
        record(store, 1)
        subprocess.run([sys.executable, "-c", UPLOAD_AND_DIE, str(directory)], check=False)
        assert len(list((directory / "uploads").iterdir())) == 1

        def chunks() -> object:
            yield b"live"
            with closing(open_store(f"file://{directory}")):  # removes what is left, and nothing that is alive
                assert len(list((directory / "uploads").iterdir())) == 1
            yield b" and well"

        store.put(content_of(b"live and well"), chunks())  # type: ignore[arg-type]
        assert b"".join(store.read(content_of(b"live and well").sha256)) == b"live and well"
    assert list((directory / "uploads").iterdir()) == []


def test_a_full_disk_is_told_leaves_nothing_and_ends(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4 * 2**20) as disk, closing(open_store(f"file://{disk}/store")) as store:
        record(store, 1)
        large = content_of(bytes(8 * 2**20))
        with pytest.raises(StoreFull):
            store.put(large, [bytes(2**20)] * 8)
        assert store.present([large.sha256]) == {}
        assert list((disk / "store" / "uploads").iterdir()) == []
        store.record({}, [seen(2)])
        assert len(store.references(Query()).items) == 2


def test_a_directory_that_may_not_be_written_is_refused_with_what_to_do(tmp_path: Path) -> None:
    directory = tmp_path / "store"
    with closing(open_store(f"file://{directory}")) as store:
        record(store, 1)
    for path in (directory, *directory.rglob("*"), tmp_path, tmp_path.parent, tmp_path.parent.parent):
        if path.stat().st_uid == os.getuid():
            path.chmod(0o555 if path.is_dir() and directory in (path, *path.parents) else path.stat().st_mode | 0o055)
    code = """
import os, sys
from kharvest.spi import StoreUnavailable
from kharvest_fsspec._opening import open_store
import kharvest_fsspec._local
if os.getuid() == 0:
    os.setuid(65534)  # root may write anything
try:
    open_store(sys.argv[1])
except StoreUnavailable as error:
    print(error)
"""
    found = subprocess.run(
        [sys.executable, "-c", code, f"file://{directory}"], capture_output=True, text=True, check=False
    )
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o755)
    assert "give this user the right to read and write" in found.stdout, found.stdout + found.stderr


def test_a_directory_that_goes_away_is_unavailable_and_works_again_when_it_is_back(directory: Path) -> None:
    with closing(open_store(f"file://{directory}")) as store:
        record(store, 1)
        directory.rename(directory.with_name("elsewhere"))
        with pytest.raises(StoreReplaced, match=r"was removed or moved.*put it back"):
            store.references(Query())
        with pytest.raises(StoreReplaced, match=r"was removed or moved.*put it back"):
            store.record({}, [seen(2)])
        directory.with_name("elsewhere").rename(directory)
        store.record({}, [seen(2)])
        assert len(store.references(Query()).items) == 2


def test_modified_is_when_an_object_became_visible_not_when_it_was_written(directory: Path) -> None:
    bucket = LocalBucket(directory)

    def parts() -> object:
        yield b"x"
        (written,) = (directory / "uploads").iterdir()
        os.utime(written, ns=(0, 0))  # as if its process had slept for long before it made the object visible

    bucket.upload("contents/late", parts())  # type: ignore[arg-type]
    assert bucket.modified_ns("contents/late") > 10**18
