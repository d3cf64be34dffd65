"""What file systems raise, told in the errors of kharvest: the one place that knows their codes."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kharvest.spi import KharvestError, StoreDenied, StoreFull, StoreUnavailable
from kharvest_fsspec._address import NO_SECRETS, Secrets
from kharvest_fsspec._bucket import Exists, Missing

_BUGS = (TypeError, AttributeError, NameError, LookupError, AssertionError)
"""These are raised by mistakes in code, ours or theirs, and stay what they are."""

_NO_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted"})
_TAKEN = frozenset(
    {
        "PreconditionFailed",
        "ConditionalRequestConflict",
        "412",
        "BlobAlreadyExists",
        "UploadOverwriteFailed",
        "conditionNotMet",
    }
)
_PAST_THE_END = frozenset({"InvalidRange", "416"})
_KEYS = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidToken",
        "ExpiredToken",
        "AuthenticationFailed",
        "InvalidAuthenticationInfo",
        "401",
    }
)
_RIGHTS = frozenset({"AccessDenied", "AuthorizationFailure", "AuthorizationPermissionMismatch", "403"})
_SKEWED = frozenset({"RequestTimeTooSkewed", "RequestExpired"})

_CORRECT_KEYS = "correct the credentials, in the URL or in the environment that the provider's tools use"
_SKEW_HINT = (
    "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly"
)


class CredentialsRefused(StoreDenied):
    """The credentials are wrong, or have expired."""


@contextmanager
def told(what: str, secrets: Secrets = NO_SECRETS) -> Iterator[None]:
    """Raise what a file system raises on a request for `what` as an error of kharvest, or as `Missing` or `Exists`.

    An error that shows a secret is not chained.
    """
    try:
        yield
    except (KharvestError, Missing, Exists, *_BUGS):
        raise
    except Exception as error:  # noqa: BLE001  all that they raise is told in our words
        said = " ".join(_said(error))
        cause = error if secrets.hide(said) == said else None
        raise _translated(secrets.hide(what), error, secrets) from cause


def is_past_the_end(error: BaseException) -> bool:
    """Whether this says that a range lies behind the end of an object."""
    return bool(_codes(error) & _PAST_THE_END)


def _translated(what: str, error: Exception, secrets: Secrets) -> Exception:
    codes = _codes(error)
    reason = f"{what}: {secrets.hide(' '.join(str(error).split())) or type(error).__name__}"
    if codes & _NO_BUCKET:
        return StoreDenied(f"{reason}: there is no such bucket", "create it, or correct the URL")
    if isinstance(error, FileExistsError) or codes & _TAKEN:
        return Exists(what)
    if codes & _SKEWED:
        return StoreUnavailable(f"{reason}: the clock of this machine is wrong", "set it, by NTP for instance")
    if codes & _KEYS or type(error).__name__ in {"NoCredentialsError", "PartialCredentialsError"}:
        return CredentialsRefused(reason, _CORRECT_KEYS)
    if isinstance(error, PermissionError) or codes & _RIGHTS:
        return StoreDenied(reason, "give this user the right to list, read, write and delete there")
    if isinstance(error, FileNotFoundError) or "404" in codes:
        return Missing(what)
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StoreFull(reason)
    return StoreUnavailable(reason)


def _said(error: BaseException | None) -> Iterator[str]:
    """What an error, and those that led to it, say."""
    while error is not None:
        yield str(error)
        error = error.__cause__ or error.__context__


def _codes(error: BaseException | None) -> set[str]:
    """What an error and its causes say in the words of their services: botocore's, Azure's, Google's and aiohttp's."""
    codes = set()
    while error is not None:
        response: Any = getattr(error, "response", None)
        if isinstance(response, dict):
            codes.add(str(response.get("Error", {}).get("Code")))
        for name in ("error_code", "status_code", "status", "code"):
            value = getattr(error, name, None) if name != "code" or not hasattr(error, "status") else None
            if value is not None:
                codes.add(str(getattr(value, "value", value)))
        error = error.__cause__
    return codes
