"""SQLite stores on disks that fail, and within limits that are not the disk's: told as what they are."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from harness.disks import mortal_disk, small_disk
from harness.stores import record, reference

from kharvest.spi import Query, StoreFull, StoreUnavailable
from kharvest_sql._store import open_store


def test_a_disk_that_fails_is_not_told_as_a_damaged_store(tmp_path: Path) -> None:
    with mortal_disk(tmp_path / "disk") as (disk, die):
        url = f"sqlite:///{disk}/kharvest.db"
        with closing(open_store(url)) as store:
            record(store, reference(1))
            die()
            with pytest.raises(StoreUnavailable, match="see the system's log") as caught:
                record(store, reference(2))
            assert "backup" not in str(caught.value)
            with pytest.raises(StoreUnavailable, match="see the system's log"):
                store.references(Query())
        with pytest.raises(StoreUnavailable, match="see the system's log"):
            open_store(url)


LIMITED = """
import resource, sys
from kharvest.spi import Content, StoreFull
from kharvest_sql._store import open_store
store = open_store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000))
try:
    store.put(Content(b"s" * 32, b"m" * 16, 40_000_000), (bytes(1_000_000) for _ in range(40)))
except StoreFull as error:
    print(error)
"""


def test_a_limit_on_the_size_of_a_file_is_told_as_no_room(file: Path) -> None:
    command = [sys.executable, "-c", LIMITED, f"sqlite:///{file}"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "raise the limit on the size of a file" in found.stdout, found.stdout + found.stderr


def test_a_disk_that_takes_no_more_files_is_told_as_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 40_000_000, files=4) as disk, pytest.raises(StoreFull, match="No space left"):
        open_store(f"sqlite:///{disk}/kharvest.db")
