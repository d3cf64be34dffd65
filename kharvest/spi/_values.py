"""The values of the contract, with their limits: every limit is checked here and nowhere else.

All values are immutable, hashable and compare by their fields. Strings are exact: nothing is trimmed, folded or
normalised. They hold all of Unicode but NUL and lone surrogates. Times are nanoseconds since the epoch, UTC.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Generic, TypeVar

from kharvest.spi._errors import InvalidValue

MAX_PATH_BYTES = 4096
"""Linux's PATH_MAX (`linux/limits.h`)."""
MAX_NAMESPACE_BYTES = 63
"""A Kubernetes namespace is a DNS label (RFC 1123)."""
MAX_POD_BYTES = 253
"""A Kubernetes pod's name is a DNS subdomain (RFC 1123)."""
MAX_UID_BYTES = 64
"""A Kubernetes UID is a UUID of 36 characters; those of static pods have 32."""
MAX_METADATA_PAIRS = 64
"""The most pairs that the metadata of a reference may have."""
MAX_METADATA_KEY_BYTES = 317
"""A Kubernetes label or annotation key: prefix of 253, a slash, name of 63."""
MAX_METADATA_VALUE_BYTES = 4096
"""The most bytes of a metadata value, in UTF-8. Kubernetes labels have at most 63; annotations may be longer."""
MAX_PAGE = 10_000
"""The most items a page of a query may hold."""
MAX_BATCH = 10_000
"""The most items in each collection that a store is given in one call."""
MAX_BATCH_BYTES = 16 * 1024 * 1024
"""The most bytes in one call to a store: paths, pods, keys and digests of all its items, and each different metadata
once."""
MAX_CHUNK_BYTES = 1024 * 1024
"""The most bytes in one chunk of a content that a store is given."""
MAX_SIZE = 2**63 - 1
"""The largest size of a content in bytes: what a signed 64-bit number holds."""
MAX_TIME_NS = 2**63 - 1
"""The largest time, in the year 2262: what a signed 64-bit number of nanoseconds holds."""

REMOVED = bytes(16)
"""The MD5 of a removal: the file went away."""


def _check_text(name: str, text: str, max_bytes: int) -> None:
    if text.isascii():  # the common case, kept off the encoder: this runs for every announced file
        size = len(text)
    else:
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise InvalidValue(name, f"{text!r} holds a lone surrogate", "send valid Unicode") from None
    if size > max_bytes:
        shown = text[:40]
        raise InvalidValue(name, f"{size} bytes ({shown!r}…), at most {max_bytes} are allowed", "shorten it")
    if "\0" in text:
        raise InvalidValue(name, f"{text!r} holds a NUL", "remove it")


def _check_time(name: str, time_ns: int) -> None:
    if not 0 <= time_ns <= MAX_TIME_NS:
        raise InvalidValue(name, f"{time_ns} ns is out of range", "give nanoseconds since the epoch, 0 to 2^63-1")


def _check_digest(name: str, digest: bytes, length: int) -> None:
    if len(digest) != length:
        raise InvalidValue(name, f"{len(digest)} bytes", f"send the {length} raw bytes of the digest")


def _check_namespace(text: str) -> None:
    _check_text("namespace", text, MAX_NAMESPACE_BYTES)


def _check_pod(text: str) -> None:
    _check_text("pod", text, MAX_POD_BYTES)


def _check_uid(text: str) -> None:
    _check_text("pod UID", text, MAX_UID_BYTES)


@dataclass(frozen=True, slots=True, order=True)
class Pod:
    """A pod's identity.

    A pod that is made anew under the same name has another UID, and is another pod: no timeline is of both. Any part
    may be empty: the UID where it is unknown, and clients of the original protocol send an empty name when they are
    not configured.
    """

    namespace: str
    name: str
    uid: str = ""

    def __post_init__(self) -> None:
        _check_namespace(self.namespace)
        _check_pod(self.name)
        _check_uid(self.uid)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, order=True)
class Signature:
    """The identity of a file version: full path and MD5 of its content (16 raw bytes, all zero for a removal)."""

    path: str
    md5: bytes

    def __post_init__(self) -> None:
        if not self.path:
            raise InvalidValue("path", "it is empty", "send the file's full path")
        _check_text("path", self.path, MAX_PATH_BYTES)
        if self.path[0] != "/":
            raise InvalidValue("path", f"{self.path!r} is relative", "send the full path, from the root")
        _check_digest("md5", self.md5, 16)

    @property
    def is_removal(self) -> bool:
        """Whether this says that the file went away."""
        return self.md5 == REMOVED


@dataclass(frozen=True, slots=True, order=True)
class Content:
    """Bytes, named by their SHA-256 (32 raw bytes); `size` in bytes.

    The MD5 is kept beside it so that equal bytes under a second path can be recognised without moving them again.
    """

    sha256: bytes
    md5: bytes
    size: int

    def __post_init__(self) -> None:
        _check_digest("sha256", self.sha256, 32)
        _check_digest("md5", self.md5, 16)
        if self.md5 == REMOVED:
            raise InvalidValue("md5", "16 zero bytes stand for a removal, which has no content", "send the MD5")
        if not 0 <= self.size <= MAX_SIZE:
            raise InvalidValue("size", f"{self.size} bytes is out of range", "send the size in bytes, 0 to 2^63-1")


