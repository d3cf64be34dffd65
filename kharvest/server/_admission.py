"""Where every call enters: it gets a slot in its lane, its message is read within bounds, and errors become statuses.

gRPC reads and decodes the message of a unary call before it calls anybody, however large it is and however many come
at once. So every method is registered as one that reads a stream, and its message is read here: when there is a seat
for the reader, within a deadline, and decoded only when its bytes do not stand for more than the method has a use for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from kharvest.server._budget import MESSAGE, Charge
from kharvest.server._config import MAX_MESSAGE_BYTES, ServerConfig
from kharvest.server._errors import Starting
from kharvest.server._fields import Shape, check_fields, shape_of, undecodable
from kharvest.server._lanes import CallSlot, Lane
from kharvest.server._metrics import Metrics
from kharvest.server._refusing import Context, refusing
from kharvest.spi import InvalidValue

MIN_FIELDS = 20_000
"""Fields that any message may have: the few MB that they take are gone when it has been looked at."""
SMALL_BYTES = 64 * 1024
"""Replies up to this size are not charged: HTTP/2's first window has room for them."""
DECODED = 4
"""What a message takes while its call is under way, in times of its bytes on the wire: measured with metadata."""


@dataclass(frozen=True, slots=True)
class Decoder:
    """How the messages of one method are decoded.

    Attributes:
        decode: makes a message of its bytes.
        shape: what is counted before; None where `decode` makes one object, whatever the bytes.
        factor: what the message takes, in times of its bytes.
        most_bytes: the largest message; None where the port's own limit is the only one.
    """

    decode: Callable[[bytes], Any]
    shape: Shape | None
    factor: int = DECODED
    most_bytes: int | None = MAX_MESSAGE_BYTES


class Services(grpc.GenericRpcHandler):
    """Services that are added to a server that runs already: stands in for it where generated code adds them."""

    def __init__(self) -> None:
        self._handlers: list[Any] = []

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        """As that of a server."""
        self._handlers += handlers

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """As that of a server, where it finds the same handlers faster: Admission remembers them instead."""

    def service(self, handler_call_details: Any) -> Any:
        """The handler of a call; None where there is none."""
        found = (handler.service(handler_call_details) for handler in self._handlers)
        return next((handler for handler in found if handler is not None), None)


