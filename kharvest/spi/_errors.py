"""The errors of kharvest, as one tree.

KharvestError
├── InvalidValue (also a ValueError)    a value breaks a limit of the contract
│   └── InvalidCursor                   a page's cursor was not made for this query
├── InvalidStoreURL                     a store's URL cannot be understood
└── StoreError                          a store could not do what it was asked
    ├── StoreUnavailable                away for now: trying again may succeed
    │   ├── StoreDenied                 the store refuses this user: an operator must act
    │   └── StoreReplaced               what was opened is not at its place any more
    ├── StoreFull                       no room left for what was to be written
    ├── StoreCorrupt                    what is stored there cannot be read as a store
    ├── IncompatibleSchema              written by a kharvest with another schema
    ├── Unsupported                     the store does not have this capability
    ├── UnknownContent                  content that was asked for, or referred to, is not there
    ├── ContentMismatch                 bytes that are not the content they were said to be
    └── Conflict                        a known signature was recorded with other content

Every error carries its facts as attributes. Its message says what happened, to which thing, and what to do next.
A message never contains a password: a store puts URLs into messages masked only.

Those that carry contents and signatures are in `content_errors`.
"""

from __future__ import annotations


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
    _happened = "store unavailable"

    def __init__(self, reason: str, remedy: str = "try again when it is back") -> None:
        super().__init__(f"{self._happened}: {reason}; {remedy}")
        self.reason = reason


class StoreDenied(StoreUnavailable):
    """The store refuses this user: an operator must act, waiting alone does not help.

    A wrong password, an unknown database, a missing right, a limit of the server that leaves no room for a store. Once
    that is corrected, the same call succeeds.
    """

    _happened = "store refuses access"


class StoreReplaced(StoreUnavailable):
    """What this process opened was removed, moved or replaced meanwhile: nothing of it counts any more.

    The call works again when it is put back, or on a server that opened what is there now.

    Attributes:
        path: the file or directory.
    """

    def __init__(self, path: str, happened: str) -> None:
        super().__init__(
            f"{path} {happened} while it was open here, and nothing is acknowledged any more",
            "put it back, or restart the server to use what is there now",
        )
        self.path = path


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
        remedy = "upgrade the backend's package" if newer else "open it with the version of that package that wrote it"
        super().__init__(f"the store has schema version {found}, this backend supports {supported}; {remedy}")
        self.found = found
        self.supported = supported


class Unsupported(StoreError):
    """The store does not have the capability that this operation needs."""

    def __init__(self, operation: str, remedy: str = "use a store that declares it: see `kharvest stores`") -> None:
        super().__init__(f"{operation} is not supported by this store; {remedy}")
        self.operation = operation
