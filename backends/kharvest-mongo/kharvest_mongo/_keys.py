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
_REMEMBERED = 2**16


@lru_cache(maxsize=_REMEMBERED)
def of(kind: str, *parts: str) -> bytes:
    """The key of the references that have something of a kind.

    `namespace`; `name`, of a pod; `pod`, with namespace and name; `path`; `signature`, with path and MD5; `md5`;
    `pair`, with key and value; `directory`, whose text ends in a slash: the references below it.
    """
    return _digest(kind, *parts)


def of_signature(signature: Signature) -> bytes:
    """The key of the references to one version of a file."""
    return of("signature", signature.path, signature.md5.hex())


def of_timeline(timeline: Timeline) -> bytes:
    return _digest("timeline", timeline.pod.namespace, timeline.pod.name, timeline.pod.uid, timeline.path)


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
        of("namespace", pod.namespace),
        of("name", pod.name),
        of("pod", pod.namespace, pod.name),
        of("path", signature.path),
        of_signature(signature),
        of("md5", signature.md5.hex()),
    ]
    keys += (of("pair", key, value) for key, value in reference.metadata.items())
    keys += (of("directory", directory) for directory in directories(signature.path))
    return keys


def order_of(reference: Reference) -> bytes:
    """What references are ordered by, and known again by: the time, then all of the reference."""
    signature, pod = reference.signature, reference.pod
    pairs = (part for pair in reference.metadata.items() for part in pair)
    whole = _digest("reference", pod.namespace, pod.name, pod.uid, signature.path, signature.md5.hex(), *pairs)
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


def _digest(*parts: str) -> bytes:
    return sha256("\0".join(parts).encode()).digest()[:_DIGEST_BYTES]
