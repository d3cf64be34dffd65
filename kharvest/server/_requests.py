"""Requests of both protocols as the server's values. The limits of their fields are checked here, and nowhere else.

What a value must be at all (the lengths of strings and digests, say) is checked by the value types of `kharvest.spi`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from kharvest.globs import Glob, InvalidGlob
from kharvest.server._announcement import Announced, Announcement
from kharvest.server._config import MAX_UPLOAD_BATCH_BYTES, PAGE, ServerConfig
from kharvest.server._errors import ContentTooLarge, TooManyFiles
from kharvest.spi import MAX_CHUNK_BYTES, Content, InvalidValue, KharvestError, Metadata, Pod, Query, Signature
from kharvest.wire import legacy_pb2 as legacy
from kharvest.wire import v2_pb2 as v2

Answer = TypeVar("Answer")
MOST_SHOWN = 200
"""Characters of a path in a message."""
SHA256_BYTES = 32
_SECOND_NS = 10**9


@dataclass(frozen=True, slots=True)
class Sent:
    """What a client of v2 sent in one call.

    Attributes:
        files: what it has; an error is why that file is refused.
        bodies: the bytes of the files that are not refused, where it sent contents.
    """

    pod: Pod
    metadata: Metadata
    files: Sequence[Announced | KharvestError]
    bodies: Sequence[bytes | None] = ()

    def announcement(self, observed_at_ns: int, peer: str) -> Announcement:
        """What the pod has, without the files that are refused."""
        good = tuple(file for file in self.files if isinstance(file, Announced))
        return Announcement(self.pod, self.metadata, good, observed_at_ns, peer)

    def together(self, answers: Sequence[Answer | KharvestError]) -> list[Answer | KharvestError]:
        """The answers to all files, of which those that are not refused here have one there."""
        others = iter(answers)
        return [file if isinstance(file, KharvestError) else next(others) for file in self.files]


def announced(request: v2.AnnounceRequest, config: ServerConfig) -> Sent:
    """What a pod announces.

    Raises:
        TooManyFiles: the files are too many.
        InvalidValue: it is no pod, or it has no such metadata.
    """
    _require_few(len(request.files), config)
    files = _each(request.files, config, with_content=False)
    return Sent(_pod(request.pod), Metadata(request.metadata), files)


def uploaded_batch(request: v2.UploadBatchRequest, config: ServerConfig) -> Sent:
    """What a pod uploads in one call.

    Raises:
        TooManyFiles: the files are too many.
        InvalidValue: they have too many bytes; it is no pod, or it has no such metadata.
    """
    _require_few(len(request.contents), config)
    size = sum(len(one.content) for one in request.contents)
    if size > MAX_UPLOAD_BATCH_BYTES:
        problem = f"{size} bytes in one call, at most {MAX_UPLOAD_BATCH_BYTES} are allowed"
        raise InvalidValue("contents", problem, "split the batch, or use Upload (see GetLimits)")
    files = _each([one.file for one in request.contents], config, with_content=True)
    bodies = [
        one.content if one.HasField("content") else None
        for one, file in zip(request.contents, files, strict=True)
        if isinstance(file, Announced)
    ]
    return Sent(_pod(request.pod), Metadata(request.metadata), files, bodies)


def uploaded(first: v2.UploadRequest | None, config: ServerConfig) -> Sent:
    """What a pod uploads in a stream, whose first message this is.

    Raises:
        InvalidValue: it is no header, or what it has is refused.
        ContentTooLarge: the content is refused.
    """
    if first is None or first.WhichOneof("part") != "header":
        raise InvalidValue("upload", "it does not begin with a header", "send the header first")
    header = first.header
    pod, metadata = _pod(header.pod), Metadata(header.metadata)
    return Sent(pod, metadata, [_announced(header.file, config, with_content=True)])


async def chunks(requests: AsyncIterator[v2.UploadRequest]) -> AsyncIterator[bytes]:
    """The chunks of an upload, behind its header.

    Raises:
        InvalidValue: one is too large, or there is something else.
    """
    async for request in requests:
        if request.WhichOneof("part") != "chunk":
            raise InvalidValue("upload", "something else than a chunk follows the header", "send chunks only")
        if len(request.chunk) > MAX_CHUNK_BYTES:
            problem = f"{len(request.chunk)} bytes, at most {MAX_CHUNK_BYTES} are allowed"
            raise InvalidValue("chunk", problem, "send smaller chunks (see GetLimits)")
        yield request.chunk


def original_file(signature: legacy.DataSignature) -> Announced:
    """The file of a message of the original protocol, which names contents by their MD5 only.

    Raises:
        InvalidValue: it is refused.
    """
    return Announced(Signature(signature.filename, signature.md5), None)


def filter_query(wanted: v2.Filter, limit: int, cursor: str) -> tuple[Query, Glob | None]:
    """A question to the store, and the glob that the answers' paths must match.

    Raises:
        InvalidValue: a filter is out of range, or two contradict each other.
    """
    glob = _glob(wanted.path_glob) if wanted.HasField("path_glob") else None
    if glob is not None and wanted.HasField("path"):
        raise InvalidValue("path glob", "a path is given too", "give one of them")
    since_ns, until_ns = time_bounds(wanted, "since", "until")
    query = Query(
        path=wanted.path if wanted.HasField("path") else None,
        path_prefix=glob.literal_prefix if glob is not None else None,
        md5=wanted.md5 if wanted.HasField("md5") else None,
        namespace=wanted.namespace if wanted.HasField("namespace") else None,
        pod=wanted.pod if wanted.HasField("pod") else None,
        uid=wanted.uid if wanted.HasField("uid") else None,
        metadata=Metadata(wanted.metadata),
        since_ns=since_ns,
        until_ns=until_ns,
        latest=wanted.latest,
        limit=limit or PAGE,
        cursor=cursor or None,
    )
    return query, glob


def time_bounds(message: v2.Filter | legacy.TimeFrame, since: str, until: str) -> tuple[int | None, int | None]:
    """The first time and the time after the last one, from two fields; one that is not set does not restrict.

    Raises:
        InvalidValue: a timestamp is out of range.
    """

    def bound(field: str) -> int | None:
        return _nanoseconds(field, getattr(message, field)) if message.HasField(field) else None  # type: ignore[arg-type]  # its stub wants a literal

    return bound(since), bound(until)


def require_digest(sha256: bytes) -> None:
    """Require a SHA-256.

    Raises:
        InvalidValue: it has another length.
    """
    if len(sha256) != SHA256_BYTES:
        raise InvalidValue("sha256", f"{len(sha256)} bytes", "send the 32 raw bytes of the digest")


def require_offset(offset: int, content: Content) -> None:
    """Require an offset within a content.

    Raises:
        InvalidValue: it is past the end.
    """
    if offset > content.size:
        raise InvalidValue("offset", f"{offset} is past the end of {content.size} bytes", "ask for less")


def _pod(pod: v2.Pod) -> Pod:
    if not pod.name:
        raise InvalidValue("pod", "its name is empty", "send the pod's name and namespace")
    if not pod.namespace:
        raise InvalidValue("namespace", "it is empty", "send the pod's name and namespace")
    return Pod(pod.namespace, pod.name, pod.uid)


def _require_few(files: int, config: ServerConfig) -> None:
    if files > config.max_files:
        raise TooManyFiles(files, config.max_files)


def _each(files: Sequence[v2.File], config: ServerConfig, *, with_content: bool) -> list[Announced | KharvestError]:
    seen = set()
    judged: list[Announced | KharvestError] = []
    for file in files:
        try:
            good = _announced(file, config, with_content=with_content)
        except (InvalidValue, ContentTooLarge) as error:
            judged.append(error)
            continue
        path = good.signature.path
        if path in seen:  # a pod has one version of a path at a time, so a second one in the same call says nothing
            judged.append(InvalidValue("path", f"{path!r} is twice in this call", "send each path once"))
        else:
            seen.add(path)
            judged.append(good)
    return judged


def _announced(file: v2.File, config: ServerConfig, *, with_content: bool) -> Announced:
    _require_normal(file.path)
    signature = Signature(file.path, file.md5)
    if signature.is_removal:
        if file.sha256 or file.size:
            problem = "16 zero bytes stand for a removal, and there is a SHA-256 or a size"
            raise InvalidValue("md5", problem, "leave both out, or send the MD5 of the content")
        if with_content:
            raise InvalidValue("md5", "a removal has no content", "announce it; there is nothing to upload")
        return Announced(signature, None)
    content = Content(file.sha256, file.md5, file.size)
    if content.size > config.max_content_bytes:
        raise ContentTooLarge(file.path, content.size, config.max_content_bytes)
    return Announced(signature, content)


def _require_normal(path: str) -> None:
    """A file has one path: another spelling of it would be another history."""
    if "//" in path or "/./" in path or "/../" in path or path.endswith(("/", "/.", "/..")):
        problem = f"{path[:MOST_SHOWN]!r} is not normal"
        raise InvalidValue("path", problem, "send it without `//`, `/./`, `/../`, and without a slash at its end")


def _glob(pattern: str) -> Glob:
    try:
        return Glob(pattern)
    except InvalidGlob as error:
        raise InvalidValue("path glob", error.problem, error.remedy) from error


def _nanoseconds(field: str, timestamp: Timestamp) -> int:
    if not 0 <= timestamp.nanos < _SECOND_NS:
        raise InvalidValue(field, f"{timestamp.nanos} nanoseconds is out of range", "send 0 to 999999999")
    return timestamp.seconds * _SECOND_NS + timestamp.nanos
