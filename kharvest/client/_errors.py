"""What goes wrong in the client, as one tree.

ClientError
├── ConfigurationError (also a ValueError)   a setting cannot be used
├── ForkedError (also a RuntimeError)        a client was used in a child of the process that started it
└── Unreadable                               a path holds something that cannot be harvested
    └── Gone                                 a path holds nothing
Changed                                      a file changed while it was read: read it again (never leaves the client)

Messages say what happened, to which thing, and what to do next.
"""

from __future__ import annotations


class ClientError(Exception):
    """The root of the tree."""


class ConfigurationError(ClientError, ValueError):
    """A setting cannot be used; nothing was started or changed.

    Attributes:
        field: which setting is wrong.
        problem: what is wrong with it.
        remedy: what to do.
    """

    def __init__(self, field: str, problem: str, remedy: str) -> None:
        super().__init__(f"{field}: {problem}; {remedy}")
        self.field = field
        self.problem = problem
        self.remedy = remedy


class ForkedError(ClientError, RuntimeError):
    """A client was used in a child of the process that started it, where its threads and connection do not exist."""

    def __init__(self, started_in: int) -> None:
        super().__init__(
            f"the client was started in process {started_in}, and a fork copies neither its threads nor its "
            "connection; start it after the fork, in the process that uses it"
        )
        self.started_in = started_in


class Unreadable(ClientError):
    """A path holds something that cannot be harvested.

    Attributes:
        path: the path as it was configured.
        reason: what a program may switch on: PERMISSION_DENIED, NOT_A_FILE, NOT_UTF8, TOO_LARGE, CONTENT_TOO_LARGE,
            SPARSE, LEADS_OUT, PATH_TOO_LONG, IO_ERROR, NO_SUCH_FILE.
        problem: what is wrong.
        remedy: what to do.
    """

    def __init__(self, path: str, reason: str, problem: str, remedy: str) -> None:
        super().__init__(f"{path!r}: {problem}; {remedy}")
        self.path = path
        self.reason = reason
        self.problem = problem
        self.remedy = remedy


class Gone(Unreadable):
    """A path holds nothing."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "NO_SUCH_FILE", "no such file", "write it, or correct the path")


class Changed(Exception):
    """A file changed while it was read, or its path names another file now: read it again."""