class Metadata(Mapping[str, str]):
    """What a pod says of itself: an immutable mapping str → str, compared by its pairs, whatever their order."""

    __slots__ = ("_hash", "_pairs")

    def __init__(self, pairs: Mapping[str, str] | None = None) -> None:
        if pairs is not None and len(pairs) > MAX_METADATA_PAIRS:
            problem = f"{len(pairs)} pairs, at most {MAX_METADATA_PAIRS} are allowed"
            raise InvalidValue("metadata", problem, "send fewer")
        self._pairs: dict[str, str] = dict(sorted(pairs.items())) if pairs else {}
        self._hash: int | None = None
        for key, value in self._pairs.items():
            _check_text("metadata key", key, MAX_METADATA_KEY_BYTES)
            _check_text("metadata value", value, MAX_METADATA_VALUE_BYTES)

    def __getitem__(self, key: str) -> str:
        return self._pairs[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def items(self) -> ItemsView[str, str]:
        """The pairs, sorted by key."""
        return self._pairs.items()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Metadata):
            return self._pairs == other._pairs
        return NotImplemented

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(tuple(self._pairs.items()))
        return self._hash

    def __repr__(self) -> str:
        return f"Metadata({self._pairs!r})"

    def matches(self, wanted: Metadata) -> bool:
        """Whether every pair of `wanted` is among these."""
        return wanted._pairs.items() <= self._pairs.items()


NO_METADATA = Metadata()
"""Metadata without a pair."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """One path in one pod: what its references, in the order of their times, are the history of."""

    pod: Pod
    path: str

    def __hash__(self) -> int:
        # Hashed for every announced file; a pod's name tells it from others nearly as well as the whole pod would.
        return hash((self.pod.name, self.path))


@dataclass(frozen=True, slots=True)
class Reference:
    """The fact that one pod had one signature at one time."""

    signature: Signature
    pod: Pod
    metadata: Metadata
    observed_at_ns: int

    def __post_init__(self) -> None:
        _check_time("observed-at", self.observed_at_ns)

    def __hash__(self) -> int:
        # As above: the metadata of two references that are alike in all of these differ hardly ever.
        return hash((self.signature.path, self.signature.md5, self.pod.name, self.observed_at_ns))

    @property
    def timeline(self) -> Timeline:
        """The pod and path whose history this is part of."""
        return Timeline(self.pod, self.signature.path)

    def after(self, time_ns: int | None) -> Reference:
        """This reference if it is later than a time, or no time is given; else the same one nanosecond after that.

        Raises:
            InvalidValue: there is no later time.
        """
        if time_ns is None or time_ns < self.observed_at_ns:
            return self
        if time_ns >= MAX_TIME_NS:
            problem = f"{self.pod} has a reference to {self.signature.path} at the largest time, and none can follow it"
            raise InvalidValue("observed-at", problem, "forget that reference")
        return replace(self, observed_at_ns=time_ns + 1)


@dataclass(frozen=True, slots=True)
class FileSummary:
    """A file, how many pods have a matching reference to it, and when it was first and last observed in those.

    Removals are not files: they have no content, and no summary.
    """

    signature: Signature
    content: Content
    pods: int
    first_seen_ns: int
    last_seen_ns: int


class Order(Enum):
    """The order in which a query gives references."""

    OLDEST_FIRST = "oldest-first"
    NEWEST_FIRST = "newest-first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The parameters of every read. What is None or False, or has no pairs, does not restrict.

    An empty namespace, pod or UID does: it asks for the pods that have none.

    Attributes:
        path: the exact path.
        path_prefix: what the path starts with, compared character by character. Not together with `path`.
        md5: the file version's MD5; 16 zero bytes for removals.
        namespace: the pod's namespace.
        pod: the pod's name.
        uid: the pod's UID.
        metadata: pairs that must all be among the reference's.
        since_ns: earliest time, inclusive. Not later than `until_ns`.
        until_ns: latest time, exclusive.
        latest: only the newest reference of each timeline (namespace, pod, UID, path). It is chosen among those before
            `until_ns` and before `md5` and `metadata` restrict: so it tells what pods held at that time.
        order: the order of references; file summaries always come in the order of path and MD5.
        limit: the most items on the page, 1 to MAX_PAGE.
        cursor: where the page starts, from the `next_cursor` of the page before, with all else but the
            limit unchanged. It works in every handle, after reopening, and when what it stood at is gone.
    """

    path: str | None = None
    path_prefix: str | None = None
    md5: bytes | None = None
    namespace: str | None = None
    pod: str | None = None
    uid: str | None = None
    metadata: Metadata = field(default=NO_METADATA)
    since_ns: int | None = None
    until_ns: int | None = None
    latest: bool = False
    order: Order = Order.OLDEST_FIRST
    limit: int = 1000
    cursor: str | None = None

    def __post_init__(self) -> None:
        if self.path is not None:
            _check_text("path", self.path, MAX_PATH_BYTES)
        if self.path_prefix is not None:
            _check_text("path prefix", self.path_prefix, MAX_PATH_BYTES)
            if self.path is not None:
                raise InvalidValue("path prefix", "a path is given too", "give one of them")
        if self.md5 is not None:
            _check_digest("md5", self.md5, 16)
        if self.namespace is not None:
            _check_namespace(self.namespace)
        if self.pod is not None:
            _check_pod(self.pod)
        if self.uid is not None:
            _check_uid(self.uid)
        if self.since_ns is not None:
            _check_time("since", self.since_ns)
        if self.until_ns is not None:
            _check_time("until", self.until_ns)
            if self.since_ns is not None and self.since_ns > self.until_ns:
                raise InvalidValue("since", "it is after until", "swap them")
        if not 1 <= self.limit <= MAX_PAGE:
            raise InvalidValue("limit", f"{self.limit} is out of range", f"give 1 to {MAX_PAGE}")


Item_co = TypeVar("Item_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Page(Generic[Item_co]):
    """Some items of a query's answer, in its order.

    `next_cursor` is where the next page starts, a text that is not empty;
    None when there was nothing more at the time of the call. A page that has a next cursor may be shorter than the
    limit, even empty.
    """

    items: tuple[Item_co, ...]
    next_cursor: str | None
