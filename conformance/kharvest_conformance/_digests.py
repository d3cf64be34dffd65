"""Contents whose digests have bytes that databases, drivers and quoting trip over, found by trying."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import count

from kharvest.spi import Content
from kharvest_conformance._samples import COLLIDING, content_of

_WANTED: tuple[Callable[[Content], bool], ...] = (
    *(lambda one, byte=byte: one.sha256[-1] == byte for byte in (0x00, 0x09, 0x0A, 0x20, 0xFF)),
    *(lambda one, byte=byte: one.sha256[0] == byte for byte in (0x00, 0x20, 0xFF)),
    *(lambda one, byte=byte: byte in one.sha256[1:-1] for byte in (0x00, 0x1A, 0x22, 0x25, 0x27, 0x5C, 0x5F)),
    *(lambda one, byte=byte: one.md5[-1] == byte for byte in (0x00, 0x0A, 0x20)),
    *(lambda one, byte=byte: one.md5[0] == byte for byte in (0x00, 0x20)),
    *(lambda one, byte=byte: byte in one.md5[1:-1] for byte in (0x00, 0x27, 0x5C)),
)
"""Ends that are trimmed or padded, first bytes that are dropped, marks of SQL's strings and patterns."""


@lru_cache(maxsize=1)
def awkward() -> dict[bytes, bytes]:
    """Bytes of contents by their SHA-256: those with awkward digests, nothing at all, and two that have one MD5."""
    numbers = count()
    found = (next(data for number in numbers if is_wanted(content_of(data := b"%d" % number))) for is_wanted in _WANTED)
    return {content_of(data).sha256: data for data in (*COLLIDING, b"", *found)}


def neighbours(sha256: bytes) -> set[bytes]:
    """Digests that differ from one in their last byte, their first, or the case of a letter."""
    last, first = sha256[-1], sha256[0]
    near = {sha256[:-1] + bytes([byte]) for byte in (0x00, 0x09, 0x0A, 0x20, 0xFF, last ^ 1, last ^ 0x80)}
    near |= {bytes([byte]) + sha256[1:] for byte in (0x00, 0x20, first ^ 1)}
    letters = [at for at, byte in enumerate(sha256) if chr(byte).isascii() and chr(byte).isalpha()]
    near |= {sha256[:at] + bytes([sha256[at] ^ 0x20]) + sha256[at + 1 :] for at in letters[:2]}
    return near - {sha256}
