"""The store: both halves, opened together."""

from __future__ import annotations

from kharvest_memory._contents import Contents
from kharvest_memory._references import References


class MemoryStore(Contents, References):
    """A whole store in this process's memory."""

    def __init__(self) -> None:
        Contents.__init__(self)
        References.__init__(self, self.present)
