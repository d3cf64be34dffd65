"""Times on the wire."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp


def timestamp(time_ns: int) -> Timestamp:
    """The time as it goes over the wire."""
    return Timestamp(seconds=time_ns // 10**9, nanos=time_ns % 10**9)
