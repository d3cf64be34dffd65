"""SQLite stores whose files are taken away, or replaced, while they are open."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from harness.stores import content_of, record, reference

from kharvest.spi import InvalidStoreURL, Query, StoreReplaced
from kharvest_sql._store import SqlStore, open_references, open_store


@pytest.fixture
def store(file: Path) -> Iterator[SqlStore]:
    """An open store with a reference in it."""
    with closing(open_store(f"sqlite:///{file}")) as store:
        record(store, reference(1))
        yield store


OF_REFERENCES = ("", "-wal", "-shm")
OF_CONTENTS = ("-contents", "-contents-wal", "-contents-shm")


@pytest.mark.parametrize("end", OF_REFERENCES)
def test_a_file_of_references_that_is_removed_is_told_before_the_next_acknowledgement(
    store: SqlStore, file: Path, end: str
) -> None:
    Path(f"{file}{end}").unlink()
    with pytest.raises(StoreReplaced, match=rf"{file.name}{end} was removed or moved.*restart the server"):
        store.record({}, [reference(2)])
    with pytest.raises(StoreReplaced, match="was removed or moved"):
        store.references(Query())


@pytest.mark.parametrize("end", OF_CONTENTS)
def test_a_file_of_contents_that_is_removed_is_told_before_the_next_content(
    store: SqlStore, file: Path, end: str
) -> None:
    Path(f"{file}{end}").unlink()
    with pytest.raises(StoreReplaced, match=rf"{file.name}{end} was removed or moved"):
        store.put(content_of(b"y"), [b"y"])
    with pytest.raises(StoreReplaced, match="was removed or moved"):
        list(store.read(content_of(b"x").sha256))


def test_a_file_that_is_removed_during_a_transaction_is_not_acknowledged(store: SqlStore, file: Path) -> None:
    database = store._references_database
    with pytest.raises(StoreReplaced, match="was removed or moved"):
        database.write(lambda _session: file.unlink())


def test_a_backup_that_takes_the_place_of_the_open_file_is_told(store: SqlStore, file: Path) -> None:
    backup = file.with_name("backup")
    shutil.copy(file, backup)
    backup.replace(file)
    with pytest.raises(StoreReplaced, match=r"was replaced by another file.*put it back"):
        store.record({}, [reference(2)])


def test_a_file_that_is_put_back_is_used_again(store: SqlStore, file: Path) -> None:
    elsewhere = file.with_name("elsewhere")
    file.rename(elsewhere)
    with pytest.raises(StoreReplaced, match="was removed or moved"):
        store.record({}, [reference(2)])
    elsewhere.rename(file)
    store.record({}, [reference(3)])
    assert [one.observed_at_ns for one in store.references(Query()).items] == [1, 3]


def test_a_directory_that_is_moved_away_is_told_and_what_is_there_now_left_alone(store: SqlStore, file: Path) -> None:
    elsewhere = file.parent.with_name("elsewhere")
    file.parent.rename(elsewhere)
    file.parent.mkdir()
    for _ in range(2):
        with pytest.raises(StoreReplaced, match="was removed or moved"):
            store.record({}, [reference(2)])
        with pytest.raises(StoreReplaced, match="was removed or moved"):
            store.put(content_of(b"y"), [b"y"])
    assert list(file.parent.iterdir()) == [], "nothing is written there"
    file.parent.rmdir()
    elsewhere.rename(file.parent)


def test_closing_leaves_the_log_of_a_store_that_was_put_in_its_place(file: Path) -> None:
    names = ("", "-wal", "-contents", "-contents-wal")
    aside = file.with_name("backup")
    aside.mkdir()
    with closing(open_store(f"sqlite:///{file}")) as store:
        record(store, reference(1))
        for name in names:
            shutil.copy(f"{file}{name}", aside)  # most of the backup is in its logs
            Path(f"{file}{name}").unlink()
        for name in names:
            Path(aside / f"{file.name}{name}").rename(f"{file}{name}")
    with closing(open_store(f"sqlite:///{file}")) as store:
        assert store.references(Query()).items == (reference(1),)
        assert b"".join(store.read(content_of(b"x").sha256)) == b"x"


def test_files_say_which_program_and_which_half_they_are_of(file: Path) -> None:
    open_store(f"sqlite:///{file}").close()
    with pytest.raises(InvalidStoreURL, match="another program"):
        open_references(f"sqlite:///{file}-contents")
    with closing(sqlite3.connect(file)) as other:
        assert other.execute("PRAGMA application_id").fetchone() != (0,)
        other.execute("PRAGMA application_id = 1")
    with pytest.raises(InvalidStoreURL, match="another program"):
        open_store(f"sqlite:///{file}")
