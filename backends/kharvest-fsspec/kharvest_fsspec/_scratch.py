"""A folder for an index, in the system's folder for temporary files (`TMPDIR`), that nobody else is shown."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kharvest.spi import StoreUnavailable

_PREFIX = "kharvest-index-"
_LOCK = "lock"


REMEDY = "make room there, or name another folder by TMPDIR"
"""What the user can do when a file of the folder fails."""


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Raise what goes wrong with a file of the folder as an outage: the store has no fault, and no lack of room."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"the local index in {path.parent} failed: {error}", REMEDY) from error


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder, removed at the end. Those of killed processes are removed on the way."""
    _remove_left()
    try:
        folder, lock = _locked_folder()
    except OSError as error:
        raise StoreUnavailable(f"no folder for the index: {error}", "name another one by TMPDIR") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked_folder() -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        with suppress(FileNotFoundError):
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.fstat(lock).st_nlink:
                return folder, lock
            os.close(lock)  # somebody who opened a store took it for a leftover, before we had the lock


def _remove_left() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another user's, or removed meanwhile
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(lock)
