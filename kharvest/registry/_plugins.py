"""Finds the backends that are installed, and loads the one that is asked for.

An entry point's name is the URL scheme it serves, so a backend is found without importing any, and one that cannot be
imported stops nobody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points

import pluggy

from kharvest.registry._errors import (
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

    Attributes:
        spi_version: the version of the contract it was written for; None when no scheme could be loaded.
        capabilities: by scheme, what every store of it has; None for a scheme that could not be loaded.
        problem: why a scheme could not be loaded; None when all could.
    """

    distribution: str
    version: str
    spi_version: tuple[int, int] | None
    capabilities: Mapping[str, frozenset[Capability] | None]
    problem: KharvestError | None


@dataclass(frozen=True, slots=True)
class Plugin:
    """A backend that was loaded, and the distribution that it is from."""

    distribution: str
    backend: Backend


@cache  # what is loaded stays loaded; looking through all that is installed takes longer than opening most stores
def load(scheme: str) -> Plugin:
    """The plugin that serves `scheme`. For a scheme `a+b` that nobody serves, the one that serves `a`.

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
    spi_version: tuple[int, int] | None = None
    capabilities: dict[str, frozenset[Capability] | None] = {}
    problem: KharvestError | None = None
    for scheme in sorted(entry.name for entry in entries):
        capabilities[scheme] = None
        try:
            backend = load(scheme).backend
        except KharvestError as error:
            problem = problem or error
        else:
            spi_version = spi_version or backend.spi_version
            capabilities[scheme] = backend.capabilities
    return Installed(distribution, version, spi_version, capabilities, problem)


def _load(entry: EntryPoint, scheme: str) -> Plugin:
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
    return Plugin(distribution, backend)


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value


def _version(entry: EntryPoint) -> str:
    return entry.dist.version if entry.dist else "unknown"
