"""The rows of signatures, in the order of path and MD5, whatever the length of the path.

A path is cut into pieces of PIECE_BYTES bytes. The key of a signature has the digest of all pieces but the last, then
the last piece, then the MD5. A path of several pieces also has a *way* row for each piece but its last: it stands where
the path would, and leads to the rows that have the next piece. So a walk that follows the ways meets all signatures in
order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kharvest.records import _keys as keys
from kharvest.records._engine import View
from kharvest.spi import Signature

PIECE_BYTES = 255
_WAY = b"\1"
_FIRST_BLOCK, _LARGEST_BLOCK = 4, 256


def _folder(before: bytes) -> bytes:
    """What the keys of all rows begin with whose paths have these pieces before their last one."""
    return b"F" + (keys.digest_of_bytes(before) if before else bytes(keys.ID_BYTES))


def key_of(signature: Signature) -> bytes:
    """The key of a signature."""
    path = signature.path.encode()
    cut = _cut(path)
    return _folder(path[:cut]) + path[cut:] + b"\0" + signature.md5


def _cut(path: bytes) -> int:
    """Where the last piece of a path begins."""
    return max(0, len(path) - 1) // PIECE_BYTES * PIECE_BYTES


@dataclass(frozen=True, slots=True)
class Way:
    """The key of a way row, and what the keys begin with that it leads to."""

    key: bytes
    leads_to: bytes


def ways_to(path: str) -> list[Way]:
    """The ways to a path, the last one first. A short path has none."""
    encoded = path.encode()
    return [
        Way(_folder(encoded[: at - PIECE_BYTES]) + encoded[at - PIECE_BYTES : at] + _WAY, _folder(encoded[:at]))
        for at in range(_cut(encoded), 0, -PIECE_BYTES)
    ]


@dataclass(frozen=True, slots=True)
class Found:
    """A signature on a walk, and its row."""

    path: bytes
    md5: bytes
    row: bytes

    @property
    def signature(self) -> Signature:
        """The signature."""
        return Signature(self.path.decode(), self.md5)


def walk(view: View, path: bytes, md5: bytes | None = None) -> Iterator[Found]:
    """The signatures from a path on, or behind an MD5 of it."""
    return _walk(view, b"", path, md5)


def _walk(view: View, before: bytes, path: bytes, md5: bytes | None) -> Iterator[Found]:
    folder = _folder(before)
    piece, rest = path[:PIECE_BYTES], path[PIECE_BYTES:]
    start = folder + piece + (_WAY if rest else b"" if md5 is None else b"\0" + md5 + b"\0")
    size = _FIRST_BLOCK
    while True:
        rows = view.scan(start, folder + keys.END, limit=size)
        for key, row in rows:
            # No path holds a NUL, so the first one ends it.
            name, nul, found_md5 = key[len(folder) :].partition(b"\0")
            if nul:
                yield Found(before + name, found_md5, row)
            elif rest and name == piece + _WAY:
                yield from _walk(view, before + piece, rest, md5)
            else:
                yield from _walk(view, before + name[:-1], b"", None)
        if len(rows) < size:
            return
        start = rows[-1][0] + b"\0"
        size = min(4 * size, _LARGEST_BLOCK)


def paths(view: View, prefix: bytes) -> Iterator[bytes]:
    """The paths that begin with a prefix, in order, each once."""
    at: bytes = prefix
    while True:
        found = next(walk(view, at), None)
        if found is None or not found.path.startswith(prefix):
            return
        yield found.path
        at = found.path + b"\1"  # no path holds a NUL: nothing lies between
