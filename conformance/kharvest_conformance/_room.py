"""How many bytes the data at a path take on a disk."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path


def size_at(path: Path) -> int | None:
    """The bytes of the files there; None if nothing is.

    Of a directory, those of all files in it. Of a file, also those of the files beside it whose names begin with its
    own: logs, and what else belongs to it.
    """
    if path.is_dir():
        return _size_of(path.rglob("*"))
    if path.is_file():
        return _size_of(path.parent.glob(f"{glob.escape(path.name)}*"))
    return None


def _size_of(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())
