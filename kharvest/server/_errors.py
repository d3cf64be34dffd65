"""Why the server itself refuses something; what a store refuses is in `kharvest.spi._errors`.

KharvestError
└── Refused
    ├── Overloaded        queues are full
    ├── Starting          this server has not opened its store yet
    ├── ShuttingDown      this server is going away
    ├── NotAsked          an upload nobody asked for
    ├── Stalled           an upload without progress, or with too little
    ├── GaveWay           a slow transfer that others waited for
    ├── FileChanged       a content that its pod no longer has
    ├── TooManyFiles      a batch over the limit
    └── ContentTooLarge   a content over the limit
"""

from __future__ import annotations

from kharvest.spi import KharvestError


class Refused(KharvestError):
    """The server refuses a call, or a file of it. `retry_after_seconds` is None where trying again changes nothing."""

    retry_after_seconds: float | None = None


class Overloaded(Refused):
    """Queues are full: the store does not keep up with what is announced."""

    def __init__(self, what: str, retry_after_seconds: float) -> None:
        super().__init__(f"{what}; try again in {retry_after_seconds:g} s")
        self.retry_after_seconds = retry_after_seconds


class Starting(Refused):
    """This server has not opened its store yet."""

    retry_after_seconds = 1.0

    def __init__(self) -> None:
        super().__init__("this server is starting, and waits for its store; try again")


class ShuttingDown(Refused):
    """This server is going away."""

    retry_after_seconds = 1.0

    def __init__(self) -> None:
        super().__init__("this server is shutting down; try again, another one may answer")


class NotAsked(Refused):
    """An upload that nobody asked for, or not any more."""

    retry_after_seconds = 0.0

    def __init__(self, path: str) -> None:
        super().__init__(f"nobody asked this pod to upload {path} now; announce it again")


class Stalled(Refused):
    """An upload that made no progress, or less than it must."""

    retry_after_seconds = 0.0

    def __init__(self, path: str, seconds: float, received: int) -> None:
        super().__init__(
            f"the upload of {path} brought {received} bytes and the server waited {seconds:.1f} s for them; "
            "announce it again"
        )


class GaveWay(Refused):
    """A slow transfer that was ended because others waited for its place."""

    retry_after_seconds = 5.0

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} was slow while others waited for its place; try again later")


class FileChanged(Refused):
    """A content that its pod was asked for and no longer has."""

    retry_after_seconds = 0.0

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} has changed since it was announced; read it again and announce what it is now")


class TooManyFiles(Refused):
    """A batch over the limit."""

    def __init__(self, files: int, limit: int) -> None:
        super().__init__(f"{files} files in one call, at most {limit} are allowed; split the batch (see GetLimits)")


class ContentTooLarge(Refused):
    """A content over the limit."""

    def __init__(self, path: str, size: int, limit: int) -> None:
        super().__init__(
            f"{path} has {size} bytes, at most {limit} are allowed; "
            "leave it out, or have the operator raise --max-content-bytes"
        )
