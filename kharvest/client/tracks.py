"""What the client knows of each watched path."""

from __future__ import annotations

from dataclasses import dataclass

from kharvest.client.errors import Unreadable
from kharvest.client.files import Stamp, Version
from kharvest.client.rules import Rule


@dataclass(frozen=True, slots=True)
class Refusal:
    """A version that the server will not have, and why (the name of a wire `Reason`, and words for people)."""

    version: Version
    reason: str
    message: str


@dataclass(slots=True, eq=False)
class Track:
    """One watched path, from the file system to the server. The harvesting thread owns it.

    `rule` is the first one that finds it.

    The file's side, kept by `Observer`:
        settling_since: when it began to settle (monotonic); None at rest.
        reading: whether a thread reads it now.
        suspect: its bytes may have changed though its stamp has not.
        seen: its stamp at the last look, for file systems whose clock is not ours.
        stamp: its stamp when `version` was read.
        version: the newest version that was read; None before the first.
        problem: why it cannot be read now.
        dropped: whether it is watched no longer; whoever still holds it lets go.

    The server's side, kept by `Announcer`:
        sent: the version in the call under way; `sent_epoch` tells with which metadata.
        acknowledged: the last version that was acknowledged with the present metadata.
        unanswered: versions whose call ended without an answer: they may have been recorded, or yet be.
        refusal: the last refusal.
        failures: how many times in a row its upload failed.
        announced: whether the server may know of it.
    """

    path: str
    rule: Rule
    settling_since: float | None = None
    reading: bool = False
    suspect: bool = False
    seen: Stamp | None = None
    stamp: Stamp | None = None
    version: Version | None = None
    problem: Unreadable | None = None
    dropped: bool = False
    sent: Version | None = None
    sent_epoch: int = 0
    acknowledged: Version | None = None
    unanswered: frozenset[Version] = frozenset()
    refusal: Refusal | None = None
    failures: int = 0
    announced: bool = False

    @property
    def directories(self) -> None:
        """Only its own path concerns it (see `lookout.Subject`)."""
        return

    @property
    def is_acknowledged(self) -> bool:
        """Whether the newest version is acknowledged, or there is none to acknowledge."""
        return self.version == self.acknowledged

    @property
    def is_refused(self) -> bool:
        """Whether the newest version is one that the server refused."""
        return self.refusal is not None and self.refusal.version == self.version

    @property
    def is_resolved(self) -> bool:
        """Whether nothing is left to do for it until it changes."""
        return self.settling_since is None and not self.reading and (self.is_acknowledged or self.is_refused)
