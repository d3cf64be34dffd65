"""What a client says of itself."""

from __future__ import annotations

from dataclasses import dataclass

from kharvest.client._errors import Unreadable
from kharvest.client._send.announced_path import AnnouncedPath
from kharvest.client._send.sender import Sender
from kharvest.client._watch.files import WatchedFile
from kharvest.client._watch.watcher import Watcher


@dataclass(frozen=True, slots=True)
class Problem:
    """A path that is not harvested as it is now, and why.

    `reason` is what a program may switch on: the name of a wire `Reason` where the server refused it, else that of
    `kharvest.client._errors.Unreadable`, or UNANSWERED.
    """

    path: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Status:
    """A client at one moment.

    Attributes:
        connected: whether the server could be reached when that was last tried.
        server: its address.
        watched: how many paths are watched.
        acknowledged: of how many paths the newest version, or the removal, is acknowledged.
        pending: of how many it is not yet.
        announced: how many were announced at least once.
        refused: how many the server refused as they are.
        uploaded: contents uploaded since the start.
        uploaded_bytes: their bytes, with those of uploads that failed.
        polling: whether there are directories that deliver no events, so that they are polled.
        faults: unexpected errors that the client survived. Report them.
        ready: whether it does its work; False while one unexpected error follows another.
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
    ready: bool
    problems: tuple[Problem, ...]
    failure: str | None
    misconfigured: str | None


def status_of(
    watcher: Watcher, sender: Sender, *, watching: bool, server: str, faults: int, ready: bool, misconfigured: str
) -> Status:
    """The status that the rooms' state amounts to. On the harvesting thread only."""
    failure = sender.state.failure
    files, announcements = watcher.files, sender.paths
    paths = [(files.get(path), announcements.get(path)) for path in dict.fromkeys((*files, *announcements))]
    not_found = (problem for path, problem in watcher.rules.problems().items() if path not in files)
    return Status(
        connected=sender.state.limits is not None,
        server=server,
        watched=len(paths),
        acknowledged=sum(one.version is not None and one.is_acknowledged for one in announcements.values()),
        pending=sum(not _is_resolved(*path) for path in paths),
        announced=sum(one.is_known for one in announcements.values()),
        refused=sum(_is_refused(*path) for path in paths),
        uploaded=sender.uploaded,
        uploaded_bytes=sender.uploaded_bytes,
        polling=watcher.is_polling,
        faults=faults,
        ready=ready,
        problems=(
            *(problem for path in paths if (problem := _problem(*path, watching=watching)) is not None),
            *map(_unreadable, not_found),
        ),
        failure=None if failure is None else f"{failure.message} ({failure.reason})",
        misconfigured=misconfigured or None,
    )


def _is_resolved(file: WatchedFile | None, announced: AnnouncedPath | None) -> bool:
    """Whether nothing is left to do for a path until it changes."""
    return (file is None or file.is_at_rest) and (announced is None or announced.is_done)


def _is_refused(file: WatchedFile | None, announced: AnnouncedPath | None) -> bool:
    """Whether the server refuses it, or would: what is over its limit is not even announced."""
    is_too_large = file is not None and file.problem is not None and file.problem.reason == "CONTENT_TOO_LARGE"
    return is_too_large or (announced is not None and announced.is_refused)


def _problem(file: WatchedFile | None, announced: AnnouncedPath | None, *, watching: bool) -> Problem | None:
    if file is not None and file.problem is not None:
        is_removed = file.problem.reason == "NO_SUCH_FILE" and announced is not None and announced.is_known
        if file.problem.reason == "TOO_LARGE" or (is_removed and watching):
            return None  # the user wants it so
        return _unreadable(file.problem)
    path = file.path if file is not None else announced.path if announced is not None else ""
    if announced is not None and announced.refusal is not None and not announced.is_acknowledged:
        return Problem(path, announced.refusal.reason, announced.refusal.message)
    if not _is_resolved(file, announced):
        return Problem(path, "UNANSWERED", "not acknowledged yet")
    if file is not None and file.is_restless:
        return Problem(path, "NOT_AT_REST", "it is still being written; what it held when it was read is acknowledged")
    return None


def _unreadable(problem: Unreadable) -> Problem:
    return Problem(problem.path, problem.reason, f"{problem.problem}; {problem.remedy}")
