"""The path of uploads: all protocols' contents are checked, stored, recorded and answered here."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import Enum

from kharvest.server._announcement import Announced, Announcement, FileStatus
from kharvest.server._budget import Budget
from kharvest.server._config import ServerConfig
from kharvest.server._elections import Elections
from kharvest.server._errors import FileChanged, GaveWay, NotAsked, Overloaded, Stalled
from kharvest.server._metrics import Metrics
from kharvest.server._missing import PATIENCE_RATE, Election
from kharvest.server._record_queue import RecordQueue
from kharvest.server._seats import Seats
from kharvest.server._upload_streams import Superseded, UploadStream
from kharvest.spi import MAX_CHUNK_BYTES, Content, ContentMismatch, KharvestError, Store, StoreError

SEAT_PATIENCE_SECONDS = 5.0
"""How long an upload waits for a slow one to leave."""

Body = bytes | memoryview | AsyncIterator[bytes] | None
"""What a pod sends of a file: its bytes, or chunks of them as they arrive; None where it has them no longer."""


class Arrival(Enum):
    """How a content came to be in the store; the pod's reference to it is durable too."""

    STORED = "stored"
    ALREADY_STORED = "already_stored"


@dataclass(slots=True, eq=False)
class _Upload:
    """One content on its way into the store.

    Attributes:
        whole: its bytes, once all are here.
        chunks: where they come from, if they arrive in chunks.
        is_begun: the upload was asked for, or need not be.
        is_superseded: the content arrived from elsewhere meanwhile.
        is_pods_fault: the pod did not deliver what it was asked for.
        failure: why the content is not stored; set by whoever finds out.
    """

    file: Announced
    whole: bytes | memoryview | None = None
    chunks: AsyncIterator[bytes] | None = None
    election: Election | None = None
    is_begun: bool = False
    is_superseded: bool = False
    is_pods_fault: bool = False
    failure: KharvestError | None = None

    @property
    def may_be_there(self) -> bool:
        """Whether the content was put, or came from elsewhere before this upload did."""
        return self.failure is None or isinstance(self.failure, NotAsked)


