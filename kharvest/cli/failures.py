"""Which message and exit code an error has."""

from __future__ import annotations

import grpc

from kharvest.cli.exits import Exit
from kharvest.query import QueryFailed
from kharvest.registry import UnknownScheme
from kharvest.spi import InvalidStoreURL, InvalidValue, KharvestError, StoreUnavailable

_BY_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: Exit.USAGE,
    grpc.StatusCode.NOT_FOUND: Exit.NOT_FOUND,
    grpc.StatusCode.UNAUTHENTICATED: Exit.REFUSED,
    grpc.StatusCode.PERMISSION_DENIED: Exit.REFUSED,
    grpc.StatusCode.UNAVAILABLE: Exit.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: Exit.UNAVAILABLE,
}


class NotFound(KharvestError):
    """What was asked for is not there."""


def explain(error: Exception) -> tuple[str | None, Exit]:
    """The message for stderr and the exit code; no message for what is no error of ours: a bug wants its traceback."""
    code = Exit.FAILURE
    if isinstance(error, QueryFailed):
        code = _BY_STATUS.get(error.status, Exit.FAILURE)
    elif isinstance(error, NotFound):
        code = Exit.NOT_FOUND
    elif isinstance(error, (InvalidValue, InvalidStoreURL, UnknownScheme)):
        code = Exit.USAGE
    elif isinstance(error, StoreUnavailable):
        code = Exit.UNAVAILABLE
    elif not isinstance(error, KharvestError):
        return None, code
    return str(error), code
