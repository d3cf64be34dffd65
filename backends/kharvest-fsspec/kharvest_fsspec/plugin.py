"""What the registry imports: the hook of the schemes. Loads neither fsspec nor SQLAlchemy."""

from __future__ import annotations

from kharvest.spi import Backend, Capability, Store, hookimpl
from kharvest_fsspec._providers import ALIASES, PROVIDERS

_SCHEMES = frozenset({"file", "s3", "gs", "az"})
_SHARED = frozenset({"file", "local", *PROVIDERS, *ALIASES})


@hookimpl
def kharvest_backend(scheme: str) -> Backend | None:
    """The backend of directories, of three object stores, and of `fsspec+PROTOCOL` for any other file system."""
    base, _, protocol = scheme.partition("+")
    if scheme not in _SCHEMES and base != "fsspec":
        return None
    if (protocol or scheme) in _SHARED:
        capabilities = frozenset({Capability.DURABLE, Capability.SHARED})
    else:
        capabilities = frozenset()  # some file systems have more: see what the opened store declares
    return Backend(spi_version=(1, 0), capabilities=capabilities, open=_open)


def _open(url: str) -> Store:
    from kharvest_fsspec._opening import open_store  # noqa: PLC0415  fsspec is loaded when a store is opened

    return open_store(url)
