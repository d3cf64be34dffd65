"""The values of rows, as bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar

from kharvest.records import _keys as keys
from kharvest.spi import MAX_TIME_NS, Content, Metadata, Pod, Reference, Signature, StoreCorrupt

LIFE_BYTES = 8
"""What the rows begin with that references rely on. See `kharvest.records._shared`."""
STAMP_BYTES = 8
"""What a row ends with, or begins, that changes when something changes that it does not say itself."""
_PART_BYTES = 60_000
_MD5 = 16
_SHA256 = 32
_ID = keys.ID_BYTES

P = ParamSpec("P")
T = TypeVar("T")


def needed(found: Mapping[bytes, bytes], key: bytes) -> bytes:
    """The row of a key that another row refers to.

    Raises:
        StoreCorrupt: it is missing.
    """
    row = found.get(key)
    if row is None:
        raise StoreCorrupt(f"the row {key!r} is missing, and another row refers to it")
    return row


def _unpacks(what: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A function that raises StoreCorrupt when the row that it unpacks is not one that was packed here."""

    def decorate(unpack: Callable[P, T]) -> Callable[P, T]:
        @wraps(unpack)
        def checked(*arguments: P.args, **named: P.kwargs) -> T:
            try:
                return unpack(*arguments, **named)
            except (ValueError, IndexError) as damage:  # among them: no UTF-8, and values beyond their limits
                raise StoreCorrupt(f"a row is damaged: {what}") from damage

        return checked

    return decorate


@dataclass(frozen=True, slots=True)
class Stored:
    """A reference as it is stored: its metadata is elsewhere, and named by its digest."""

    signature: Signature
    pod: Pod
    metadata_id: bytes
    observed_at_ns: int

    def with_metadata(self, metadata: Metadata) -> Reference:
        """The reference."""
        return Reference(self.signature, self.pod, metadata, self.observed_at_ns)


def of_reference(reference: Reference, metadata_id: bytes) -> bytes:
    """The row of a reference."""
    signature, pod = reference.signature, reference.pod
    names = f"{pod.namespace}\0{pod.name}\0{pod.uid}\0{signature.path}"
    return bytes(STAMP_BYTES) + signature.md5 + metadata_id + names.encode()


@_unpacks("a reference")
def to_stored(rank: bytes, row: bytes) -> Stored:
    """The reference in a row."""
    names, body = row[STAMP_BYTES + _MD5 + _ID :], row[STAMP_BYTES : STAMP_BYTES + _MD5 + _ID]
    namespace, name, uid, path = names.decode().split("\0")
    return Stored(Signature(path, body[:_MD5]), Pod(namespace, name, uid), body[_MD5:], keys.time_of(rank))


def stamped(row: bytes) -> bytes:
    """The row of a reference, with a stamp that no other has."""
    return os.urandom(STAMP_BYTES) + row[STAMP_BYTES:]


@dataclass(frozen=True, slots=True)
class Head:
    """The newest reference of a timeline, and the stamp of the commit that last changed the timeline."""

    rank: bytes
    metadata_id: bytes
    stamp: bytes

    def pack(self) -> bytes:
        """The row."""
        return self.rank + self.metadata_id + self.stamp

    @classmethod
    @_unpacks("the newest reference of a timeline")
    def of(cls, row: bytes) -> Head:
        """What is in a row."""
        behind = keys.RANK_BYTES + _ID
        if len(row) != behind + STAMP_BYTES or keys.time_of(row) > MAX_TIME_NS:
            raise ValueError("another length, or a time beyond the largest")
        return cls(row[: keys.RANK_BYTES], row[keys.RANK_BYTES : behind], row[behind:])


def of_content(content: Content | None) -> bytes:
    """What the row of a signature says of its content; a removal has none."""
    return b"" if content is None else content.sha256 + content.md5 + content.size.to_bytes(8)


@_unpacks("the content of a file")
def to_content(row: bytes) -> Content | None:
    """The content of a signature, from its row."""
    body = row[LIFE_BYTES:]
    sha256, md5, size = body[:_SHA256], body[_SHA256 : _SHA256 + _MD5], body[_SHA256 + _MD5 :]
    return Content(sha256, md5, int.from_bytes(size)) if body else None


def pack_metadata(metadata: Metadata) -> bytes:
    """A set of metadata; equal ones give equal bytes."""
    return "\0".join(part for pair in metadata.items() for part in pair).encode() + (b"\0" if metadata else b"")


def of_metadata(metadata_id: bytes, packed: bytes) -> dict[bytes, bytes]:
    """The rows of a set of metadata, within MAX_VALUE_BYTES. The first has their number, and no life yet."""
    parts = [packed[at : at + _PART_BYTES] for at in range(0, len(packed), _PART_BYTES)] or [b""]
    rows = {keys.metadata(metadata_id, number): part for number, part in enumerate(parts)}
    rows[keys.metadata(metadata_id, 0)] = bytes([len(parts)]) + parts[0]
    return rows


@_unpacks("a set of metadata")
def parts_of_metadata(row: bytes) -> int:
    """How many rows a set of metadata has, from its first."""
    return row[LIFE_BYTES]


@_unpacks("a set of metadata")
def to_metadata(metadata_id: bytes, rows: Mapping[bytes, bytes]) -> Metadata:
    """The set of metadata in its rows."""
    first = needed(rows, keys.metadata(metadata_id, 0))
    parts = [first[LIFE_BYTES + 1 :]]
    parts += [needed(rows, keys.metadata(metadata_id, number)) for number in range(1, parts_of_metadata(first))]
    packed = b"".join(parts)
    if keys.digest_of_bytes(packed) != metadata_id:
        raise StoreCorrupt("the rows of a set of metadata are not what was written")
    strings = packed.decode().split("\0")
    return Metadata(dict(zip(strings[0:-1:2], strings[1:-1:2], strict=True)))


def of_lease(until_ns: int, holder: str) -> bytes:
    """The row of a lease."""
    return until_ns.to_bytes(8) + holder.encode()


@_unpacks("a lease")
def to_lease(row: bytes) -> tuple[int, str]:
    """When the lease in a row ends, and who holds it."""
    return int.from_bytes(row[:8]), row[8:].decode()
