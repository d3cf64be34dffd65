"""What the sending room has found out, and watching is to know."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UploadAsked:
    """The server has asked for the content of a path."""

    path: str


@dataclass(frozen=True, slots=True)
class UploadOver:
    """The content of a path is not being sent any more.

    Attributes:
        path: the path.
        has_changed: whether the file was not as announced.
        has_grown: whether it was sent as announced, and has grown since.
    """

    path: str
    has_changed: bool = False
    has_grown: bool = False


@dataclass(frozen=True, slots=True)
class LimitsKnown:
    """The size in bytes of the largest content that the server accepts."""

    max_content_bytes: int


@dataclass(frozen=True, slots=True)
class RecalledPage:
    """A page of the paths of which the server has a version of this pod."""

    paths: tuple[str, ...]


Finding = UploadAsked | UploadOver | LimitsKnown | RecalledPage