class Admission(grpc.aio.ServerInterceptor):
    """Admits the calls of one port. Before it is opened, methods that are not there yet are unavailable.

    Args:
        lanes: the lane of each service, or method; `""` is that of all others.
        decoders: of methods whose messages are not decoded as usual.
    """

    def __init__(
        self,
        lanes: Mapping[str, Lane],
        metrics: Metrics,
        config: ServerConfig,
        *,
        decoders: Mapping[str, Decoder] | None = None,
    ) -> None:
        self._lanes = lanes
        self._metrics = metrics
        self._config = config
        self._decoders = decoders or {}
        self._handlers: dict[str, Any] = {}
        self._is_open = False

    def open(self) -> None:
        """Answer all services from now on."""
        self._is_open = True

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """The handler of a call, which admits it first; None where there is no such method."""
        method: str = details.method
        handler = self._handlers.get(method)
        if handler is None:
            answering = await continuation(details)
            if answering is None:
                return None if self._is_open else grpc.stream_unary_rpc_method_handler(self._not_open)
            handler = self._handlers[method] = self._admitting(method, answering)
        return handler

    async def _not_open(self, _requests: object, context: Context) -> None:
        async with refusing(context, self._metrics):
            raise Starting

    def _admitting(self, method: str, handler: Any) -> Any:
        service = method.split("/")[1]
        lane = self._lanes.get(method) or self._lanes.get(service) or self._lanes[""]
        decoder = self._decoders.get(method) or _usual(handler.request_deserializer)

        def requests(context: Context, slot: CallSlot, charge: Charge) -> AsyncIterator[Any]:
            return self._stream(context, slot, charge, decoder)

        async def reply(_requests: object, context: Context) -> Any:
            async with self._admitted(context, lane) as (slot, charge):
                if handler.request_streaming:
                    return await handler.stream_unary(requests(context, slot, charge), context)
                answer = await handler.unary_unary(await self._message(context, slot, charge, decoder), context)
                if lane.replies is not None and (size := answer.ByteSize()) > SMALL_BYTES:
                    reply_charge = await lane.replies.charge(size, self._config.busy_seconds)
                    when_ended(context, reply_charge.give)
                return answer

        async def replies(_requests: object, context: Context) -> AsyncIterator[Any]:
            async with self._admitted(context, lane) as (slot, charge):
                if handler.request_streaming:
                    answers = handler.stream_stream(requests(context, slot, charge), context)
                else:
                    answers = handler.unary_stream(await self._message(context, slot, charge, decoder), context)
                if hasattr(answers, "__aiter__"):
                    async for answer in answers:
                        yield answer
                else:
                    await answers  # a method that writes to the context itself, as that of health does

        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(replies, None, handler.response_serializer)
        return grpc.stream_unary_rpc_method_handler(reply, None, handler.response_serializer)

    @asynccontextmanager
    async def _admitted(self, context: Context, lane: Lane) -> AsyncIterator[tuple[CallSlot, Charge]]:
        async with refusing(context, self._metrics), lane.slot(context.peer()) as slot:
            with lane.messages.take(0) as charge:
                MESSAGE.set(charge)
                yield slot, charge

    async def _message(self, context: Context, slot: CallSlot, charge: Charge, decoder: Decoder) -> Any:
        """The one message of a call, which is charged for."""
        message = await self._first(context, slot, charge, decoder)
        if message is None:
            raise InvalidValue("message", "there is none, or it is too large for this port", "send smaller ones")
        return message

    async def _first(self, context: Context, slot: CallSlot, charge: Charge, decoder: Decoder) -> Any:
        """The first message of a call; None if there is none."""
        async with slot.reading(self._config.message_seconds):
            raw = await context.read()
        if raw is grpc.aio.EOF:
            return None
        if decoder.most_bytes is not None and len(raw) > decoder.most_bytes:
            problem = f"{len(raw)} bytes, at most {decoder.most_bytes} are allowed"
            raise InvalidValue("message", problem, "split the batch (see GetLimits)")
        await charge.grow(decoder.factor * len(raw), self._config.busy_seconds)
        return self._decoded(raw, decoder)

    async def _stream(self, context: Context, slot: CallSlot, charge: Charge, decoder: Decoder) -> AsyncIterator[Any]:
        """The call's messages. The first one is read as that of a unary call; the others' reader sees to their pace."""
        first = await self._first(context, slot, charge, decoder)
        if first is None:
            return
        yield first
        del first
        while (raw := await context.read()) is not grpc.aio.EOF:
            yield self._decoded(raw, decoder)

    def _decoded(self, raw: bytes, decoder: Decoder) -> Any:
        if decoder.shape is not None:
            # Twice what a full batch of contents has, which hold a file each: up to there a better error is told.
            check_fields(raw, decoder.shape, max(MIN_FIELDS, 8 * self._config.max_files))
        try:
            return decoder.decode(raw)
        except DecodeError:
            raise undecodable() from None


def _usual(deserializer: Callable[[bytes], Any]) -> Decoder:
    """The decoder of a method whose generated code has this deserializer: a message type's `FromString`."""
    return Decoder(deserializer, shape_of(deserializer(b"").DESCRIPTOR))


def undelivered(context: Context, act: Callable[[], None]) -> None:
    """Have `act` called if the call's caller has gone away, or given up, before its reply was sent."""

    def ended() -> None:
        remaining = context.time_remaining()
        # While its callbacks run a call is done only where its status was sent.
        if not context.done() or (remaining is not None and remaining <= 0):
            act()

    when_ended(context, ended)


def when_ended(context: Context, act: Callable[[], None]) -> None:
    """Have `act` called when the call has ended, its reply taken or its caller gone."""
    context.add_done_callback(lambda _context: act())  # type: ignore[arg-type]  # its stub asks for a protocol of its own
