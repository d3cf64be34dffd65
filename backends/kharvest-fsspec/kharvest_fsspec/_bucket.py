"""What a store needs of the place that holds its objects, and nothing more."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from kharvest.spi import Capability
from kharvest.spi.room import Allotment


class Missing(Exception):
    """There is no such object."""


class Exists(Exception):
    """There is such an object already; it was left as it is."""


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """An object in a listing. `modified_ns` is when it became visible, by the clock of the place, or a little later."""

    name: str
    modified_ns: int


class Bucket(Protocol):
    """A place for objects. Names are `folder/name`; an object never changes once it is visible.

    Raises nothing but `StoreError`, and what is named here. What was written when a call returns survives as far as
    `capabilities` say, and everybody sees it at once.
    """

    capabilities: frozenset[Capability]

    def get(self, name: str) -> bytes:
        """All bytes of an object, which is small enough to be held in memory.

        Raises:
            Missing
        """

    def get_some(self, names: Collection[str]) -> dict[str, bytes]:
        """The bytes of those objects that are there."""

    def get_range(self, name: str, start: int, length: int) -> bytes:
        """The bytes from `start` on, at most `length` of them; none at or past the end.

        Raises:
            Missing
        """

    def create(self, name: str, data: bytes) -> None:
        """Make an object, unless there is one: of several who try at once, one wins, whoever else has the place open.

        When it raises `StoreUnavailable`, the object may be there, or appear later.

        Raises:
            Exists
        """

    def upload(self, name: str, parts: Iterable[bytes]) -> None:
        """Make an object whose name nobody else will use, holding few of its bytes in memory.

        It is visible whole, after the last part was drawn, or not at all: what `parts` raise is passed on.
        """

    def room_for(self, wanted: int) -> AbstractContextManager[Allotment]:
        """Room for an upload of so many bytes, promised until the block ends.

        Raises:
            StoreFull: they do not fit beside what other uploads of this process are promised. A place that does not
                tell how much room it has raises it when it is written.
        """

    def spare_room(self) -> AbstractContextManager[None]:
        """What the place holds in reserve can be used meanwhile, for removing."""

    def remove(self, names: Collection[str]) -> None:
        """Remove objects; what is not there is passed over."""

    def entries(self, folder: str, start: str = "") -> list[Entry]:
        """The objects of a folder whose own name starts so, by name."""

    def modified_ns(self, name: str) -> int:
        """As in an object's `Entry`.

        Raises:
            Missing
        """

    def now_ns(self) -> int:
        """The clock of the place, to the second at least: found by writing something, not more than an object."""

    def is_empty(self) -> bool:
        """Whether the place holds no object at all, also none of somebody else."""

    def prepare(self) -> None:
        """Get ready to write; called once it is known that there is a store here, and before anything but its marker
        is written.

        Raises:
            Unsupported: the place is open already, and cannot be shared.
        """

    def close(self) -> None:
        """Release what it holds. Closing twice is allowed."""
