"""The keys of all rows. Each begins with one byte that says of what kind the row is.

A *rank* is where a reference stands in the order of all: its time, then a digest of it. It says all that tells the
reference from others, so recording a reference twice is putting the same rows twice.

What may be long stands in a key as the first 16 bytes of its SHA-256. The strings of the contract hold no NUL, so
strings with a NUL between them are one text. What a query asks for is compared with the reference itself in the end.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from kharvest.spi import Pod, Reference, Signature, Timeline

FORMAT = b"V"
"""The key of the row with the version of the format."""

ID_BYTES = 16
RANK_BYTES = 8 + ID_BYTES
NO_RANK = b"\x80"
"""Behind all ranks: the largest time has 63 bits."""
END = b"\xff"
"""Added to a prefix: behind all keys with it. No rank, and no UTF-8, begins with this byte."""


class Kind:
    """What references are found by, as it stands in keys."""

    ALL = b""
    NAMESPACE = b"n"
    POD_NAME = b"p"
    PATH = b"a"
    MD5 = b"m"
    SIGNATURE = b"s"
    METADATA = b"x"


HEADS = (Kind.ALL, Kind.NAMESPACE, Kind.POD_NAME, Kind.PATH, Kind.METADATA)
"""The indexes that the newest references of all timelines have, too."""


@lru_cache(maxsize=1024)  # a batch names few pods and paths, again and again
def digest(*parts: str) -> bytes:
    """What stands for strings in a key."""
    return digest_of_bytes("\0".join(parts).encode())


def digest_of_bytes(data: bytes) -> bytes:
    """What stands for bytes in a key."""
    return hashlib.sha256(data).digest()[:ID_BYTES]


def start_of(time_ns: int) -> bytes:
    """A rank no later than any of this time."""
    return time_ns.to_bytes(8) + bytes(ID_BYTES)


def rank_of(reference: Reference, metadata_id: bytes) -> bytes:
    """Where a reference stands."""
    signature, pod = reference.signature, reference.pod
    names = f"{pod.namespace}\0{pod.name}\0{pod.uid}\0{signature.path}\0".encode()
    return reference.observed_at_ns.to_bytes(8) + digest_of_bytes(names + signature.md5 + metadata_id)


def time_of(rank: bytes) -> int:
    """The time of a rank."""
    return int.from_bytes(rank[:8])


def reference(rank: bytes) -> bytes:
    """The row of a reference itself."""
    return b"R" + rank


def head(timeline_id: bytes) -> bytes:
    """The row that says which reference of a timeline is the newest."""
    return b"H" + timeline_id


def timeline(timeline_id: bytes, rank: bytes = b"") -> bytes:
    """The row of a reference in its timeline; or what these rows begin with."""
    return b"T" + timeline_id + rank


def timeline_id(of: Timeline) -> bytes:
    """What stands for a timeline."""
    return timelines_id(of.pod.namespace, of.pod.name, of.path) + digest(of.pod.uid)


def timelines_id(namespace: str, pod_name: str, path: str) -> bytes:
    """What the timelines of a path begin with in all pods of one name."""
    return digest(namespace, pod_name, path)


def pod_id(of: Pod) -> bytes:
    """What stands for a pod."""
    return digest(of.namespace, of.name, of.uid)


def signature_id(of: Signature) -> bytes:
    """What stands for a signature."""
    return digest_of_bytes(of.path.encode() + b"\0" + of.md5)


def history(kind: bytes, identity: bytes) -> bytes:
    """What the rows of references begin with that are found by something of this kind."""
    return b"I" + kind + identity if kind else reference(b"")


def heads(kind: bytes, identity: bytes) -> bytes:
    """What the rows of timelines' newest references begin with that are found by something of this kind."""
    return b"L" + (kind or b"\0") + identity


def metadata(metadata_id: bytes, part: int) -> bytes:
    """A row of a set of metadata."""
    return b"M" + metadata_id + part.to_bytes(2)


def pair(key: str, value: str, metadata_id: bytes = b"") -> bytes:
    """The row that says that a set of metadata has this pair; or what these rows begin with."""
    return b"P" + digest(key, value) + metadata_id


def claim(key: bytes) -> bytes:
    """The row of a lease."""
    return b"C" + key
