"""The filters of a question: every one is known, has the right type, and can match something, or it is refused."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TypedDict

from google.protobuf.timestamp_pb2 import Timestamp

from kharvest.query._times import Time, time_ns
from kharvest.spi import InvalidValue, Metadata, Query
from kharvest.wire import v2_pb2 as v2

_PATTERN = frozenset("*?[")


class Filter(TypedDict, total=False):
    """What restricts an answer; what is left out does not.

    Attributes:
        path: the exact path.
        path_glob: a pattern: `?`, `*` and `[...]` stay within a segment, `**` crosses them. Not together with `path`.
        md5: 16 raw bytes; all zero for removals.
        namespace: the pod's namespace.
        pod: the pod's name.
        uid: the pod's UID.
        metadata: pairs that must all be there.
        since: earliest time, inclusive.
        until: latest time, exclusive.
        latest: only the newest reference, before `until`, of each namespace, pod, UID and path.
    """

    path: str
    path_glob: str
    md5: bytes
    namespace: str
    pod: str
    uid: str
    metadata: Mapping[str, str]
    since: Time
    until: Time
    latest: bool


_TYPES = {
    "path": str,
    "path_glob": str,
    "md5": bytes,
    "namespace": str,
    "pod": str,
    "uid": str,
    "metadata": Mapping,
    "latest": bool,
}


def check_filters(filters: Filter) -> v2.Filter:
    """The filters as the server is sent them.

    Raises:
        TypeError: a filter is unknown, or has another type than it should.
        InvalidValue: a filter could match nothing.
    """
    for name, value in filters.items():
        if name not in Filter.__annotations__:
            close = difflib.get_close_matches(name, Filter.__annotations__, n=1)
            remedy = f"do you mean {close[0]!r}?" if close else f"known are {', '.join(Filter.__annotations__)}"
            raise TypeError(f"there is no filter {name!r}; {remedy}")
        if name in _TYPES:
            check_type(name, value, _TYPES[name])
    for key, value in filters.get("metadata", {}).items():
        check_type("metadata key", key, str)
        check_type(f"metadata[{key!r}]", value, str)
    if "path" in filters:
        check_path("path", filters["path"])
    if "path_glob" in filters:
        check_glob("path_glob", filters["path_glob"])
        if "path" in filters:
            raise InvalidValue("path_glob", "a path is given too", "give one of them")
    check_name("namespace", filters.get("namespace", ""))
    check_name("pod", filters.get("pod", ""))
    check_name("uid", filters.get("uid", ""))
    since, until = (time_ns(name, filters[name]) if name in filters else None for name in ("since", "until"))
    # The contract's limits are the contract's to check, before a server is asked.
    Query(
        path=filters.get("path", filters.get("path_glob")),
        md5=filters.get("md5"),
        namespace=filters.get("namespace"),
        pod=filters.get("pod"),
        uid=filters.get("uid"),
        metadata=Metadata(filters.get("metadata")),
        since_ns=since,
        until_ns=until,
    )
    return v2.Filter(
        path=filters.get("path"),
        path_glob=filters.get("path_glob"),
        md5=filters.get("md5"),
        namespace=filters.get("namespace"),
        pod=filters.get("pod"),
        uid=filters.get("uid"),
        metadata=filters.get("metadata"),
        latest=filters.get("latest", False),
        since=_timestamp(since),
        until=_timestamp(until),
    )


def check_type(argument: str, value: object, wanted: type) -> None:
    """Require a value's type.

    Raises:
        TypeError: it is of another.
    """
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        hint = "; give the raw bytes, as bytes.fromhex does" if wanted is bytes and isinstance(value, str) else ""
        raise TypeError(f"{argument}: {value!r} is of type {type(value).__name__}, not {wanted.__name__}{hint}")


def check_limit(limit: int | None) -> None:
    """Require a number of rows.

    Raises:
        TypeError: it is no whole number.
        InvalidValue: it is below 1.
    """
    if limit is not None:
        check_type("limit", limit, int)
        if limit < 1:
            raise InvalidValue("limit", f"{limit} is out of range", "give 1 or more, or leave it out for all rows")


def check_path(argument: str, path: str) -> str:
    """Require a full path: no other is ever recorded.

    Raises:
        InvalidValue: it is relative.
    """
    if not path.startswith("/"):
        raise InvalidValue(argument, f"{path!r} is relative", "give the full path, from the root")
    return path


def check_glob(argument: str, glob: str) -> str:
    """Require a pattern that can match full paths.

    Raises:
        InvalidValue: it is relative.
    """
    if not (glob.startswith(("/", "**/")) or glob == "**"):
        remedy = f"begin it with / or **/, such as {f'**/{glob}' if glob else '/**'!r}"
        raise InvalidValue(argument, f"{glob!r} is relative, and paths are full", remedy)
    return glob


def check_name(argument: str, name: str) -> str:
    """Require a name or a UID, not a pattern.

    Raises:
        InvalidValue: it is a pattern.
    """
    if _PATTERN & set(name):
        raise InvalidValue(argument, f"{name!r} is a pattern, and names match exactly", "give the whole name")
    return name


def _timestamp(time: int | None) -> Timestamp | None:
    return None if time is None else Timestamp(seconds=time // 10**9, nanos=time % 10**9)
