"""What the plain store holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from kharvest.spi import Content, Reference, Signature


@dataclass(slots=True)
class State:
    """Everything, in dictionaries.

    Attributes:
        contents: each content with what tells where its bytes are.
        references: each reference with its place among those of one time.
        files: the content of each signature that a reference names.
        leases: holder and end of each.
        arrivals: how many references were ever recorded.
    """

    contents: dict[bytes, tuple[Content, object]] = field(default_factory=dict)
    references: dict[Reference, int] = field(default_factory=dict)
    files: dict[Signature, Content] = field(default_factory=dict)
    leases: dict[bytes, tuple[str, int]] = field(default_factory=dict)
    arrivals: int = 0
