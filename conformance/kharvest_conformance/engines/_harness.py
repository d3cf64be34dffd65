"""How the suite of engines gets at an engine: the one thing that its author gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from kharvest.records import Engine
from kharvest.spi import Capability


class EngineHarness(ABC):
    """Makes an empty place for rows, opens an engine there as often as asked, and destroys the place.

    It is pickled and sent to other processes, which open the same address: so its class stands at the top level of a
    module, and it holds plain values only.
    """

    @abstractmethod
    def create(self) -> str:
        """Make a new place with no row in it; return its address."""

    @abstractmethod
    def open(self, address: str) -> Engine:
        """Open an engine at `address`, also while one is open there already, also in another process."""

    @abstractmethod
    def destroy(self, address: str) -> None:
        """Remove the place and all that is in it. All engines that the suite opened are closed."""


class Place:
    """A fresh place, and the engines that were opened there. Leaving its block closes and destroys them."""

    def __init__(self, harness: EngineHarness) -> None:
        self.harness = harness
        self.address = harness.create()
        self._opened: list[Engine] = []

    def open(self) -> Engine:
        """Open one more engine."""
        engine = self.harness.open(self.address)
        self._opened.append(engine)
        return engine

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the engine declares."""
        return self.first.capabilities

    @property
    def first(self) -> Engine:
        """The engine that was opened first; it is opened if none was."""
        return self._opened[0] if self._opened else self.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for engine in self._opened:
            engine.close()
        self.harness.destroy(self.address)