class Uploads:
    """Takes uploads of all protocols. Used on one event loop; writes to the store on worker threads.

    Args:
        streams: threads for contents that are stored while they arrive, one for each of `max_uploads`.
        puts: threads for contents that are here whole.
        memory: what small contents may take while they arrive in chunks.
    """

    def __init__(
        self,
        store: Store,
        streams: Executor,
        puts: Executor,
        queue: RecordQueue,
        elections: Elections,
        memory: Budget,
        metrics: Metrics,
        config: ServerConfig,
    ) -> None:
        self._store = store
        self._streams = streams
        self._puts = puts
        self._queue = queue
        self._elections = elections
        self._memory = memory
        self._metrics = metrics
        self._config = config
        self._seats = Seats(config.max_uploads, SEAT_PATIENCE_SECONDS, slow=PATIENCE_RATE)

    async def receive(
        self, announcement: Announcement, bodies: Sequence[Body], *, must_be_asked: bool = True
    ) -> list[Arrival | KharvestError]:
        """Store the contents of the announcement's files, record its references, and return the answer for each.

        Both are durable then. An error is why that content is refused; nothing of it is visible, and another pod is
        asked. The contents of files without one in the announcement are named by their MD5, which is checked.

        Args:
            announcement: what the pod has, with the files that it sends.
            bodies: the files' bytes.
            must_be_asked: refuse what the pod was not asked for.

        Raises:
            ShuttingDown, StoreError: no reference was recorded.
        """
        uploads = [_upload(file, body) for file, body in zip(announcement.files, bodies, strict=True)]
        is_recorded = False
        try:
            for upload in uploads:
                self._begin(announcement, upload, must_be_asked=must_be_asked)
            with ExitStack() as charges:
                for upload in uploads:
                    if upload.chunks is not None and upload.failure is None:
                        await self._receive_chunks(announcement.peer, upload, upload.chunks, charges)
                await self._put([one for one in uploads if one.whole is not None and one.failure is None])
            await self._record(announcement, [one for one in uploads if one.may_be_there])
            is_recorded = True
        except asyncio.CancelledError:  # the pod is gone
            self._elections.give_up(announcement.pod)
            raise
        finally:
            for upload in uploads:
                self._end(upload, is_recorded=is_recorded)
        return [upload.failure or _arrival(upload) for upload in uploads]

    def _begin(self, announcement: Announcement, upload: _Upload, *, must_be_asked: bool) -> None:
        signature = upload.file.signature
        try:
            upload.election = self._elections.begin(announcement.pod, signature)
        except NotAsked as error:
            if must_be_asked:
                upload.failure = error
                return
        upload.is_begun = True
        if upload.whole is not None:
            self._metrics.received(len(upload.whole))
        elif upload.chunks is None:
            upload.failure = FileChanged(signature.path)

    async def _receive_chunks(
        self, peer: str, upload: _Upload, chunks: AsyncIterator[bytes], charges: ExitStack
    ) -> None:
        """Receive all of a small content, and put a large one: threads that wait cost more than a few bytes."""
        content = upload.file.content
        if content is None or upload.election is None:
            raise AssertionError("what comes in chunks was announced, and asked for")
        stream = UploadStream(chunks, upload.election, self._elections, self._config)
        try:
            if content.size > MAX_CHUNK_BYTES:
                await self._put_stream(peer, content, stream)
            else:
                charges.enter_context(await self._memory.charge(content.size, self._config.busy_seconds))
                upload.whole = b"".join(await stream.gather(content.size))
        except Superseded:
            upload.is_superseded = True
        except (Overloaded, GaveWay) as error:
            upload.failure = error
        except StoreError as error:
            upload.failure = error
            upload.is_pods_fault = isinstance(error, ContentMismatch)
        except KharvestError as error:
            upload.failure = error
            upload.is_pods_fault = True
        except BaseException:
            upload.is_pods_fault = True
            raise
        finally:
            stream.abandon()  # a client that is gone ends the thread with its next chunk
            self._metrics.received(stream.received)

    async def _put_stream(self, peer: str, content: Content, stream: UploadStream) -> None:
        """Store a content while it arrives. One that is slow gives its place to others that wait."""
        async with self._seats.seat(peer, stream.pace) as seat:
            stream.seat = seat
            self._metrics.uploading(1)
            putting = asyncio.get_running_loop().run_in_executor(self._streams, self._store.put, content, stream)
            putting.add_done_callback(_look_at)
            try:
                await asyncio.wait([putting])
            except asyncio.CancelledError:
                stream.abandon()
                await asyncio.wait([putting])  # the seat stands for the thread
                raise
            finally:
                self._metrics.uploading(-1)
            await putting

    async def _put(self, uploads: list[_Upload]) -> None:
        """Put contents on several threads: stores make one commit of what is put at the same time."""
        loop = asyncio.get_running_loop()
        left = deque(uploads)
        threads = min(len(uploads), self._config.max_puts)
        try:
            await asyncio.gather(*(loop.run_in_executor(self._puts, self._put_each, left) for _ in range(threads)))
        finally:
            left.clear()  # when the pod is gone, what was not begun is left

    def _put_each(self, left: deque[_Upload]) -> None:
        while True:
            try:
                upload = left.popleft()
            except IndexError:
                return
            try:
                whole = upload.whole or b""
                content = upload.file.content or _content_of(upload.file, whole)
                self._store.put(content, _pieces(whole))
            except KharvestError as error:
                upload.failure = error
                upload.is_pods_fault = isinstance(error, ContentMismatch)
            else:
                upload.file = replace(upload.file, content=content)

    async def _record(self, announcement: Announcement, uploads: list[_Upload]) -> None:
        """Record the references to all that is there now, and note what is not."""
        answers = await self._queue.record(replace(announcement, files=tuple(upload.file for upload in uploads)))
        for upload, answer in zip(uploads, answers, strict=True):
            if isinstance(answer, KharvestError):
                upload.failure = answer
            elif answer is FileStatus.ACKNOWLEDGED:
                upload.failure = None
            else:  # the upload was given up as stalled, or the content removed again
                upload.failure = NotAsked(upload.file.signature.path)

    def _end(self, upload: _Upload, *, is_recorded: bool) -> None:
        if not upload.is_begun:
            return
        is_stored = is_recorded and upload.failure is None
        if upload.election is None:
            if is_stored:
                self._elections.arrived(upload.file.signature.md5)
        elif is_stored:
            self._elections.delivered(upload.election)
        elif upload.is_pods_fault:
            self._elections.failed(upload.election)
        else:
            self._elections.end(upload.election)
        if isinstance(upload.failure, Stalled) and upload.election is not None:
            self._elections.give_up(upload.election.pod)
        self._metrics.uploaded(_arrival(upload).value if is_stored else "failed")


def _upload(file: Announced, body: Body) -> _Upload:
    if body is None or isinstance(body, (bytes, memoryview)):
        return _Upload(file, whole=body)
    return _Upload(file, chunks=body)


def _look_at(putting: asyncio.Future[None]) -> None:
    """See its error, if any: when the client is gone nobody awaits it, and asyncio would complain."""
    if not putting.cancelled():
        putting.exception()


def _content_of(file: Announced, whole: bytes | memoryview) -> Content:
    """The content, which its pod named by its MD5 only."""
    md5 = hashlib.md5(whole, usedforsecurity=False).digest()
    content = Content(hashlib.sha256(whole).digest(), md5, len(whole))
    if md5 != file.signature.md5:
        raise ContentMismatch(replace(content, md5=file.signature.md5), "md5", md5.hex())
    return content


def _pieces(whole: bytes | memoryview) -> Iterable[bytes]:
    """The bytes as chunks. What is part of a message is copied, one chunk at a time."""
    if isinstance(whole, bytes):
        return (whole,) if whole else ()
    return (bytes(whole[start : start + MAX_CHUNK_BYTES]) for start in range(0, len(whole), MAX_CHUNK_BYTES))


def _arrival(upload: _Upload) -> Arrival:
    return Arrival.ALREADY_STORED if upload.is_superseded or not upload.is_begun else Arrival.STORED
