"""Values as rows. LMDB sorts keys as bytes and takes at most 511 of them: what may be longer goes in as a digest."""

from __future__ import annotations

import hashlib
import json

from kharvest.spi import Content, Metadata, Pod, Reference, Signature, Timeline

RANK_BYTES = 16


def rank(at_ns: int, sequence: int) -> bytes:
    """Where a reference stands: by time, then by arrival."""
    return at_ns.to_bytes(8) + sequence.to_bytes(8)


def numbers_of(rank: bytes) -> tuple[int, int]:
    """The time and the arrival of a rank."""
    return int.from_bytes(rank[:8]), int.from_bytes(rank[8:])


def digest(*parts: str) -> bytes:
    """A key for strings of any length."""
    return hashlib.sha256(json.dumps(parts).encode()).digest()


def file_key(signature: Signature) -> bytes:
    """The key of a file."""
    return digest(signature.path) + signature.md5


def timeline_key(timeline: Timeline) -> bytes:
    """What the keys of a timeline's references begin with; the rank follows."""
    return digest(timeline.pod.namespace, timeline.pod.name, timeline.path)


def reference_row(reference: Reference) -> bytes:
    """A reference; equal ones give equal rows."""
    signature, pod = reference.signature, reference.pod
    pairs = sorted(reference.metadata.items())
    row = [signature.path, signature.md5.hex(), pod.namespace, pod.name, pairs, reference.observed_at_ns]
    return json.dumps(row, separators=(",", ":")).encode()


def reference_of(row: bytes) -> Reference:
    """The reference in a row."""
    path, md5, namespace, pod, pairs, at_ns = json.loads(row)
    return Reference(Signature(path, bytes.fromhex(md5)), Pod(namespace, pod), Metadata(dict(pairs)), at_ns)


def content_row(content: Content, rest: bytes = b"") -> bytes:
    """A content, and what else belongs to its row."""
    return content.sha256 + content.md5 + content.size.to_bytes(8) + rest


def content_of(row: bytes) -> tuple[Content, bytes]:
    """The content in a row, and what else is in it."""
    return Content(row[:32], row[32:48], int.from_bytes(row[48:56])), row[56:]
