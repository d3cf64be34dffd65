"""Times: parsed and printed by one rule, here and nowhere else.

Inside, a time is an integer: nanoseconds since the epoch, UTC. It is printed as RFC 3339 in UTC, to the nanosecond, and
what is printed can be given back and means the same.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from kharvest.spi import MAX_TIME_NS, InvalidValue

Time = datetime | int | str
"""A time as callers give it: an aware datetime, nanoseconds since the epoch, or text that `parse_time` reads."""

_SECOND = 10**9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?[smhdw])+")
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhdw])")
_TIME = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ](?P<clock>[0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:\.(?P<fraction>[0-9]{1,9}))?)?"
    r"(?P<zone>[Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
_EARLIEST_NUMBER = 946_684_800 * _SECOND
"""2000-01-01. A number below is in another unit: today's time is below it in seconds, milliseconds and microseconds."""


def format_time(time_ns: int) -> str:
    """The time as RFC 3339 in UTC, with as many digits as it needs."""
    stamp = Timestamp()
    stamp.FromNanoseconds(time_ns)
    return stamp.ToJsonString()


def parse_time(text: str, argument: str = "time") -> int:
    """Nanoseconds since the epoch: of an RFC 3339 time, or of a duration back from now (`2h`, `15m`, `1h30m`).

    A time without a zone is refused: it would mean another time on another machine.

    Raises:
        InvalidValue: `text` is neither; its `field` is `argument`.
    """
    if _DURATION.fullmatch(text):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
        if seconds * _SECOND > MAX_TIME_NS:
            raise InvalidValue(argument, f"{text!r} is before 1970", "give a shorter duration")
        return time.time_ns() - round(seconds * _SECOND)
    match = _TIME.fullmatch(text)
    if match is None:
        problem = f"{text!r} is neither an RFC 3339 time nor a duration"
        raise InvalidValue(argument, problem, "write it like 2026-01-31T10:00:00Z, 2h or 15m")
    clock = match["clock"] or "00:00:00"
    if match["zone"] is None:
        remedy = f"write {match['day']}T{clock}Z for UTC, or an offset such as +02:00"
        raise InvalidValue(argument, f"{text!r} has no time zone", remedy)
    try:
        given = datetime.fromisoformat(f"{match['day']}T{clock}{match['zone'].upper().replace('Z', '+00:00')}")
    except ValueError as error:
        raise InvalidValue(argument, f"{text!r} is not a time: {error}", "correct it") from None
    return _since_epoch(given) + int((match["fraction"] or "").ljust(9, "0"))


def time_ns(argument: str, given: Time) -> int:
    """Nanoseconds since the epoch, of a time in any of its forms.

    Raises:
        TypeError: it has none of these forms.
        InvalidValue: it has no time zone, is out of range, or is a number in another unit than nanoseconds.
    """
    if isinstance(given, str):
        return parse_time(given, argument)
    if isinstance(given, datetime):
        if given.tzinfo is None or given.utcoffset() is None:
            raise InvalidValue(argument, f"{given!r} has no time zone", "give an aware datetime")
        return _since_epoch(given)
    if isinstance(given, bool) or not isinstance(given, int):
        kind = type(given).__name__
        raise TypeError(f"{argument}: {given!r} is of type {kind}; give an aware datetime, int nanoseconds, or text")
    if 0 < given < _EARLIEST_NUMBER:
        problem = f"{given} nanoseconds is {format_time(given)}, so it is in another unit"
        raise InvalidValue(argument, problem, "give nanoseconds (time.time_ns()) or an aware datetime")
    return given


def _since_epoch(given: datetime) -> int:
    return (given - _EPOCH) // timedelta(microseconds=1) * 1000
