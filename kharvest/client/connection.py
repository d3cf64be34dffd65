"""The connection to the server: calls that never block, and what their failures mean."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

import grpc

from kharvest.wire import v2_pb2
from kharvest.wire.v2_pb2_grpc import HarvestStub

logger = logging.getLogger(__name__)

REASON_KEY = "kharvest-reason"
PUSHBACK_KEY = "grpc-retry-pushback-ms"

ANNOUNCE_SECONDS = 30.0
"""How long an Announce may be held by the server while another pod uploads."""
PROBE_SECONDS = 60.0
BATCH_SECONDS = 120.0
"""How long a batch of small contents may take, which are a megabyte at most."""

_OPTIONS = (
    # A server that is gone without a word is noticed, even in the middle of an upload. Ours allows this.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 15_000),
    # The host program may have channels of its own to the same server; they are none of ours.
    ("grpc.use_local_subchannel_pool", 1),
)


class Trouble(Enum):
    """What a failed call means for what to do next."""

    AWAY = "away"
    """The server cannot be reached: connect again, then announce everything."""
    BUSY = "busy"
    """The server, or its store, cannot do it now: try again later."""
    REFUSED = "refused"
    """It will not be done, now or later, unless somebody changes something."""
    CANCELLED = "cancelled"
    """We gave the call up."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call failed.

    Attributes:
        trouble: what it means.
        reason: the name of the wire's Reason, or else of the gRPC status.
        message: words for people.
        pushback_seconds: the time that the server asks us to wait; None if it says nothing.
    """

    trouble: Trouble
    reason: str
    message: str
    pushback_seconds: float | None = None


Reply = TypeVar("Reply")
Outcome = Callable[[Reply | Failure], None]


class Call(Generic[Reply]):
    """A call under way; `ended` is called once, on a thread of gRPC's, with the reply or the failure."""

    def __init__(self, future: Any, ended: Outcome[Reply]) -> None:
        self._future = future
        self._ended = ended
        self._is_cancelled = False
        future.add_done_callback(self._done)

    def cancel(self) -> None:
        """Give it up. It ends soon, as cancelled unless the reply was faster."""
        self._is_cancelled = True
        self._future.cancel()

    def _done(self, future: Any) -> None:
        is_ok = future.code() is grpc.StatusCode.OK
        self._ended(future.result() if is_ok else _failure(future, is_cancelled=self._is_cancelled))


class Connection:
    """One channel to the server, and the calls of the protocol on it. Thread-safe."""

    def __init__(self, target: str) -> None:
        self.target = target
        self._channel = grpc.insecure_channel(target, options=_OPTIONS)
        self._stub = HarvestStub(self._channel)

    def limits(self, ended: Outcome[v2_pb2.Limits], *, wait: bool) -> Call[v2_pb2.Limits]:
        """Ask for the server's limits; with `wait`, not before it can be reached."""
        request = v2_pb2.GetLimitsRequest()
        return Call(self._stub.GetLimits.future(request, timeout=PROBE_SECONDS, wait_for_ready=wait), ended)

    def announce(
        self, request: v2_pb2.AnnounceRequest, ended: Outcome[v2_pb2.AnnounceReply]
    ) -> Call[v2_pb2.AnnounceReply]:
        """Announce files."""
        return Call(self._stub.Announce.future(request, timeout=ANNOUNCE_SECONDS), ended)

    def upload(
        self, requests: Iterator[v2_pb2.UploadRequest], ended: Outcome[v2_pb2.UploadReply]
    ) -> Call[v2_pb2.UploadReply]:
        """Upload a content. No deadline: it takes what it takes; a dead server is noticed."""
        return Call(self._stub.Upload.future(requests), ended)

    def upload_batch(
        self, request: v2_pb2.UploadBatchRequest, ended: Outcome[v2_pb2.UploadBatchReply]
    ) -> Call[v2_pb2.UploadBatchReply]:
        """Upload small contents. It takes what the link and the store take; a server that forgets it is given up."""
        return Call(self._stub.UploadBatch.future(request, timeout=BATCH_SECONDS), ended)

    def ask_whether_connected(self, told: Callable[[bool], None]) -> None:
        """Find out whether the channel is connected at this moment; `told` is called once, on another thread.

        A subscription that stays would have gRPC poll five times a second for as long as the program runs.
        """

        def tell(state: grpc.ChannelConnectivity) -> None:
            self._channel.unsubscribe(tell)
            told(state is grpc.ChannelConnectivity.READY)

        self._channel.subscribe(tell, try_to_connect=False)

    def close(self) -> None:
        """Cancel every call and disconnect."""
        self._channel.close()


_BUSY_REASONS = {
    "TOO_MANY_FILES",
    "OVERLOADED",
    "STORE_UNAVAILABLE",
    "STORE_FULL",
    "STORE_FAILED",
    "NOT_ASKED",
    "STALLED",
}
_BUSY_CODES = {
    grpc.StatusCode.CANCELLED,  # by the server or something between: not by us
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
}


def refused(reason: str, message: str, pushback_seconds: float | None) -> Failure:
    """What it means that the server refused one content of several: the same as if it had refused a call for it."""
    code = grpc.StatusCode.UNAVAILABLE if reason == "SHUTTING_DOWN" else grpc.StatusCode.FAILED_PRECONDITION
    return Failure(_trouble(code, reason), reason, message, pushback_seconds)


def _failure(call: Any, *, is_cancelled: bool) -> Failure:
    trailing: Mapping[str, Any] = dict(call.trailing_metadata() or ())
    code = call.code()
    reason = str(trailing.get(REASON_KEY, ""))
    trouble = Trouble.CANCELLED if is_cancelled else _trouble(code, reason)
    return Failure(trouble, reason or code.name, call.details() or code.name, _seconds(trailing.get(PUSHBACK_KEY)))


def _trouble(code: grpc.StatusCode, reason: str) -> Trouble:
    if reason in _BUSY_REASONS:
        return Trouble.BUSY
    if code is grpc.StatusCode.UNAVAILABLE:
        return Trouble.AWAY
    return Trouble.BUSY if code in _BUSY_CODES else Trouble.REFUSED


def _seconds(pushback_ms: Any) -> float | None:
    """The pushback; None where there is none, or none that can be read. Negative: never, in gRPC's own terms."""
    try:
        milliseconds = int(pushback_ms)
    except (TypeError, ValueError):
        return None
    return milliseconds / 1000 if milliseconds >= 0 else None
