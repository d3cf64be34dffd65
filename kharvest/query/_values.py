"""What the server answers. Digests are raw bytes, times nanoseconds since the epoch, UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class FoundReference:
    """One pod had one file version at one time.

    `sha256` and `size` (bytes) are None for a removal. `uid` is the pod's, empty where it is unknown.
    """

    path: str
    md5: bytes
    sha256: bytes | None
    size: int | None
    namespace: str
    pod: str
    uid: str
    observed_at_ns: int
    metadata: Mapping[str, str]

    @property
    def is_removal(self) -> bool:
        """Whether this says that the file went away."""
        return self.sha256 is None

    @property
    def observed_at(self) -> datetime:
        """The time, rounded down to a microsecond."""
        return _datetime(self.observed_at_ns)


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file version, the number of pods that have a matching reference to it, and the times of the first and last."""

    path: str
    md5: bytes
    sha256: bytes
    size: int
    pods: int
    first_seen_ns: int
    last_seen_ns: int

    @property
    def first_seen(self) -> datetime:
        """The time of the first reference, rounded down to a microsecond."""
        return _datetime(self.first_seen_ns)

    @property
    def last_seen(self) -> datetime:
        """The time of the last reference, rounded down to a microsecond."""
        return _datetime(self.last_seen_ns)


def _datetime(time_ns: int) -> datetime:
    seconds, nanoseconds = divmod(time_ns, 10**9)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000)
