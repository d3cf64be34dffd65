"""What is particular to SQLite files: what may be wrong with them, crashes, full disks, locks."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from hashlib import md5, sha256
from pathlib import Path

import pytest
from harness.disks import small_disk
from harness.stores import content_of, record, reference

from kharvest.spi import (
    IncompatibleSchema,
    InvalidStoreURL,
    Metadata,
    Pod,
    Query,
    Reference,
    Signature,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from kharvest_sql._bodies import CHUNK_BYTES
from kharvest_sql._schema import SCHEMA_VERSION
from kharvest_sql._store import SqlStore, open_references, open_store
from kharvest_sql.plugin import kharvest_backend


def url_of(file: Path) -> str:
    return f"sqlite:///{file}"


def fill(file: Path) -> None:
    with closing(open_store(url_of(file))) as store:
        record(store, reference(1))


def files_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_plugin_loads_no_sqlalchemy() -> None:
    assert kharvest_backend("memory") is None
    assert kharvest_backend("postgresql+psycopg") is not None
    code = "import sys, kharvest_sql.plugin; sys.exit(bool({'sqlalchemy', 'psycopg', 'pymysql'} & sys.modules.keys()))"
    assert python(code).returncode == 0


def test_the_plugin_opens_a_store_and_its_references_half(file: Path) -> None:
    backend = kharvest_backend("sqlite")
    assert backend is not None
    assert backend.open is not None
    assert backend.open_references is not None
    store = backend.open(url_of(file))
    assert store.capabilities == backend.capabilities
    store.close()
    store.close()
    half = backend.open_references(url_of(file.with_name("half.db")))
    one = Reference(Signature("/etc/a", content_of(b"x").md5), Pod("shop", "web-0"), Metadata({}), 1)
    half.record({one.signature: content_of(b"x")}, [one])
    assert half.references(Query()).items == (one,)
    half.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///"])
def test_a_url_without_a_file_points_to_the_memory_store(url: str) -> None:
    with pytest.raises(InvalidStoreURL, match="use memory:"):
        open_store(url)


@pytest.mark.parametrize("option", ["pool_size=many", "timeout=soon", "colour=blue"])
def test_an_option_that_cannot_be_understood_is_refused(file: Path, option: str) -> None:
    with pytest.raises(InvalidStoreURL):
        open_store(f"{url_of(file)}?{option}")


def test_options_reach_the_pool(file: Path) -> None:
    with closing(open_store(f"{url_of(file)}?pool_size=3&timeout=2")) as store:
        assert "size: 3" in store._references_database._engine.pool.status()  # type: ignore[attr-defined]


def test_a_missing_directory_is_named(file: Path) -> None:
    with pytest.raises(InvalidStoreURL, match=r"there is no directory .*/nowhere; create it"):
        open_store(url_of(file.parent / "nowhere" / "kharvest.db"))


def test_a_directory_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(InvalidStoreURL, match="it is a directory"):
        open_store(url_of(tmp_path))
    assert files_of(tmp_path) == {}


def test_a_file_that_is_no_database_is_left_as_it_is(file: Path) -> None:
    file.write_bytes(b"precious notes\n" * 1000)
    with pytest.raises(StoreCorrupt, match="not a database"):
        open_store(url_of(file))
    assert files_of(file.parent) == {file.name: b"precious notes\n" * 1000}


def test_a_database_of_another_program_is_left_as_it_is(file: Path) -> None:
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE notes (text)")
        other.commit()
    before = files_of(file.parent)
    with pytest.raises(InvalidStoreURL, match="database of another program"):
        open_store(url_of(file))
    assert files_of(file.parent) == before


def test_a_newer_schema_is_refused_and_left_as_it_is(file: Path) -> None:
    fill(file)
    with closing(sqlite3.connect(file)) as other:
        other.execute("UPDATE kharvest_store SET schema_version = 99")
        other.commit()
    before = files_of(file.parent)
    with pytest.raises(IncompatibleSchema) as caught:
        open_store(url_of(file))
    assert (caught.value.found, caught.value.supported) == (99, SCHEMA_VERSION)
    assert files_of(file.parent) == before


def test_scribbled_pages_are_told_as_corruption(file: Path) -> None:
    fill(file)
    size = file.stat().st_size
    with file.open("r+b") as raw:
        raw.seek(8192)
        raw.write(b"\xa5" * (size - 8192))
    with pytest.raises(StoreCorrupt), closing(open_store(url_of(file))) as store:
        store.references(Query())


def test_references_without_their_contents_file_are_refused(file: Path) -> None:
    fill(file)
    contents = file.with_name(f"{file.name}-contents")
    contents.rename(file.with_name("elsewhere"))
    with pytest.raises(StoreCorrupt, match="-contents is missing"):
        open_store(url_of(file))
    fill(file.with_name("other.db"))
    shutil.copy(file.with_name("other.db-contents"), contents)
    with pytest.raises(StoreCorrupt, match="contents of another store"):
        open_store(url_of(file))


def test_a_file_that_may_not_be_written_is_refused_with_what_to_do(file: Path) -> None:
    fill(file)
    for path in file.parent.iterdir():
        path.chmod(0o444)
    file.parent.chmod(0o555)
    code = """
