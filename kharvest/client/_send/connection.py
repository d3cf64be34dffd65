"""The connection to the server: calls that never block, and what their failures mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import grpc

from kharvest.client._events import Event, EventQueue
from kharvest.wire import v2_pb2
from kharvest.wire.channel import open_channel
from kharvest.wire.trailers import PUSHBACK_KEY, REASON_KEY, UNKNOWN_METHOD
from kharvest.wire.v2_pb2_grpc import HarvestStub, QueryStub

_OPTIONS = (
    # A server that is gone without a word is noticed, even in the middle of an upload. Ours allows this.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # The host program may have channels of its own to the same server: ours is not shared with them.
    ("grpc.use_local_subchannel_pool", 1),
)


class Trouble(Enum):
    """What a failed call means for what to do next."""

    AWAY = "away"
    """The server cannot be reached: connect again, then announce everything."""
    BUSY = "busy"
    """The server, or its store, cannot do it now: try again later."""
    STUCK = "stuck"
    """Its store is full or broken: it cannot do it until an operator has seen to that."""
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


class SendEvent(Event):
    """An event that the sending room reacts to."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class CallEnded(SendEvent):
    """A call has ended. `subject` is what it was made for, `outcome` the reply, or why it failed."""

    subject: object
    outcome: Any


@dataclass(frozen=True, slots=True)
class ConnectionChecked(SendEvent):
    """Whether the channel was connected at that moment."""

    is_connected: bool


class Call:
    """A call under way; when it ends, `CallEnded` is posted once, with the reply or the `Failure`."""

    def __init__(self, future: Any, subject: object, events: EventQueue) -> None:
        self._future = future
        self._subject = subject
        self._events = events
        self._is_cancelled = False
        future.add_done_callback(self._done)

    def cancel(self) -> None:
        """Give it up. It ends soon, as cancelled unless the reply was faster."""
        self._is_cancelled = True
        self._future.cancel()

    def _done(self, future: Any) -> None:
        """Called on a thread of gRPC's."""
        is_ok = future.code() is grpc.StatusCode.OK
        outcome = future.result() if is_ok else _failure(future, is_cancelled=self._is_cancelled)
        self._events.post(CallEnded(self._subject, outcome))


class Connection:
    """One channel to the server, and the calls of the protocol on it.

    Attributes:
        target: the server's address.
        harvest: the methods of announcing and uploading.
    """

    def __init__(self, target: str, proxy: str | None, events: EventQueue) -> None:
        self.target = target
        self._events = events
        self._channel = open_channel(target, proxy=proxy, options=_OPTIONS)
        self.harvest = HarvestStub(self._channel)

    @property
    def query(self) -> QueryStub:
        """The methods of questions. They are asked once, so their stub is not kept."""
        return QueryStub(self._channel)

    def call(self, subject: object, method: Any, request: Any, timeout: float | None, *, wait: bool = False) -> Call:
        """Call a method of a stub for a subject (see `CallEnded`).

        Args:
            subject: what the call is made for.
            method: the method, of `harvest` or `query`.
            request: the request; of a streaming method, an iterator of requests.
            timeout: seconds; None for a call that takes what it takes: a dead server is noticed.
            wait: whether to wait until the server can be reached. Else the call fails within seconds.
        """
        return Call(method.future(request, timeout=timeout, wait_for_ready=wait), subject, self._events)

    def check(self) -> None:
        """Have `ConnectionChecked` posted soon.

        A subscription that stays would have gRPC poll five times a second for as long as the program runs.
        """

        def tell(state: grpc.ChannelConnectivity) -> None:
            self._channel.unsubscribe(tell)
            self._events.post(ConnectionChecked(state is grpc.ChannelConnectivity.READY))

        self._channel.subscribe(tell, try_to_connect=False)

    def close(self) -> None:
        """Cancel every call and disconnect."""
        self._channel.close()


_TROUBLES = {
    **dict.fromkeys(("TOO_MANY_FILES", "OVERLOADED", "STORE_UNAVAILABLE", "NOT_ASKED", "STALLED"), Trouble.BUSY),
    **dict.fromkeys(("STORE_FULL", "STORE_FAILED"), Trouble.STUCK),
    **dict.fromkeys(("INVALID", "CONFLICT", "CONTENT_TOO_LARGE"), Trouble.REFUSED),
}
_BUSY_CODES = {
    grpc.StatusCode.CANCELLED,  # by the server or something between: not by us
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
}


def name_of(reason: int) -> str:
    """The name of the wire's Reason; a newer server may give one that has no name here."""
    known = v2_pb2.Reason.DESCRIPTOR.values_by_number.get(reason)
    return f"REASON_{reason}" if known is None else known.name


def refused(reason: str, message: str, pushback_seconds: float | None) -> Failure:
    """What it means that the server refused one content of several: the same as if it had refused a call for it."""
    code = grpc.StatusCode.UNAVAILABLE if reason == "SHUTTING_DOWN" else grpc.StatusCode.FAILED_PRECONDITION
    return Failure(_trouble(code, reason), reason, message, pushback_seconds)


def _failure(call: Any, *, is_cancelled: bool) -> Failure:
    trailing: Mapping[str, Any] = dict(call.trailing_metadata() or ())
    code = call.code()
    reason = str(trailing.get(REASON_KEY, ""))
    trouble = Trouble.CANCELLED if is_cancelled else _trouble(code, reason)
    message = UNKNOWN_METHOD if code is grpc.StatusCode.UNIMPLEMENTED else call.details() or code.name
    return Failure(trouble, reason or code.name, message, _seconds(trailing.get(PUSHBACK_KEY)))


def _trouble(code: grpc.StatusCode, reason: str) -> Trouble:
    if reason in _TROUBLES:
        return _TROUBLES[reason]
    if code is grpc.StatusCode.UNAVAILABLE:
        return Trouble.AWAY
    return Trouble.BUSY if code in _BUSY_CODES else Trouble.REFUSED


def _seconds(pushback_ms: Any) -> float | None:
    """The pushback; None where it is missing, cannot be read, or is negative, which is gRPC's way to say never."""
    try:
        milliseconds = int(pushback_ms)
    except (TypeError, ValueError):
        return None
    return milliseconds / 1000 if milliseconds >= 0 else None
