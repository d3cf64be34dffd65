"""What the registry imports: the hook of the SQL schemes. Loads neither SQLAlchemy nor a driver."""

from __future__ import annotations

from contextlib import AbstractContextManager

from kharvest.spi import Backend, Capability, ReferenceStore, Store, hookimpl

_SCHEMES = frozenset({"sqlite", "postgresql", "mysql", "mariadb"})


@hookimpl
def kharvest_backend(scheme: str) -> Backend | None:
    """The backend of the SQL schemes, also with SQLAlchemy's driver behind a plus sign."""
    if scheme.partition("+")[0] not in _SCHEMES:
        return None
    return Backend(
        spi_version=(1, 0),
        capabilities=frozenset({Capability.DURABLE, Capability.SHARED}),
        open=_open,
        open_references=_open_references,
        beside=_beside,
    )


def _open(url: str) -> Store:
    from kharvest_sql._store import open_store  # noqa: PLC0415  SQLAlchemy is loaded when a store is opened

    return open_store(url)


def _open_references(url: str) -> ReferenceStore:
    from kharvest_sql._store import open_references  # noqa: PLC0415  as above

    return open_references(url)


def _beside(url: str, label: str) -> AbstractContextManager[str]:
    from kharvest_sql._beside import beside  # noqa: PLC0415  as above

    return beside(url, label)
