"""Disks that are full, and disks that die."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

_EXT4_IOC_SHUTDOWN = 0x8004587D
_WITHOUT_FLUSHING = 2


@contextmanager
def small_disk(folder: Path, size_bytes: int, files: int | None = None) -> Iterator[Path]:
    """A file system in `folder` that holds no more than so many bytes, and files. Skips where none can be mounted."""
    options = f"size={size_bytes}" if files is None else f"size={size_bytes},nr_inodes={files}"
    with _mounted(folder, "-t", "tmpfs", "-o", options, "tmpfs"):
        yield folder


@contextmanager
def mortal_disk(folder: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """A file system in `folder`, and what makes its disk fail: reading and writing are I/O errors from then on."""
    image = folder.with_name(f"{folder.name}-image")
    with image.open("wb") as file:
        file.truncate(64 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    with _mounted(folder, "-o", "loop", image):
        yield folder, partial(_shut_down, folder)


def _shut_down(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, _EXT4_IOC_SHUTDOWN, struct.pack("I", _WITHOUT_FLUSHING))
    finally:
        os.close(descriptor)


@contextmanager
def _mounted(folder: Path, *arguments: str | Path) -> Iterator[None]:
    folder.mkdir()
    mounted = subprocess.run(["mount", *arguments, folder], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"this needs a file system of its own, and mounting one is not allowed: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path) -> Path:
    """Fill a disk to its last byte, with a file of another program; removing that makes room again."""
    other = disk / "of-another-program"
    with other.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(os.statvfs(disk).f_frsize))
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017  reached in the end, by one of many writes
    return other
