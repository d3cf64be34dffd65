"""The values that travel through the server: what a pod announces, and what becomes of each file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from kharvest.spi import Content, KharvestError, Metadata, Pod, Reference, Signature


@dataclass(frozen=True, slots=True)
class Announced:
    """One file that a pod has, or, for a removal, had.

    `content` is None for a removal, and when the client does not tell: the original protocol knows MD5s only.
    """

    signature: Signature
    content: Content | None


@dataclass(frozen=True, slots=True)
class Announcement:
    """What one pod has at one time."""

    pod: Pod
    metadata: Metadata
    files: tuple[Announced, ...]
    observed_at_ns: int

    def reference(self, signature: Signature) -> Reference:
        """The reference that says so of one of the files."""
        return Reference(signature, self.pod, self.metadata, self.observed_at_ns)


class Fate(Enum):
    """What became of an announced file, where it was not refused."""

    ACKNOWLEDGED = "acknowledged"
    """Reference and content are durable."""
    MISSING = "missing"
    """The store lacks the content."""
    UPLOAD = "upload"
    """The store lacks the content, and this pod is to upload it."""
    PENDING = "pending"
    """The store lacks the content, and another pod is to upload it."""


Outcome = Fate | KharvestError
"""What became of an announced file; an error is why it was refused."""