import os, sys, tempfile
from kharvest_sql._bodies import CHUNK_BYTES
from kharvest_sql._store import open_store
open_store(f"sqlite:///{tempfile.mkdtemp()}/imports.db").close()  # whatever is imported late is imported now
if os.getuid() == 0:
    os.setuid(65534)  # root may write anything
try:
    open_store(sys.argv[1])
except Exception as error:
    print(type(error).__name__, error)
"""
    for path in (file.parent, *file.parent.parents):
        if path.stat().st_uid == os.getuid() and path.name and str(path).count("/") > 1:
            path.chmod(path.stat().st_mode | 0o055)  # so that the other user gets as far as the file
    found = python(code, url_of(file))
    assert found.stdout.startswith("StoreDenied"), (found.stdout, found.stderr)
    assert "right to read and write" in found.stdout


def set_most_pages(store: SqlStore, pages: int) -> None:
    for database in (store._contents_database, store._references_database):
        database._connection().exec_driver_sql(f"PRAGMA max_page_count = {pages}")  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize("size", [300_000, 20 * 2**20])
def test_a_full_store_says_so_shows_nothing_and_goes_on_when_there_is_room(file: Path, size: int) -> None:
    data = bytes(size)
    with closing(open_store(url_of(file))) as store:
        one = reference(1)
        record(store, one)
        set_most_pages(store, 9)
        with pytest.raises(StoreFull, match="make room"):
            store.put(content_of(data), [data])
        with pytest.raises(StoreFull):
            store.record({}, [replace(one, observed_at_ns=n) for n in range(2, 50_000)])
        assert store.present([content_of(data).sha256]) == {}
        set_most_pages(store, 100_000)
        store.put(content_of(data), [data])
        assert b"".join(store.read(content_of(data).sha256)) == data


@pytest.mark.slow
@pytest.mark.parametrize("disk_mb", [6, 60])
def test_a_disk_without_room_is_told_as_full_and_references_go_on(file: Path, disk_mb: int) -> None:
    with (
        small_disk(file.parent / "disk", disk_mb * 2**20) as disk,
        closing(open_store(url_of(disk / "kharvest.db"))) as store,
    ):
        record(store, reference(1))
        for _ in range(2):
            with pytest.raises(StoreFull):
                store.put(content_of(bytes(80 * 2**20)), [bytes(2**20)] * 80)
            assert len(store.references(Query()).items) == 1
            assert len(list(store.contents())) == 1
        for time_ns in range(2, 1000):
            record(store, reference(time_ns))
        store.put(content_of(b"small"), [b"small"])
        assert len(store.references(Query()).items) == 999


def test_a_file_locked_by_another_process_is_unavailable_until_it_is_free(file: Path) -> None:
    with closing(open_store(f"{url_of(file)}?timeout=0")) as store:
        one = reference(1)
        record(store, one)
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable, match="locked"):
                record(store, reference(2))
            assert store.references(Query()).items == (one,)  # readers do not wait
            other.execute("ROLLBACK")
        record(store, reference(2))
        assert len(store.references(Query()).items) == 2


def test_a_reader_that_pauses_blocks_neither_writers_nor_the_checkpoint(file: Path) -> None:
    data = bytes(2 * 2**20)
    with closing(open_store(url_of(file))) as store:
        store.put(content_of(data), [data])
        reading = store.read(content_of(data).sha256)
        next(reading)
        store.put(content_of(b"more"), [b"more"])
        with closing(sqlite3.connect(f"{file}-contents")) as other:
            busy, _pages, _moved = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert busy == 0
        assert sum(map(len, reading)) == len(data) - CHUNK_BYTES


UPLOADER = """
import sys
from kharvest.spi import Content
from kharvest_sql._bodies import CHUNK_BYTES
from kharvest_sql._store import open_store
def chunks():
    for number in range(32):
        if number == 24:
            print("waiting", flush=True)
            sys.stdin.read()
        yield bytes(2**20)
