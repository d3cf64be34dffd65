"""What cannot be read is told as such, by name, and left as it is: cut short, newer, somebody else's."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from harness.buckets import record

from kharvest.spi import IncompatibleSchema, InvalidStoreURL, Query, StoreCorrupt, StoreError
from kharvest_fsspec import _frames as frames
from kharvest_fsspec._local import LocalBucket
from kharvest_fsspec._opening import open_bucket, open_store


def url_of(directory: Path) -> str:
    return f"file://{directory}"


def fill(directory: Path, records: int = 3) -> None:
    with closing(open_store(url_of(directory))) as store:
        record(store, *range(records))


def files_in(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def refused(directory: Path, kind: type[StoreError], match: str) -> None:
    """Opening is refused in this way, and changes nothing."""
    before = files_in(directory)
    with pytest.raises(kind, match=match):
        open_store(url_of(directory))
    assert files_in(directory) == before


def newest(directory: Path, folder: str) -> Path:
    return max((directory / folder).iterdir())


CUTS: dict[str, Callable[[bytes], bytes]] = {
    "to nothing": lambda _data: b"",
    "in its header": lambda data: data[:20],
    "in its body": lambda data: data[: len(data) // 2],
    "by one byte": lambda data: data[:-1],
    "by its checksum": lambda data: data[:-4],
    "and filled up": lambda data: data[:-10] + bytes(10),
    "by a flipped bit": lambda data: data[:70] + bytes([data[70] ^ 1]) + data[71:],
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_segment_that_was_cut_short_is_named_and_left(directory: Path, cut: Callable[[bytes], bytes]) -> None:
    fill(directory)
    segment = newest(directory, "log")
    segment.write_bytes(cut(segment.read_bytes()))
    refused(directory, StoreCorrupt, f"log/{segment.name}.*restore log/{segment.name}")


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_checkpoint_that_was_cut_short_is_named_and_left(directory: Path, cut: Callable[[bytes], bytes]) -> None:
    fill(directory, 30)
    checkpoint = newest(directory, "checkpoints")
    checkpoint.write_bytes(cut(checkpoint.read_bytes()))
    refused(directory, StoreCorrupt, f"checkpoints/{checkpoint.name}.*restore checkpoints/{checkpoint.name}")


def test_an_open_store_tells_of_a_segment_that_was_cut_short(directory: Path) -> None:
    with closing(open_store(url_of(directory))) as store, closing(open_store(url_of(directory))) as other:
        record(store, 1)
        segment = newest(directory, "log")
        segment.write_bytes(segment.read_bytes()[:-1])
        with pytest.raises(StoreCorrupt, match=f"log/{segment.name}"):
            other.references(Query())


def later_version(data: bytes) -> bytes:
    return data[:8] + (99).to_bytes(4) + data[12:]


@pytest.mark.parametrize("folder", ["log", "checkpoints"])
def test_what_a_later_version_wrote_is_refused_and_left(directory: Path, folder: str) -> None:
    fill(directory, 30)
    path = newest(directory, folder)
    path.write_bytes(later_version(path.read_bytes()))
    refused(directory, IncompatibleSchema, "version 99.*upgrade")


def test_a_store_of_a_later_version_is_refused_and_left(directory: Path) -> None:
    fill(directory)
    marker = directory / "kharvest-store"
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "format": 99}))
    refused(directory, IncompatibleSchema, "version 99.*upgrade")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"format": 1}', b'{"format": 1, "store": "xyz"}', b"\xff"])
def test_a_marker_that_cannot_be_read_is_named_and_left(directory: Path, data: bytes) -> None:
    fill(directory)
    (directory / "kharvest-store").write_bytes(data)
    refused(directory, StoreCorrupt, "kharvest-store.*restore kharvest-store")


def test_objects_of_somebody_else_are_left_alone(directory: Path) -> None:
    (directory / "notes.txt").write_text("precious")
    with pytest.raises(InvalidStoreURL, match=r"something else.*name an empty place"):
        open_store(url_of(directory))
    assert files_in(directory) == {directory / "notes.txt": b"precious"}
    assert [path.name for path in directory.iterdir()] == ["notes.txt"]


def test_a_log_without_its_marker_is_not_taken_for_an_empty_place(directory: Path) -> None:
    fill(directory)
    (directory / "kharvest-store").unlink()
    before = files_in(directory)
    with pytest.raises(InvalidStoreURL, match="something else"):
        open_store(url_of(directory))
    assert files_in(directory) == before


def test_a_segment_of_another_store_is_not_mistaken_for_one_of_this(directory: Path, tmp_path: Path) -> None:
    fill(directory)
    other = tmp_path / "other"
    other.mkdir()
    fill(other, 10)
    number = len(list((directory / "log").iterdir())) + 1
    strange = other / "log" / f"{number:020}"
    (directory / "log" / strange.name).write_bytes(strange.read_bytes())
    refused(directory, StoreCorrupt, "another store")


def test_a_content_whose_object_is_gone_is_named(directory: Path) -> None:
    fill(directory)
    with closing(open_store(url_of(directory))) as store:
        (content,) = store.contents()
        (path,) = (directory / "contents").iterdir()
        path.unlink()
        with pytest.raises(StoreCorrupt, match=path.name):
            list(store.read(content.sha256))


def test_the_log_is_small(directory: Path) -> None:
    with closing(open_bucket(LocalBucket(directory), "test")) as store:
        record(store, 1)
        assert len(newest(directory, "log").read_bytes()) < frames.HEADER.size + 300
