"""A folder for an index, in the system's folder for temporary files (`TMPDIR`), that nobody else is shown."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from kharvest.spi import StoreFull, StoreUnavailable
from kharvest_sql import failures as sql_failures

_PREFIX = "kharvest-index-"
_LOCK = "lock"


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Raise what goes wrong with a file of the folder as what it is: no fault of the store, and no lack of room there.

    What was to be done may have taken effect: it is in the log, or not, whatever the index made of it.
    """
    try:
        yield
    except SQLAlchemyError as error:
        try:
            with sql_failures.told(file=path):
                raise
        except StoreFull:
            raise _failed(path, error) from error
    except (OSError, sqlite3.Error) as error:
        raise _failed(path, error) from error


def _failed(path: Path, error: Exception) -> StoreUnavailable:
    reason = f"the local index in {path.parent} failed: {' '.join(str(error).split())}"
    return StoreUnavailable(reason, "make room there, or name another folder by TMPDIR")


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
