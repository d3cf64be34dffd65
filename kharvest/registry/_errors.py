"""What can go wrong between a store's URL and an opened store.

KharvestError
├── UnknownScheme            no backend of ours or of anybody installed serves this scheme
├── BackendNotInstalled      one of ours does, and is not installed
├── SchemeClaimedTwice       two installed distributions serve it
├── BackendBroken            one is installed and cannot be loaded; the cause is chained
│   └── IncompatibleBackend  it was written for another version of the SPI
├── MissingCapability        an opened store has less than its backend declares; it was closed
└── StoreError
    └── BackendFailed        a store raised what the contract does not allow; the cause is chained
"""

from __future__ import annotations

import difflib
from collections.abc import Collection

from kharvest.spi import SPI_VERSION, Capability, KharvestError, StoreError


class UnknownScheme(KharvestError):
    """No backend serves this scheme.

    Attributes:
        scheme: the scheme of the URL.
        known: the schemes that are served by what is installed, or by backends of ours that could be.
    """

    def __init__(self, scheme: str, known: Collection[str]) -> None:
        close = difflib.get_close_matches(scheme, known, n=2)
        guess = f" (did you mean {' or '.join(close)}?)" if close else ""
        super().__init__(
            f"no backend serves the scheme {scheme!r}{guess}; use one of {', '.join(sorted(known))}, "
            "or install the backend that serves it"
        )
        self.scheme = scheme
        self.known = frozenset(known)


class BackendNotInstalled(KharvestError):
    """A backend of ours serves this scheme and is not installed."""

    def __init__(self, scheme: str, extra: str) -> None:
        super().__init__(f"the backend for {scheme!r} is not installed; run: pip install 'kharvest[{extra}]'")
        self.scheme = scheme
        self.extra = extra


class SchemeClaimedTwice(KharvestError):
    """Several installed distributions serve this scheme, and nothing says which of them to take."""

    def __init__(self, scheme: str, distributions: Collection[str]) -> None:
        named = sorted(distributions)
        super().__init__(f"{' and '.join(named)} both serve the scheme {scheme!r}; uninstall all but one of them")
        self.scheme = scheme
        self.distributions = frozenset(named)


class BackendBroken(KharvestError):
    """An installed backend cannot be loaded. The reason is the chained cause."""

    def __init__(self, scheme: str, distribution: str, reason: str, remedy: str = "reinstall or upgrade it") -> None:
        super().__init__(f"{distribution}, the backend for {scheme!r}, cannot be loaded: {reason}; {remedy}")
        self.scheme = scheme
        self.distribution = distribution
        self.reason = reason


class IncompatibleBackend(BackendBroken):
    """An installed backend was written for a version of the SPI that this kharvest does not have."""

    def __init__(self, scheme: str, distribution: str, spi_version: tuple[int, int]) -> None:
        theirs, ours = (".".join(map(str, version)) for version in (spi_version, SPI_VERSION))
        upgrade = "kharvest" if spi_version > SPI_VERSION else distribution
        super().__init__(
            scheme,
            distribution,
            f"it was written for version {theirs} of the SPI, this kharvest has {ours}",
            f"upgrade {upgrade}",
        )
        self.spi_version = spi_version


class MissingCapability(KharvestError):
    """A store was opened and has not all the capabilities that its backend declares; it was closed again.

    Attributes:
        scheme, distribution: whose store it is.
        missing: what is declared, and is not there.
    """

    def __init__(self, scheme: str, distribution: str, missing: Collection[Capability]) -> None:
        named = ", ".join(sorted(capability.value for capability in missing))
        super().__init__(
            f"{distribution} declares that stores of {scheme!r} are {named}, and opened one that is not; "
            "report this to its author, or name another store"
        )
        self.scheme = scheme
        self.distribution = distribution
        self.missing = frozenset(missing)


class BackendFailed(StoreError):
    """A store raised an error that the contract does not allow: a bug in its backend. The cause is chained."""

    def __init__(self, operation: str, cause: BaseException) -> None:
        super().__init__(
            f"{operation} failed with {type(cause).__name__}: {cause}; "
            "this is a bug in the store's backend, report it with the traceback in the server's log"
        )
        self.operation = operation
