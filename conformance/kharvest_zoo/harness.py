"""Opens any store of the zoo, in a fresh file for each place."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from kharvest.spi import Store
from kharvest_conformance import Harness
from kharvest_zoo.kinds import KINDS


@dataclass(frozen=True)
class ZooHarness(Harness):
    """A store of the zoo by its name; its files are in a folder."""

    kind: str
    folder: str

    @property
    def name(self) -> str:
        return self.kind

    def create(self) -> str:
        return str(Path(tempfile.mkdtemp(dir=self.folder)) / "store.db")

    def open(self, address: str) -> Store:
        return KINDS[self.kind](address)

    def size(self, address: str) -> int | None:
        return sum(path.stat().st_size for path in Path(address).parent.iterdir())

    def destroy(self, address: str) -> None:
        for path in Path(address).parent.iterdir():
            path.unlink()
        Path(address).parent.rmdir()
