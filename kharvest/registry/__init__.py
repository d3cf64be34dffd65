"""From a store's URL to an opened store: finds backends, loads the one that serves the URL, wraps what it opens."""

from kharvest.registry._beside import Beside, places_beside
from kharvest.registry._errors import (
    BackendBroken,
    BackendFailed,
    BackendNotInstalled,
    IncompatibleBackend,
    MissingCapability,
    SchemeClaimedTwice,
    UnknownScheme,
)
from kharvest.registry._guarded import StoreListener
from kharvest.registry._opening import open_store
from kharvest.registry._plugins import OUR_BACKENDS, Installed, survey
from kharvest.registry._secrets import Secrets

__all__ = [
    "OUR_BACKENDS",
    "BackendBroken",
    "BackendFailed",
    "BackendNotInstalled",
    "Beside",
    "IncompatibleBackend",
    "Installed",
    "MissingCapability",
    "SchemeClaimedTwice",
    "Secrets",
    "StoreListener",
    "UnknownScheme",
    "open_store",
    "places_beside",
    "survey",
]
