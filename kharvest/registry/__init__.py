"""From a store's URL to an opened store: finds backends, loads the one that serves the URL, wraps what it opens."""

from kharvest.registry.errors import (
    BackendBroken,
    BackendFailed,
    BackendNotInstalled,
    IncompatibleBackend,
    SchemeClaimedTwice,
    UnknownScheme,
)
from kharvest.registry.guarded import Observer
from kharvest.registry.opening import open_store
from kharvest.registry.plugins import Installed, survey

__all__ = [
    "BackendBroken",
    "BackendFailed",
    "BackendNotInstalled",
    "IncompatibleBackend",
    "Installed",
    "Observer",
    "SchemeClaimedTwice",
    "UnknownScheme",
    "open_store",
    "survey",
]