open_store(sys.argv[1]).put(Content(b"s" * 32, b"m" * 16, 32 * 2**20), chunks())
"""


def chunks_in(store: SqlStore) -> int:
    with store._contents_database.read() as session:
        return int(session.first("SELECT COUNT(*) FROM kharvest_chunk")[0])


def test_leftovers_of_a_killed_upload_are_removed_but_never_those_of_a_live_one(file: Path) -> None:
    command = [sys.executable, "-c", UPLOADER, url_of(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as uploader:
        assert uploader.stdout is not None
        assert uploader.stdout.readline() == b"waiting\n"
        with closing(open_store(url_of(file))) as beside:
            assert chunks_in(beside) > 0
            uploader.send_signal(signal.SIGKILL)
            uploader.wait(20)
            with closing(open_store(url_of(file))) as another:  # not alone: `beside` might be uploading
                assert chunks_in(another) > 0
    with closing(open_store(url_of(file))) as alone:
        assert chunks_in(alone) == 0
        assert list(alone.contents()) == []


WRITER = """
import hashlib, sys
from kharvest.spi import Content, Metadata, Pod, Reference, Signature
from kharvest_sql._bodies import CHUNK_BYTES
from kharvest_sql._store import open_store
store = open_store(sys.argv[1])
first = int(sys.argv[2])
for number in range(first, first + 100_000):
    data = b"%d" % number * (1 if number % 10 else 1_000_000)
    content = Content(hashlib.sha256(data).digest(), hashlib.md5(data).digest(), len(data))
    store.put(content, [data])
    signature = Signature(f"/f{number % 7}", content.md5)
    store.record({signature: content}, [Reference(signature, Pod("n", "p"), Metadata({}), number)])
    print(number, flush=True)
"""


@pytest.mark.slow
def test_what_was_acknowledged_survives_sigkill(file: Path) -> None:
    acknowledged = 0
    for _round in range(4):
        command = [sys.executable, "-c", WRITER, url_of(file), str(acknowledged)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            for _ in range(23):
                line = writer.stdout.readline()
                acknowledged = int(line) + 1
            writer.send_signal(signal.SIGKILL)
            acknowledged += len(writer.stdout.read().split())
    with closing(open_store(url_of(file))) as store:
        found = {one.observed_at_ns: one for one in store.references(Query()).items}
        assert found.keys() >= set(range(acknowledged))
        for number, one in found.items():
            data = b"%d" % number * (1 if number % 10 else 1_000_000)
            assert one.signature.md5 == md5(data, usedforsecurity=False).digest()
            assert b"".join(store.read(sha256(data).digest())) == data
        assert store.references(Query(latest=True)).items == tuple(sorted(found.values(), key=_time)[-7:])


def _time(one: Reference) -> int:
    return one.observed_at_ns


@pytest.mark.slow
def test_memory_stays_flat_for_large_contents(file: Path) -> None:
    code = """
import resource, sys
from kharvest.spi import Content
from kharvest_sql._bodies import CHUNK_BYTES
from kharvest_sql._store import open_store
store = open_store(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store.put(Content(b"s" * 32, b"m" * 16, 256 * 2**20), (bytes(2**20) for _ in range(256)))
assert sum(map(len, store.read(b"s" * 32))) == 256 * 2**20
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    found = python(code, url_of(file))
    assert found.returncode == 0, found.stderr
    assert int(found.stdout) < 60, "MiB more than before"


def test_references_alone_can_be_opened_again(file: Path) -> None:
    with closing(open_references(url_of(file))):
        pass
    with closing(open_references(url_of(file))) as again:
        assert again.references(Query()).items == ()


def test_whatever_goes_wrong_at_opening_leaves_nothing_open(file: Path) -> None:
    fill(file)
    with closing(sqlite3.connect(file)) as other:
        other.execute("UPDATE kharvest_store SET schema_version = 0")
        other.commit()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(StoreError):
            open_store(url_of(file))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


@pytest.mark.slow
def test_a_lot_of_readers_do_not_wait_for_each_other(file: Path) -> None:
    data = bytes(4 * 2**20)

    def first_chunks(store: SqlStore) -> Iterator[bytes]:
        for _ in range(40):  # more than the pool has connections
            yield next(store.read(content_of(data).sha256))

    with closing(open_store(url_of(file))) as store:
        store.put(content_of(data), [data])
        assert all(first_chunks(store))
