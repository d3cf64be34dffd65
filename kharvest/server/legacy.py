"""The original protocol: its harvest service and its user API, answered from the same store.

Its clients send one file a call, contents whole in one message, no metadata and no time. They give Notify 1 s and try
it 20 times; Store has no deadline and is not tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from typing import TypeVar

from google.protobuf.empty_pb2 import Empty
from google.protobuf.timestamp_pb2 import Timestamp

from kharvest.server.announcement import Announced, Announcement, Fate
from kharvest.server.announcing import Announcer
from kharvest.server.clock import Clock
from kharvest.server.config import ServerConfig
from kharvest.server.errors import Overloaded
from kharvest.server.metrics import Metrics
from kharvest.server.receiving import Receiver
from kharvest.server.refusing import Context, refusing
from kharvest.spi import MAX_PAGE, InvalidValue, KharvestError, Metadata, Pod, Query, Reference, Signature, Store
from kharvest.wire import legacy_pb2 as legacy
from kharvest.wire.legacy_pb2_grpc import KharvestServicer, KharvestUserAPIServicer

Result = TypeVar("Result")


class LegacyHarvestService(KharvestServicer):
    """`kharvest.Kharvest`."""

    def __init__(
        self, announcer: Announcer, receiver: Receiver, clock: Clock, metrics: Metrics, config: ServerConfig
    ) -> None:
        self._announcer = announcer
        self._receiver = receiver
        self._clock = clock
        self._metrics = metrics
        self._config = config

    async def Notify(
        self,
        request: legacy.DataSignature,
        context: Context,
    ) -> legacy.NotifyReply:
        """ACK when reference and content are durable; held while another pod uploads, until the caller gives up."""
        async with refusing(context, self._metrics):
            (outcome,) = await self._announcer.announce(
                self._announcement(request), self._config.hold_seconds, self._config.legacy_ask_seconds
            )
            if isinstance(outcome, KharvestError):
                raise outcome
            if outcome is Fate.PENDING:  # its protocol has no word for it, but its clients try again on any error
                raise Overloaded(f"another pod is uploading {request.filename}", 1.0)
            action = legacy.NotifyReply.STORE_REQUESTED if outcome is Fate.UPLOAD else legacy.NotifyReply.ACK
            return legacy.NotifyReply(action=action)

    async def Store(self, request: legacy.Data, context: Context) -> legacy.StoreReply:
        """Stores the content and records the reference, asked for or not: the server may have restarted meanwhile."""
        async with refusing(context, self._metrics):
            announcement = self._announcement(request.signature)
            if announcement.files[0].signature.is_removal:
                if request.data:
                    raise InvalidValue("md5", "16 zero bytes stand for a removal, which has no data", "send the MD5")
                await self._announcer.announce(announcement, 0, self._config.legacy_ask_seconds)
            else:
                await self._receiver.receive_whole(announcement, request.data)
            return legacy.StoreReply()

    def _announcement(self, said: legacy.DataSignature) -> Announcement:
        return Announcement(
            Pod(said.namespace, said.podName),
            Metadata(said.metadata),
            (Announced(Signature(said.filename, said.md5), None),),
            self._clock.now_ns(),
        )


class LegacyUserService(KharvestUserAPIServicer):
    """`kharvest.KharvestUserAPI`. Its replies are not paged: one that would not fit into a message is refused."""

    def __init__(self, store: Store, executor: Executor, metrics: Metrics, config: ServerConfig) -> None:
        self._store = store
        self._executor = executor
        self._metrics = metrics
        self._config = config

    async def Keys(self, request: Empty, context: Context) -> legacy.KeysReply:
        """The key of every file version."""
        async with refusing(context, self._metrics):
            return await self._run(self._keys)

    async def SameReferences(
        self,
        request: legacy.DataSignature,
        context: Context,
    ) -> legacy.DataSignatures:
        """Every reference to one signature."""
        async with refusing(context, self._metrics):
            signature = Signature(request.filename, request.md5)
            return await self._run(self._all, lambda: Query(path=signature.path, md5=signature.md5))

    async def PodReferences(
        self,
        request: legacy.PodIdentifier,
        context: Context,
    ) -> legacy.DataSignatures:
        """Every reference of one pod."""
        async with refusing(context, self._metrics):
            return await self._run(self._all, lambda: Query(namespace=request.namespace, pod=request.podName))

    async def ReferencesAt(
        self,
        request: legacy.TimeFrame,
        context: Context,
    ) -> legacy.DataSignatures:
        """Every reference of a time frame; an end that is not set does not restrict."""
        async with refusing(context, self._metrics):
            since = getattr(request, "from") if request.HasField("from") else None
            until = request.to if request.HasField("to") else None
            return await self._run(self._all, lambda: Query(since_ns=_ns(since), until_ns=_ns(until)))

    async def ReferencesForMeta(
        self,
        request: legacy.KeyValuePair,
        context: Context,
    ) -> legacy.DataSignatures:
        """Every reference that carries one metadata pair."""
        async with refusing(context, self._metrics):
            return await self._run(self._all, lambda: Query(metadata=Metadata({request.key: request.pair})))

    async def _run(self, function: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)

    def _all(self, fill: Callable[[], Query]) -> legacy.DataSignatures:
        query: Query | None = replace(fill(), limit=MAX_PAGE)
        reply = legacy.DataSignatures()
        while query is not None:
            page = self._store.references(query)
            reply.signatures.extend(_said(reference) for reference in page.items)
            self._check_size(reply)
            query = replace(query, cursor=page.next_cursor) if page.next_cursor else None
        return reply

    def _keys(self) -> legacy.KeysReply:
        query: Query | None = Query(limit=MAX_PAGE)
        reply = legacy.KeysReply()
        while query is not None:
            page = self._store.files(query)
            reply.keys.extend(summary.signature.path.encode() + b"." + summary.signature.md5 for summary in page.items)
            self._check_size(reply)
            query = replace(query, cursor=page.next_cursor) if page.next_cursor else None
        return reply

    def _check_size(self, reply: legacy.DataSignatures | legacy.KeysReply) -> None:
        if reply.ByteSize() > self._config.max_message_bytes:
            problem = f"the reply has more than {self._config.max_message_bytes} bytes"
            raise InvalidValue("reply", problem, "ask for less, or use kharvest.v2.Query, which has pages")


def _said(reference: Reference) -> legacy.DataSignature:
    seconds, nanoseconds = divmod(reference.observed_at_ns, 10**9)
    return legacy.DataSignature(
        filename=reference.signature.path,
        timestamp=Timestamp(seconds=seconds, nanos=nanoseconds),
        md5=reference.signature.md5,
        namespace=reference.pod.namespace,
        podName=reference.pod.name,
        metadata=dict(reference.metadata),
    )


def _ns(timestamp: Timestamp | None) -> int | None:
    return None if timestamp is None else timestamp.seconds * 10**9 + timestamp.nanos
