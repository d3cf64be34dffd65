"""What a path holds is read whole, from one file, or not at all."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kharvest.client._errors import Changed, Gone, Unreadable
from kharvest.client._watch.content import READ_BYTES, look, read_version
from kharvest.client._watch.location import Location


def never() -> bool:
    return False


@pytest.mark.parametrize("size", [0, 1, READ_BYTES - 1, READ_BYTES, READ_BYTES + 1, 3 * READ_BYTES])
def test_a_version_is_the_digests_and_size_of_all_bytes(tmp_path: Path, size: int) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(size))
    reading = read_version(Location(str(file)), never)
    assert reading.version.md5 == hashlib.md5(file.read_bytes()).digest()
    assert reading.version.sha256 == hashlib.sha256(file.read_bytes()).digest()
    assert reading.version.size == size
    assert reading.stamp == look(Location(str(file)))


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file that takes several reads."""
    file = tmp_path / "large"
    file.write_bytes(os.urandom(4 * READ_BYTES))
    return file


def append(file: Path) -> None:
    with file.open("ab") as opened:
        opened.write(b"more")


def overwrite(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.write(b"other")


def truncate(file: Path) -> None:
    os.truncate(file, 10)


def replace(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(file.read_bytes())
    other.replace(file)


def remove(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("change", [append, overwrite, truncate, replace, remove])
def test_a_file_that_changes_while_it_is_read_has_no_version(large: Path, change: object) -> None:
    assert callable(change)
    calls: Iterator[object] = iter([lambda: change(large)])

    def meanwhile() -> bool:
        step = next(calls, None)  # after the first of several reads
        if callable(step):
            step()
        return False

    with pytest.raises(Changed):
        read_version(Location(str(large)), meanwhile)


def test_reading_stops_when_it_is_told(large: Path) -> None:
    with pytest.raises(Changed):
        read_version(Location(str(large)), lambda: True)


def test_what_is_no_file_is_named_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for name, said in [
            ("fifo", "it is a FIFO"),
            ("directory", "it is a directory"),
            ("socket", "it is a socket"),
            ("loop", "symbolic links"),
            ("/dev/null", "it is a device"),
        ]:
            with pytest.raises(Unreadable, match=said) as raised:
                read_version(Location(str(tmp_path / name)), never)
            assert str(tmp_path / name) in str(raised.value)


def test_what_is_not_there_is_gone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("nothing", "nothing/below", "file/below", "dangling"):
        with pytest.raises(Gone, match="no such file"):
            look(Location(str(tmp_path / name)))
