"""The store: two halves and the claims on one environment."""

from __future__ import annotations

from kharvest_lmdb.claims import Claims
from kharvest_lmdb.contents import Contents
from kharvest_lmdb.environment import Environment
from kharvest_lmdb.plugin import CAPABILITIES
from kharvest_lmdb.references import References


class LmdbStore(Contents, References, Claims):
    """A store in a directory. Several handles and several processes may have it open."""

    capabilities = CAPABILITIES

    def __init__(self, directory: str) -> None:
        self._environment = Environment(directory)

    def close(self) -> None:
        """Close the store; twice is allowed."""
        self._environment.close()
