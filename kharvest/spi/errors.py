"""The errors of kharvest, as one tree.

KharvestError
├── InvalidValue (also a ValueError)    a value breaks a limit of the contract
│   └── InvalidCursor                   a page's cursor was not made for this query
├── InvalidStoreURL                     a store's URL cannot be understood
└── StoreError                          a store could not do what it was asked
    ├── StoreUnavailable                away for now: trying again may succeed
    ├── StoreFull                       no room left for what was to be written
    ├── StoreCorrupt                    what is stored there cannot be read as a store
    ├── IncompatibleSchema              written by a kharvest with another schema
    ├── Unsupported                     the store does not have this capability
    ├── UnknownContent                  content that was asked for, or referred to, is not there
    ├── ContentMismatch                 bytes that are not the content they were said to be
    └── Conflict                        a known signature was recorded with other content

Every error carries its facts as attributes. Its message says what happened, to which thing, and what to do next.
A message never contains a password: a store puts URLs into messages masked only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kharvest.spi.values import Content, Signature


class KharvestError(Exception):
    """The root of the tree."""


class InvalidValue(KharvestError, ValueError):
    """A value breaks a limit of the contract.

    Attributes:
        field: what was wrong, in the words of the contract (`path`, `pod`, `metadata key` …).
        problem: what is wrong with it.
        remedy: what to do.
    """

    def __init__(self, field: str, problem: str, remedy: str) -> None:
        super().__init__(f"{field}: {problem}; {remedy}")
        self.field = field
        self.problem = problem
        self.remedy = remedy


class InvalidCursor(InvalidValue):
    """A query's cursor was not made by this store for this query."""

    def __init__(self, problem: str = "it was not made by this store for this query") -> None:
        super().__init__("cursor", problem, "start again without a cursor")


class InvalidStoreURL(KharvestError):
    """A store's URL cannot be understood.

    Attributes:
        url: the URL, masked.
        problem: what is wrong with it.
    """

    def __init__(self, url: str, problem: str, remedy: str) -> None:
        super().__init__(f"store URL {url!r}: {problem}; {remedy}")
        self.url = url
        self.problem = problem
        self.remedy = remedy


class StoreError(KharvestError):
    """A store could not do what it was asked.

    Attributes:
        retryable: whether the same call may succeed later, with nothing changed by the caller.
        store: the masked URL of the store, stamped by the core; empty until then.
    """

    retryable = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.store = ""

    def __str__(self) -> str:
        message = super().__str__()
        return f"{self.store}: {message}" if self.store else message


class StoreUnavailable(StoreError):
    """The store is away for now. The call may or may not have taken effect; doing it again is safe."""

    retryable = True

    def __init__(self, reason: str, remedy: str = "try again when it is back") -> None:
        super().__init__(f"store unavailable: {reason}; {remedy}")
        self.reason = reason


class StoreFull(StoreError):
    """There is no room for what was to be written; nothing of it is visible."""

    retryable = True

    def __init__(self, reason: str, remedy: str = "make room on the store's disk or raise its quota") -> None:
        super().__init__(f"store full: {reason}; {remedy}")
        self.reason = reason


class StoreCorrupt(StoreError):
    """What is stored there cannot be read as a store."""

    def __init__(self, reason: str, remedy: str = "restore it from a backup, or name another store") -> None:
        super().__init__(f"store corrupt: {reason}; {remedy}")
        self.reason = reason


class IncompatibleSchema(StoreError):
    """The store was written by a kharvest with another schema; nothing was changed."""

    def __init__(self, found: int, supported: int) -> None:
        newer = found > supported
        remedy = "upgrade the backend's package" if newer else "see the backend's README for how to migrate"
        super().__init__(f"the store has schema version {found}, this backend supports {supported}; {remedy}")
        self.found = found
        self.supported = supported


class Unsupported(StoreError):
    """The store does not have the capability that this operation needs."""

    def __init__(self, operation: str, remedy: str = "use a store that declares it: see `kharvest stores`") -> None:
        super().__init__(f"{operation} is not supported by this store; {remedy}")
        self.operation = operation


class UnknownContent(StoreError):
    """Content that was asked for, or that a file refers to, is not in the store; nothing was changed.

    Attributes:
        sha256s: the digests that are not there; empty when only the signatures are known.
        signatures: the signatures whose content is unknown; empty when content was asked for by digest.
    """

    def __init__(self, sha256s: frozenset[bytes] = frozenset(), signatures: frozenset[Signature] = frozenset()) -> None:
        named = [digest.hex() for digest in sorted(sha256s)[:3]]
        named += [f"{one.path} (MD5 {one.md5.hex()})" for one in sorted(signatures)[:3]]
        more = len(sha256s) + len(signatures) - len(named)
        tail = f" and {more} more" if more else ""
        super().__init__(f"content not in the store: {', '.join(named)}{tail}; put it first")
        self.sha256s = sha256s
        self.signatures = signatures


class ContentMismatch(StoreError):
    """Bytes are not the content they were said to be; nothing of them is visible.

    Attributes:
        field: what differs: `size`, `sha256` or `md5`.
        expected: the content as it was said to be.
        actual: the value that was found in `field`, digests as hex.
    """

    def __init__(self, expected: Content, field: str, actual: str) -> None:
        value = getattr(expected, field)
        said = value.hex() if isinstance(value, bytes) else str(value)
        super().__init__(
            f"the bytes of content {expected.sha256.hex()} have {field} {actual}, announced was {said}; "
            "read the file again and announce what it is now"
        )
        self.expected = expected
        self.field = field
        self.actual = actual


class Conflict(StoreError):
    """A signature that is known with one content was recorded with another; nothing was changed.

    Two contents with one MD5 do not happen by accident: MD5 collisions are made.

    Attributes:
        signature: the signature.
        stored: the content it has.
        offered: the content it was recorded with now.
    """

    def __init__(self, signature: Signature, stored: Content, offered: Content) -> None:
        super().__init__(
            f"{signature.path} with MD5 {signature.md5.hex()} is known with SHA-256 {stored.sha256.hex()}, "
            f"not {offered.sha256.hex()}; somebody made an MD5 collision: find out who wrote this file"
        )
        self.signature = signature
        self.stored = stored
        self.offered = offered
