"""From a store's URL to an opened store: finds backends, loads the one that serves the URL, wraps what it opens."""

from kharvest.registry.errors import (
    BackendBroken,
    BackendFailed,
    BackendNotInstalled,
    IncompatibleBackend,
    MissingCapability,
    SchemeClaimedTwice,
    UnknownScheme,
)
from kharvest.registry.guarded import StoreListener
from kharvest.registry.opening import open_store
from kharvest.registry.plugins import OUR_BACKENDS, Installed, survey
from kharvest.registry.secrets import Secrets

__all__ = [
    "OUR_BACKENDS",
    "BackendBroken",
    "BackendFailed",
    "BackendNotInstalled",
    "IncompatibleBackend",
    "Installed",
    "MissingCapability",
    "SchemeClaimedTwice",
    "Secrets",
    "StoreListener",
    "UnknownScheme",
    "open_store",
    "survey",
]
