"""What can go wrong with a question.

KharvestError
└── QueryFailed            the server refused it, or could not answer
    └── ServerUnavailable  there is no answer: trying again may succeed
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from kharvest.spi import KharvestError
from kharvest.wire.trailers import REASON_KEY, UNKNOWN_METHOD


class QueryFailed(KharvestError):
    """The server refused a question, or could not answer it.

    Attributes:
        status: the gRPC status.
        reason: the name of a `kharvest.v2.Reason`, or an empty string where the server gave none.
    """

    def __init__(self, server: str, status: grpc.StatusCode, reason: str, details: str) -> None:
        super().__init__(f"{server}: {details}")
        self.server = server
        self.status = status
        self.reason = reason


class ServerUnavailable(QueryFailed):
    """The server, or its store, is away for now."""


@contextmanager
def answers(server: str) -> Iterator[None]:
    """Turn what gRPC raises into this tree."""
    try:
        yield
    except grpc.RpcError as error:
        call: Any = error  # every RpcError that a stub raises is a Call too, which the types cannot say
        status: grpc.StatusCode = call.code()
        details: str | None = call.details()
        reason = next((str(value) for key, value in call.trailing_metadata() or () if key == REASON_KEY), "")
        away = status in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
        if away and not reason:
            details = f"no answer ({details}); see that the server runs and the address is right"
        if status is grpc.StatusCode.UNIMPLEMENTED:
            details = f"{UNKNOWN_METHOD}; see that the address is right"
        kind = ServerUnavailable if away else QueryFailed
        raise kind(server, status, reason, details or status.name) from error
