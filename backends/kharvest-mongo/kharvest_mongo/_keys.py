"""What references are found and ordered by: short digests, in the place of text of any length.

A digest is the first half of a SHA-256, of parts that no NUL is in, with a NUL between them: what differs has another
one, whatever its case, accents or spaces.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256

from kharvest.spi import Reference, Signature, Timeline

DIRECTORY_LEVELS = 4
"""As many of a path's directories, from the root, lead to its references: a query for a prefix walks the deepest."""
CURRENT = b""
"""The key of all references that are the newest of their timelines."""
_DIGEST_BYTES = 16
_TIME_BYTES = 8
ORDER_BYTES = _TIME_BYTES + _DIGEST_BYTES
_REMEMBERED = 8192


@lru_cache(maxsize=_REMEMBERED)
def of_namespace(namespace: str) -> bytes:
    """The key of the references of pods in a namespace."""
    return _digest(b"namespace", namespace)


@lru_cache(maxsize=_REMEMBERED)
def of_pod_name(name: str) -> bytes:
    """The key of the references of pods of one name, whatever their namespace."""
    return _digest(b"name", name)


@lru_cache(maxsize=_REMEMBERED)
def of_pod(namespace: str, name: str) -> bytes:
    """The key of the references of all pods of one namespace and name."""
    return _digest(b"pod", namespace, name)


@lru_cache(maxsize=_REMEMBERED)
def of_path(path: str) -> bytes:
    """The key of the references to any version of a file."""
    return _digest(b"path", path)


@lru_cache(maxsize=_REMEMBERED)
def of_signature(signature: Signature) -> bytes:
    """The key of the references to one version of a file."""
    return _digest(b"signature", signature.path, signature.md5.hex())


@lru_cache(maxsize=_REMEMBERED)
def of_md5(md5: bytes) -> bytes:
    """The key of the references to whatever has this MD5."""
    return _digest(b"md5", md5.hex())


@lru_cache(maxsize=_REMEMBERED)
def of_pair(key: str, value: str) -> bytes:
    """The key of the references whose metadata has a pair."""
    return _digest(b"pair", key, value)


@lru_cache(maxsize=_REMEMBERED)
def of_directory(directory: str) -> bytes:
    """The key of the references below a directory, whose text ends in a slash."""
    return _digest(b"directory", directory)


def of_timeline(timeline: Timeline) -> bytes:
    """The key of the references of a timeline."""
    return _digest(b"timeline", timeline.pod.namespace, timeline.pod.name, timeline.pod.uid, timeline.path)


def directories(text: str) -> Iterator[str]:
    """The first directories that a path, or the start of one, is in: all that end within it, up to a number."""
    end = text.find("/", 1)
    for _level in range(DIRECTORY_LEVELS):
        if end < 0:
            return
        yield text[: end + 1]
        end = text.find("/", end + 1)


def of_query_ways(reference: Reference) -> list[bytes]:
    """The keys for all that a query may ask of a reference."""
    signature, pod = reference.signature, reference.pod
    keys = [
        of_namespace(pod.namespace),
        of_pod_name(pod.name),
        of_pod(pod.namespace, pod.name),
        of_path(signature.path),
        of_signature(signature),
        of_md5(signature.md5),
    ]
    keys += (of_pair(key, value) for key, value in reference.metadata.items())
    keys += (of_directory(directory) for directory in directories(signature.path))
    return keys


def order_of(reference: Reference) -> bytes:
    """What references are ordered by, and known again by: the time, then all of the reference."""
    signature, pod = reference.signature, reference.pod
    pairs = (part for pair in reference.metadata.items() for part in pair)
    whole = _digest(b"reference", pod.namespace, pod.name, pod.uid, signature.path, signature.md5.hex(), *pairs)
    return reference.observed_at_ns.to_bytes(_TIME_BYTES, "big") + whole


def time_of(order: bytes) -> int:
    """The time, in nanoseconds, of a reference that is ordered so."""
    return int.from_bytes(order[:_TIME_BYTES], "big")


def before_time(time_ns: int) -> bytes:
    """What comes before all references of this time, and after all earlier ones."""
    return time_ns.to_bytes(_TIME_BYTES, "big") + bytes(_DIGEST_BYTES)


def name_of(signature: Signature) -> str:
    """What signatures are ordered by: path and MD5, as one text. No path has the NUL between them."""
    return f"{signature.path}\0{signature.md5.hex()}"


def _digest(kind: bytes, *parts: str) -> bytes:
    return sha256(b"\0".join((kind, *(part.encode() for part in parts)))).digest()[:_DIGEST_BYTES]
