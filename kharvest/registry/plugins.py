"""Finds the backends that are installed, and loads the one that is asked for.

An entry point's name is the URL scheme it serves, so a backend is found without importing any, and one that cannot be
imported stops nobody else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points

import pluggy

from kharvest.registry.errors import (
    BackendBroken,
    BackendNotInstalled,
    IncompatibleBackend,
    SchemeClaimedTwice,
    UnknownScheme,
)
from kharvest.spi import ENTRY_POINT_GROUP, SPI_VERSION, Backend, Capability, KharvestError
from kharvest.spi import backend as hookspecs

OUR_BACKENDS = {
    "memory": "memory",
    "mongodb": "mongo",
    "mongodb+srv": "mongo",
    "sqlite": "sql",
    "postgresql": "sql",
    "mysql": "sql",
    "mariadb": "sql",
    "file": "fsspec",
    "s3": "s3",
    "gs": "gcs",
    "az": "azure",
    "fsspec": "fsspec",
}
"""The schemes that backends of ours serve, with the extra of `kharvest` that installs each."""


@dataclass(frozen=True, slots=True)
class Installed:
    """One installed distribution with backends, as `kharvest stores` lists it.

    `problem` is None when all its schemes can be served; `spi_version` is None when none could be loaded.
    """

    distribution: str
    version: str
    spi_version: tuple[int, int] | None
    schemes: tuple[str, ...]
    capabilities: frozenset[Capability]
    problem: KharvestError | None


@cache  # what is loaded stays loaded; looking through all that is installed takes longer than opening most stores
def load(scheme: str) -> Backend:
    """The backend that serves `scheme`. For a scheme `a+b` that nobody serves, the one that serves `a`.

    Raises:
        UnknownScheme, BackendNotInstalled, SchemeClaimedTwice, BackendBroken, IncompatibleBackend
    """
    found = entry_points(group=ENTRY_POINT_GROUP)
    base = scheme.partition("+")[0]
    for name in (scheme, base):
        claims = {_distribution(entry): entry for entry in found if entry.name == name}
        if len(claims) > 1:
            raise SchemeClaimedTwice(name, claims)
        for entry in claims.values():
            return _load(entry, scheme)
    for name in (scheme, base):
        if name in OUR_BACKENDS:
            raise BackendNotInstalled(name, OUR_BACKENDS[name])
    raise UnknownScheme(scheme, {entry.name for entry in found} | OUR_BACKENDS.keys())


def survey() -> list[Installed]:
    """Every installed distribution with backends, loaded to see whether it can be, by name."""
    by_distribution: dict[tuple[str, str], list[EntryPoint]] = {}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        by_distribution.setdefault((_distribution(entry), _version(entry)), []).append(entry)
    return [_survey(*named, entries) for named, entries in sorted(by_distribution.items())]


def _survey(distribution: str, version: str, entries: Iterable[EntryPoint]) -> Installed:
    backends: list[Backend] = []
    problem: KharvestError | None = None
    schemes = sorted(entry.name for entry in entries)
    for scheme in schemes:
        try:
            backends.append(load(scheme))
        except KharvestError as error:
            problem = problem or error
    return Installed(
        distribution=distribution,
        version=version,
        spi_version=backends[0].spi_version if backends else None,
        schemes=tuple(schemes),
        capabilities=frozenset.intersection(*(backend.capabilities for backend in backends))
        if backends
        else frozenset(),
        problem=problem,
    )


def _load(entry: EntryPoint, scheme: str) -> Backend:
    distribution = _distribution(entry)
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(entry.load(), name=distribution)
        manager.check_pending()
        backend = manager.hook.kharvest_backend(scheme=scheme)
    except (Exception, SystemExit) as error:  # whatever somebody else's module does when it is imported
        raise BackendBroken(scheme, distribution, f"{type(error).__name__}: {error}") from error
    if not isinstance(backend, Backend):
        reason = f"its hook kharvest_backend({scheme!r}) returned {backend!r}, not a Backend"
        raise BackendBroken(scheme, distribution, reason)
    major, minor = backend.spi_version
    if major != SPI_VERSION[0] or minor > SPI_VERSION[1]:
        raise IncompatibleBackend(scheme, distribution, backend.spi_version)
    return backend


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value


def _version(entry: EntryPoint) -> str:
    return entry.dist.version if entry.dist else "unknown"
