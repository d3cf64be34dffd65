"""The original protocol: its harvest service and its user API, answered from the same store.

Its clients send one file a call, contents whole in one message, no metadata and no time. They give Notify 1 s and try
it 20 times; Store has no deadline and is not tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from google.protobuf.empty_pb2 import Empty

from kharvest.server._admission import Decoder, undelivered
from kharvest.server._announcement import Announcement, FileAnswer, FileStatus
from kharvest.server._announcing import AnnounceHandler
from kharvest.server._clock import Clock
from kharvest.server._config import ServerConfig
from kharvest.server._errors import Overloaded
from kharvest.server._fields import check_fields, delimited, shape_of
from kharvest.server._paging import bounded, weight_of_reference, weight_of_summary
from kharvest.server._refusing import Context
from kharvest.server._requests import original_file, time_bounds
from kharvest.server._times import timestamp
from kharvest.server._uploads import Uploads
from kharvest.spi import (
    MAX_METADATA_PAIRS,
    MAX_PAGE,
    FileSummary,
    InvalidValue,
    KharvestError,
    Metadata,
    Page,
    Pod,
    Query,
    Reference,
    Signature,
    Store,
    follow,
)
from kharvest.wire import legacy_pb2 as legacy
from kharvest.wire.legacy_pb2_grpc import KharvestServicer, KharvestUserAPIServicer

Item = TypeVar("Item")
Result = TypeVar("Result")
Said = TypeVar("Said")


_FRAME_BYTES = 6
"""What an item of a reply takes besides its own bytes."""
_STORE_FIELDS = 16
"""Fields in one Store: it has two."""
_SIGNATURE = shape_of(legacy.DataSignature.DESCRIPTOR)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A `Data` of the original protocol. Its bytes, which may be most of what memory has, are not copied."""

    signature: legacy.DataSignature
    data: memoryview

    @classmethod
    def decode(cls, raw: bytes) -> StoredFile:
        """What these bytes stand for.

        Raises:
            InvalidValue: they are not a `Data`.
        """
        signature, data = legacy.DataSignature(), memoryview(b"")
        for number, value in delimited(raw, _STORE_FIELDS):
            if number == legacy.Data.SIGNATURE_FIELD_NUMBER:
                check_fields(bytes(value), _SIGNATURE, 4 * MAX_METADATA_PAIRS)
                signature.MergeFromString(bytes(value))
            elif number == legacy.Data.DATA_FIELD_NUMBER:
                data = value
        return cls(signature, data)


STORE = Decoder(StoredFile.decode, shape=None, factor=1, most_bytes=None)
"""How the message of `Store` is decoded."""
STORE_METHOD = "/kharvest.Kharvest/Store"


class LegacyHarvestService(KharvestServicer):
    """`kharvest.Kharvest`."""

    def __init__(self, announcing: AnnounceHandler, uploads: Uploads, clock: Clock, config: ServerConfig) -> None:
        self._announcing = announcing
        self._uploads = uploads
        self._clock = clock
        self._config = config

    async def Notify(
        self,
        request: legacy.DataSignature,
        context: Context,
    ) -> legacy.NotifyReply:
        """ACK when reference and content are durable; held while another pod uploads, until the caller gives up."""
        (answer,) = await self._announce(self._announcement(request, context), self._config.hold_seconds, context)
        if isinstance(answer, KharvestError):
            raise answer
        if answer is FileStatus.PENDING:  # its protocol has no word for it, but its clients try again on any error
            raise Overloaded(f"another pod is uploading {request.filename}", 1.0)
        action = legacy.NotifyReply.STORE_REQUESTED if answer is FileStatus.UPLOAD else legacy.NotifyReply.ACK
        return legacy.NotifyReply(action=action)

    async def Store(self, request: StoredFile, context: Context) -> legacy.StoreReply:  # type: ignore[override]
        """Stores the content and records the reference, asked for or not: the server may have restarted meanwhile."""
        announcement = self._announcement(request.signature, context)
        if announcement.files[0].signature.is_removal:
            if request.data:
                raise InvalidValue("md5", "16 zero bytes stand for a removal, which has no data", "send the MD5")
            await self._announce(announcement, 0, context)
        else:
            (answer,) = await self._uploads.receive(announcement, [request.data], must_be_asked=False)
            if isinstance(answer, KharvestError):
                raise answer
        return legacy.StoreReply()

    async def _announce(self, announcement: Announcement, hold_seconds: float, context: Context) -> list[FileAnswer]:
        ask_seconds = self._config.legacy_ask_seconds
        return await self._announcing.announce(announcement, hold_seconds, ask_seconds, partial(undelivered, context))

    def _announcement(self, said: legacy.DataSignature, context: Context) -> Announcement:
        return Announcement(
            Pod(said.namespace, said.podName),
            Metadata(said.metadata),
            (original_file(said),),
            self._clock.now_ns(),
            context.peer(),
        )


