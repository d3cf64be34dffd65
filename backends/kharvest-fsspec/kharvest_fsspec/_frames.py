"""The one form of what is stored compressed: it tells whose it is, in which format, and whether it is whole.

    magic 8 | format version 4 | number 8 | store 16 | writer 16 | deflated body | CRC-32 of all before 4

Numbers are big-endian. `writer` is drawn at random for each object: a process recognises its own by it.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from kharvest.spi import IncompatibleSchema, StoreCorrupt

FORMAT_VERSION = 1
"""Counts changes of what is stored: of this form, of the operations, and of how they number what they add."""

SEGMENT = b"KHARVLOG"
CHECKPOINT = b"KHARVCHK"

HEADER = struct.Struct(">8sIQ16s16s")
TRAILER = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Header:
    """What comes before a body."""

    magic: bytes
    number: int
    store: bytes
    writer: bytes

    def pack(self) -> bytes:
        """As bytes, with the version that this code writes."""
        return HEADER.pack(self.magic, FORMAT_VERSION, self.number, self.store, self.writer)


def pack(header: Header, body: bytes) -> bytes:
    """A small object, whole."""
    framed = header.pack() + zlib.compress(body, 6)
    return framed + TRAILER.pack(zlib.crc32(framed))


def unpack(name: str, data: bytes, magic: bytes, number: int, store: bytes) -> tuple[Header, bytes]:
    """The header and body of a small object.

    Raises:
        StoreCorrupt, IncompatibleSchema: see `read_header`; or it is not whole.
    """
    header = read_header(name, data, magic, number, store)
    framed, trailer = data[: -TRAILER.size], data[-TRAILER.size :]
    if len(framed) < HEADER.size or TRAILER.pack(zlib.crc32(framed)) != trailer:
        raise damaged(name, f"its {len(data)} bytes are not what was written")
    try:
        return header, zlib.decompress(framed[HEADER.size :])
    except zlib.error as error:
        raise damaged(name, str(error)) from error


def read_header(name: str, data: bytes, magic: bytes, number: int, store: bytes) -> Header:
    """What an object starts with.

    Raises:
        StoreCorrupt: it is cut short, is something else, or belongs to another store.
        IncompatibleSchema: it was written by a later kharvest.
    """
    if len(data) < HEADER.size:
        raise damaged(name, f"it is cut short after {len(data)} bytes")
    found, version, found_number, found_store, writer = HEADER.unpack_from(data)
    if found != magic:
        raise damaged(name, "it is something else")
    if version != FORMAT_VERSION:
        raise IncompatibleSchema(found=version, supported=FORMAT_VERSION)
    if (found_number, found_store) != (number, store):
        raise damaged(name, "it belongs to another store, or to another place in this one")
    return Header(magic, number, store, writer)


def damaged(name: str, reason: str) -> StoreCorrupt:
    return StoreCorrupt(f"the object {name}: {reason}", f"restore {name} from a backup, or a version that was kept")
