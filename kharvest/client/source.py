"""Where a configuration comes from that may change while the client runs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from kharvest.client.config import ClientConfig


class ConfigSource(Protocol):
    """Loads a configuration, again whenever one of its files has changed."""

    @property
    def files(self) -> Collection[str]:
        """The absolute paths of the files that `load` reads. They need not be there."""

    def load(self) -> ClientConfig:
        """The configuration as it is now.

        Raises:
            ConfigurationError: it cannot be used.
        """