class LegacyUserService(KharvestUserAPIServicer):
    """`kharvest.KharvestUserAPI`. Its replies are not paged: one that has more than `max_bytes` is refused."""

    def __init__(self, store: Store, executor: Executor, max_bytes: int) -> None:
        self._store = store
        self._executor = executor
        self._max_bytes = max_bytes

    async def Keys(self, request: Empty, context: Context) -> legacy.KeysReply:
        """The key of every file version."""
        return await self._run(self._keys)

    async def SameReferences(
        self,
        request: legacy.DataSignature,
        context: Context,
    ) -> legacy.DataSignatures:
        """Every reference to one signature."""
        signature = Signature(request.filename, request.md5)
        return await self._run(self._all, lambda: Query(path=signature.path, md5=signature.md5))

    async def PodReferences(
        self,
        request: legacy.PodIdentifier,
        context: Context,
    ) -> legacy.DataSignatures:
        """Every reference of one pod."""
        return await self._run(self._all, lambda: Query(namespace=request.namespace, pod=request.podName))

    async def ReferencesAt(
        self,
        request: legacy.TimeFrame,
        context: Context,
    ) -> legacy.DataSignatures:
        """Every reference of a time frame; an end that is not set does not restrict."""
        since_ns, until_ns = time_bounds(request, "from", "to")
        return await self._run(self._all, lambda: Query(since_ns=since_ns, until_ns=until_ns))

    async def ReferencesForMeta(
        self,
        request: legacy.KeyValuePair,
        context: Context,
    ) -> legacy.DataSignatures:
        """Every reference that carries one metadata pair."""
        return await self._run(self._all, lambda: Query(metadata=Metadata({request.key: request.pair})))

    async def _run(self, function: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)

    def _all(self, fill: Callable[[], Query]) -> legacy.DataSignatures:
        reply = legacy.DataSignatures()
        ask = bounded(self._store.references, weight_of_reference)
        reply.signatures.extend(self._bounded(ask, fill(), _said, legacy.DataSignature.ByteSize))
        return reply

    def _keys(self) -> legacy.KeysReply:
        reply = legacy.KeysReply()
        ask = bounded(self._store.files, weight_of_summary)
        reply.keys.extend(self._bounded(ask, Query(), _key, len))
        return reply

    def _bounded(
        self,
        ask: Callable[[Query], Page[Item]],
        query: Query,
        say: Callable[[Item], Said],
        size_of: Callable[[Said], int],
    ) -> Iterator[Said]:
        """What is said of all items that a question has; refused as soon as it is too much."""
        size = 0
        for page in follow(lambda cursor, most: ask(replace(query, cursor=cursor, limit=most)), lambda: MAX_PAGE):
            for item in page.items:
                said = say(item)
                size += size_of(said) + _FRAME_BYTES
                if size > self._max_bytes:
                    problem = f"the reply has more than {self._max_bytes} bytes"
                    raise InvalidValue("reply", problem, "ask for less, or use kharvest.v2.Query, which has pages")
                yield said


def _key(summary: FileSummary) -> bytes:
    return summary.signature.path.encode() + b"." + summary.signature.md5


def _said(reference: Reference) -> legacy.DataSignature:
    return legacy.DataSignature(
        filename=reference.signature.path,
        timestamp=timestamp(reference.observed_at_ns),
        md5=reference.signature.md5,
        namespace=reference.pod.namespace,
        podName=reference.pod.name,
        metadata=dict(reference.metadata),
    )
