"""How the suite gets at a store: the one thing that its author gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from kharvest.spi import Store
from kharvest_conformance._room import size_at


class Harness(ABC):
    """Makes an empty place for a store's data, opens the store there as often as asked, and destroys the place.

    The suite makes one place at a time, one for each test and each random example. An address says where a place is, in
    words of the harness's own: a path, a URL, a name.

    A harness is pickled and sent to other processes, which open the same address: so its class stands at the top
    level of a module, and it holds plain values only.
    """

    @property
    def name(self) -> str:
        """What reports call the store. It holds no password."""
        return type(self).__name__.removesuffix("Harness")

    @property
    def version(self) -> str:
        """Distribution and version of the store, for reports."""
        return ""

    @property
    def reuses_place(self) -> bool:
        """Whether there is one place only, which `destroy` empties and `create` gives again.

        A lease cannot be seen through the contract, so in such a place the suite ends those that its tests took.
        """
        return False

    @abstractmethod
    def create(self) -> str:
        """Make a new place with nothing in it; return its address."""

    @abstractmethod
    def open(self, address: str) -> Store:
        """Open the store at `address`, also while it is open already, also in another process."""

    @abstractmethod
    def destroy(self, address: str) -> None:
        """Remove the place and all that is in it. All handles that the suite opened are closed."""

    def size(self, address: str) -> int | None:
        """How many bytes the place takes on a disk, while nobody has it open; None where that cannot be told.

        With it the suite sees what a store leaves behind that the contract does not show. It is measured where the
        address is the path of a file or a directory. Override it for others, and where a file's data are elsewhere too.
        """
        return size_at(Path(address)) if address else None

    def opening(self, address: str) -> str:
        """Python code that opens `store = …` at `address`, for the program that shows a failure again."""
        kind = type(self)
        return f"from {kind.__module__} import {kind.__qualname__}\nstore = {self!r}.open({address!r})"
