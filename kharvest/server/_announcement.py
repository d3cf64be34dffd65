"""The values that travel through the server: what a pod announces, and the answer to each file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from kharvest.spi import Content, KharvestError, Metadata, Pod, Reference, Signature

DIGESTS_BYTES = 16 + 16 + 32 + 16
"""The digests of one file in a call to a store: of its reference, its signature, and its content."""


@dataclass(frozen=True, slots=True)
class Announced:
    """One file that a pod has, or, for a removal, had.

    `content` is None for a removal, and when the client does not tell: the original protocol knows MD5s only.
    """

    signature: Signature
    content: Content | None


@dataclass(frozen=True, slots=True)
class Announcement:
    """What one pod has at one time. `peer` is the connection that it came by, in gRPC's words."""

    pod: Pod
    metadata: Metadata
    files: tuple[Announced, ...]
    observed_at_ns: int
    peer: str

    def reference(self, signature: Signature) -> Reference:
        """The reference that says so of one of the files."""
        return Reference(signature, self.pod, self.metadata, self.observed_at_ns)

    def batch_bytes(self) -> int:
        """The most bytes that it adds to one call to a store: see `MAX_BATCH_BYTES`.

        That is `append`, which has each path twice: with the file and with the reference.
        """
        pod = sum(map(_utf8_bytes, (self.pod.namespace, self.pod.name, self.pod.uid)))
        paths = sum(_utf8_bytes(file.signature.path) for file in self.files)
        metadata = sum(_utf8_bytes(key) + _utf8_bytes(value) for key, value in self.metadata.items())
        return 2 * paths + len(self.files) * (pod + DIGESTS_BYTES) + metadata


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


class FileStatus(Enum):
    """The answer to an announced file that is not refused."""

    ACKNOWLEDGED = "acknowledged"
    """Reference and content are durable."""
    MISSING = "missing"
    """The store lacks the content."""
    UPLOAD = "upload"
    """The store lacks the content, and this pod is to upload it."""
    PENDING = "pending"
    """The store lacks the content, and another pod is to upload it."""


FileAnswer = FileStatus | KharvestError
"""The answer to an announced file; an error is why it is refused."""
