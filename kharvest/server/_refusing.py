"""How an error reaches a caller: a gRPC status with a message for people and a reason for programs."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from kharvest.server._errors import (
    ContentTooLarge,
    FileChanged,
    GaveWay,
    NotAsked,
    Overloaded,
    Refused,
    ShuttingDown,
    Stalled,
    Starting,
    TooManyFiles,
)
from kharvest.server._metrics import Metrics
from kharvest.spi import (
    Conflict,
    ContentMismatch,
    InvalidValue,
    KharvestError,
    StoreError,
    StoreFull,
    StoreUnavailable,
    UnknownContent,
)
from kharvest.wire import v2_pb2 as v2
from kharvest.wire.trailers import PUSHBACK_KEY, REASON_KEY

logger = logging.getLogger(__name__)

STORE_RETRY_SECONDS = 2.0

Status = grpc.StatusCode
Context = grpc.aio.ServicerContext[Any, Any]
"""The context of any call: what it does does not depend on the messages."""

# The first class that an error is an instance of says what the caller is told.
_TOLD: tuple[tuple[type[KharvestError], grpc.StatusCode, v2.Reason.ValueType], ...] = (
    (InvalidValue, Status.INVALID_ARGUMENT, v2.INVALID),
    (TooManyFiles, Status.INVALID_ARGUMENT, v2.TOO_MANY_FILES),
    (ContentTooLarge, Status.INVALID_ARGUMENT, v2.CONTENT_TOO_LARGE),
    (FileChanged, Status.INVALID_ARGUMENT, v2.CONTENT_MISMATCH),
    (ContentMismatch, Status.INVALID_ARGUMENT, v2.CONTENT_MISMATCH),
    (Conflict, Status.FAILED_PRECONDITION, v2.CONFLICT),
    (NotAsked, Status.FAILED_PRECONDITION, v2.NOT_ASKED),
    (Stalled, Status.ABORTED, v2.STALLED),
    (GaveWay, Status.RESOURCE_EXHAUSTED, v2.OVERLOADED),
    (UnknownContent, Status.NOT_FOUND, v2.UNKNOWN_CONTENT),
    (Overloaded, Status.RESOURCE_EXHAUSTED, v2.OVERLOADED),
    (Starting, Status.UNAVAILABLE, v2.STORE_UNAVAILABLE),
    (ShuttingDown, Status.UNAVAILABLE, v2.SHUTTING_DOWN),
    (StoreUnavailable, Status.UNAVAILABLE, v2.STORE_UNAVAILABLE),
    (StoreFull, Status.RESOURCE_EXHAUSTED, v2.STORE_FULL),
    (KharvestError, Status.INTERNAL, v2.STORE_FAILED),
)


# What a store says of itself names hosts, users and databases: that is for the server's log.
_SAID_OF_STORES: tuple[tuple[type[KharvestError], str], ...] = (
    (StoreUnavailable, "the store is away; try again later"),
    (StoreFull, "the store is full; its operator must make room on its disk, or raise its quota"),
)
_SAID_OF_FAILURE = "the store failed; see the server's log"


def message(error: KharvestError) -> str:
    """What a caller is told, in words."""
    if not isinstance(error, StoreError) or isinstance(error, (ContentMismatch, Conflict, UnknownContent)):
        return str(error.args[0])  # without the store's URL
    return next((said for kind, said in _SAID_OF_STORES if isinstance(error, kind)), _SAID_OF_FAILURE)


def told(error: KharvestError) -> tuple[grpc.StatusCode, v2.Reason.ValueType]:
    """The status and the reason that a caller is told for an error."""
    return next((status, reason) for kind, status, reason in _TOLD if isinstance(error, kind))


@asynccontextmanager
async def refusing(context: Context, metrics: Metrics) -> AsyncIterator[None]:
    """Turn an error into the status that the caller is told. Bugs are logged and told as INTERNAL."""
    try:
        yield
    except KharvestError as error:
        status, reason = told(error)
        metrics.refused(v2.Reason.Name(reason))
        if reason == v2.STORE_FAILED:
            logger.exception("the store failed")
        trailing = [(REASON_KEY, v2.Reason.Name(reason))]
        seconds = retry_seconds(error)
        if seconds is not None:
            trailing.append((PUSHBACK_KEY, str(int(seconds * 1000))))
        await context.abort(status, message(error), tuple(trailing))
    except grpc.aio.AbortError:
        raise
    except Exception:
        logger.exception("a call failed with an unexpected error")
        metrics.refused("BUG")
        await context.abort(Status.INTERNAL, "unexpected error, see the server's log")


def retry_seconds(error: KharvestError) -> float | None:
    """When trying again makes sense; None where it does not."""
    if isinstance(error, Refused):
        return error.retry_after_seconds
    return STORE_RETRY_SECONDS if isinstance(error, (StoreUnavailable, StoreFull)) else None
