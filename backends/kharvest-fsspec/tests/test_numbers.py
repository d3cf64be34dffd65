"""The same log makes the same index, whoever does it, however: cursors and the order among equal times depend on it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from harness.buckets import X
from harness.stores import content_of

from kharvest.spi import Metadata, Order, Pod, Query, Reference, Signature
from kharvest_fsspec._local import LocalBucket
from kharvest_fsspec._opening import open_bucket
from kharvest_fsspec._store import FsspecStore

Y = content_of(b"y")

DUMP = """
import json, sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from kharvest.spi import Order, Query
from kharvest_fsspec._opening import open_store

with closing(open_store(sys.argv[1])) as store:
    pages = []
    for order in Order:
        page = store.references(Query(limit=7, order=order))
        pages.append(([repr(one) for one in page.items], page.next_cursor))
    tables = {}
    with store._index.read() as session:
        for (name,) in session.all("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"):
            if name not in {"kharvest_fsspec_checkpoint", "sqlite_stat1"}:
                tables[name] = sorted(map(repr, session.all(f"SELECT * FROM {name}")))
    print(json.dumps([pages, tables]))
"""


def write_much(store: FsspecStore) -> None:
    """A history with everything that numbers are given to, and taken from: in large batches, at equal times."""
    chance = random.Random(7)
    store.put(X, [b"x"])
    store.put(Y, [b"y"])
    for turn in range(25):
        references = [
            Reference(
                Signature(f"/etc/{chance.randrange(40)}", content.md5),
                Pod(f"n{chance.randrange(3)}", f"pod-{chance.randrange(12)}"),
                Metadata({"app": str(chance.randrange(5)), "tier": str(chance.randrange(5))}),
                turn // 5,
            )
            for content in chance.choices((X, Y), k=60)
        ]
        store.record({one.signature: X if one.signature.md5 == X.md5 else Y for one in references}, references)
        if turn % 6 == 5:
            store.forget(Query(pod=f"pod-{turn % 12}", limit=50))
            store.forget(Query(path=f"/etc/{turn}", order=Order.NEWEST_FIRST))
        store.claim([b"%d" % turn, b"x"], f"holder {turn}", turn, turn + 3)
        if turn % 4 == 0:
            store.release([b"x"], f"holder {turn}")


def dump(directory: Path, seed: str) -> list[Any]:
    command = [sys.executable, "-c", DUMP, f"file://{directory}"]
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    found: list[Any] = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    )
    return found


@pytest.mark.slow
def test_one_log_makes_one_index_whatever_the_seed_of_hashes_is(directory: Path) -> None:
    with closing(open_bucket(LocalBucket(directory), "test")) as store:
        write_much(store)
    dumps = [dump(directory, seed) for seed in ("1", "2", "3")]
    assert dumps[0] == dumps[1] == dumps[2]


@pytest.mark.slow
def test_one_log_makes_one_index_with_checkpoints_and_without(directory: Path) -> None:
    with closing(open_bucket(LocalBucket(directory), "test")) as store:
        write_much(store)
        store._upkeep.wait()
    checkpoints = list((directory / "checkpoints").iterdir())
    assert checkpoints
    from_checkpoint = dump(directory, "1")
    for path in checkpoints:
        path.unlink()
    assert dump(directory, "2") == from_checkpoint


@pytest.mark.slow
def test_the_writer_has_the_index_that_its_log_makes(directory: Path, tmp_path: Path) -> None:
    with closing(open_bucket(LocalBucket(directory), "test")) as store:
        write_much(store)
        store._upkeep.wait()
        for path in (directory / "checkpoints").iterdir():
            path.unlink()  # they are the writer's own
        store._index.checkpoint(tmp_path / "copy.db", {})
        with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
            names = [row[0] for row in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            written = {name: sorted(map(repr, map(tuple, copy.execute(f"SELECT * FROM {name}")))) for name in names}
    _pages, tables = dump(directory, "5")
    for name, rows in tables.items():
        assert rows == written[name], name


def test_a_cursor_of_one_process_goes_on_in_another(directory: Path) -> None:
    with closing(open_bucket(LocalBucket(directory), "test")) as one:
        write_much(one)
        page = one.references(Query(limit=50))
        rest = one.references(Query(limit=50, cursor=page.next_cursor))
        with closing(open_bucket(LocalBucket(directory), "test")) as other:
            assert other.references(Query(limit=50, cursor=page.next_cursor)) == rest


def test_the_order_and_the_cursors_are_those_of_format_version_1(directory: Path) -> None:
    # Whoever makes this fail has changed what a log means: two versions on one store would not agree. Once version 1 is
    # released, that takes a new FORMAT_VERSION.
    with closing(open_bucket(LocalBucket(directory), "test")) as store:
        write_much(store)
        page = store.references(Query(limit=200))
        seen = hashlib.sha256(repr((page.items, page.next_cursor)).encode()).hexdigest()
    assert (len(page.items), seen) == (200, FORMAT_VERSION_1)


FORMAT_VERSION_1 = "07fc4602c095018a05368e66b035b697713e0d170c992428e3eec5c4d3b9464a"
