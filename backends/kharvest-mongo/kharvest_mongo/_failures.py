"""What PyMongo raises, told in the errors of kharvest: the one place that knows MongoDB's codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo import errors

from kharvest.spi import StoreDenied, StoreError, StoreFull, StoreUnavailable

# https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
DUPLICATE_KEY = 11000
_FULL = frozenset({14031})  # OutOfDiskSpace
_DENIED = frozenset({11, 13, 18, 31, 334, 8000})
"""Unknown users and roles, wrong passwords, missing rights, mechanisms that are off; the last is Atlas's own."""
_AWAY = frozenset(
    {
        6, 7, 24, 43, 46, 50, 63, 64, 79, 89, 91, 94, 100, 112, 133, 134, 150, 175, 189, 202, 216, 237, 246, 249, 251,
        262, 279, 317, 365, 384, 391, 462, 9001, 10058, 10107, 11600, 11601, 11602, 13388, 13435, 13436,
    }
)  # fmt: skip
"""Hosts, networks, elections, starts and shutdowns, interruptions, cursors of a server that was restarted, time-outs,
write concerns that cannot be met."""
_RIGHTS = "correct the user and password, or give this user the role readWrite on the database"


@contextmanager
def told() -> Iterator[None]:
    """Raise what PyMongo raises as an error of kharvest; a mistake in our commands stays what it is."""
    try:
        yield
    except errors.PyMongoError as error:
        told_as = _translated(error)
        if told_as is None:
            raise
        raise told_as from error


def duplicates(error: errors.BulkWriteError) -> set[int]:
    """The positions of those writes that a unique index refused.

    Raises:
        BulkWriteError: something else went wrong too.
    """
    failed = error.details.get("writeErrors", [])
    if error.details.get("writeConcernErrors") or any(one["code"] != DUPLICATE_KEY for one in failed):
        raise error
    return {one["index"] for one in failed}


def _translated(error: errors.PyMongoError) -> StoreError | None:
    reason = " ".join(str(error).split())[:300]
    if isinstance(error, errors.BulkWriteError):
        details = error.details
        found = [*details.get("writeErrors", []), *details.get("writeConcernErrors", [])]
        codes = {one.get("code") for one in found}
        reason = "; ".join(str(one.get("errmsg")) for one in found[:1])[:300]
    elif isinstance(error, errors.OperationFailure):
        codes = {error.code}
    elif isinstance(error, errors.ConnectionFailure | errors.ServerSelectionTimeoutError | errors.WTimeoutError):
        return StoreUnavailable(f"no answer from the server: {reason}")
    else:
        return None
    if codes & _FULL:
        return StoreFull(reason)
    if codes & _DENIED:
        return StoreDenied(reason, _RIGHTS)
    retryable = error.has_error_label("RetryableWriteError") or error.has_error_label("TransientTransactionError")
    if codes & _AWAY or retryable or isinstance(error, errors.WriteConcernError):
        return StoreUnavailable(reason)
    return None
