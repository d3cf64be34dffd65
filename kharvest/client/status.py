"""What a client can tell of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """A path that is not harvested as it is now, and why.

    `reason` is what a program may switch on: the name of a wire `Reason` where the server refused it, else that of
    `kharvest.client.errors.Unreadable`, or UNANSWERED.
    """

    path: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Status:
    """A client at one moment.

    Attributes:
        connected: whether the server could be talked to when it was last tried.
        server: its address.
        watched: how many paths are watched.
        acknowledged: of how many of these the newest version, or the removal, is acknowledged.
        pending: of how many it is not yet.
        announced: how many were announced at least once.
        refused: how many the server refused as they are.
        uploaded: contents uploaded since the start.
        uploaded_bytes: and their bytes, with those of uploads that did not come to an end.
        polling: whether there are directories whose events nobody gets, so that they are polled.
        faults: unexpected errors that the client survived. Report them.
        problems: the paths that are not harvested as they are.
        failure: why the server does not answer; None if it does.
        misconfigured: why the configuration as it is now cannot be used; None if it is in use.
    """

    connected: bool
    server: str
    watched: int
    acknowledged: int
    pending: int
    announced: int
    refused: int
    uploaded: int
    uploaded_bytes: int
    polling: bool
    faults: int
    problems: tuple[Problem, ...]
    failure: str | None
    misconfigured: str | None
