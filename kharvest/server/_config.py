"""What an operator can set of a server. Every bound on its memory is here."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from kharvest.spi import InvalidValue


def _setting(default: float, meaning: str) -> Any:
    return field(default=default, metadata={"help": meaning})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """A server's settings. The defaults suit a fleet of a few thousand pods.

    Attributes:
        store: the URL of the store, or of its reference half when `contents` is given.
        contents: the URL of the store for contents, where that is another one.
        listen: HOST:PORT; port 0 takes a free one. All protocols are answered here.
        listen_original: HOST:PORT where the original protocol is answered as well, in larger messages: it sends a
            content as one. The other port's messages then have MAX_MESSAGE_BYTES at the most.
        metrics: HOST:PORT of the Prometheus page; None serves none.

    What the others mean stands beside each; `kharvest server --help` prints it.
    """

    store: str
    contents: str | None = None
    listen: str = "127.0.0.1:50051"
    listen_original: str | None = None
    metrics: str | None = None

    max_files: int = _setting(1000, "files in one Announce")
    max_content_bytes: int = _setting(2**40, "size of one content")
    max_memory_bytes: int = _setting(
        512 * 1024 * 1024, "memory that all callers together can make the server hold, not counting caches and threads"
    )
    max_message_bytes: int = _setting(
        32 * 1024 * 1024,
        "size of one message on --listen, unless there is --listen-original: then 4 MiB; the original protocol sends a "
        "content as one message, held in memory, so this bounds what its clients can store",
    )
    max_original_bytes: int = _setting(128 * 1024 * 1024, "the same on --listen-original")
    max_calls: int = _setting(10_000, "announcing calls under way at once; more are refused with RESOURCE_EXHAUSTED")
    max_streams: int = _setting(1000, "uploads, and as many queries, under way or waiting at once")
    max_uploads: int = _setting(16, "contents written to the store at once; each takes a thread and about 4 MiB")
    max_puts: int = _setting(32, "small contents written to the store at once, from all batches; each takes a thread")
    max_held: int = _setting(5000, "announcements held while other pods upload; more are answered PENDING at once")
    max_queued_references: int = _setting(
        50_000, "references that wait for their commit; callers with as many again wait for room, then are refused"
    )
    max_commit_references: int = _setting(5000, "references in one commit")
    max_known_bytes: int = _setting(
        24 * 1024 * 1024, "memory for signatures that are known; one takes about 400 bytes and its path"
    )

    ask_seconds: float = _setting(10.0, "how long a pod that was asked for a content may take to begin its upload")
    # Peers of an original client give up after 40 s (20 tries of 1 s, 1 s apart): one that died is replaced before.
    legacy_ask_seconds: float = _setting(
        30.0,
        "the same for a client of the original protocol, whose upload is one message, not seen before it has arrived",
    )
    message_seconds: float = _setting(10.0, "how long a message may take to arrive, and an upload's header")
    stall_seconds: float = _setting(10.0, "how long an upload may go without a chunk")
    min_upload_rate: int = _setting(
        64 * 1024, "bytes a second that an upload must reach, stall-seconds aside, while the server waits for it"
    )
    patience_seconds: float = _setting(
        30.0, "after how long, and a second for each MiB, another pod is asked for a content that nobody has delivered"
    )
    read_seconds: float = _setting(30.0, "how long a reader of a content may go without taking a part of it")
    hold_seconds: float = _setting(20.0, "how long an announcement is held at most while other pods upload")
    lease_seconds: float = _setting(15.0, "how long a claim in the store lasts when the server that made it is gone")
    poll_seconds: float = _setting(0.5, "how often to look for a content that another server has claimed")
    busy_seconds: float = _setting(15.0, "how long a caller waits for room in queue or memory before it is refused")
    start_seconds: float = _setting(300.0, "how long to wait at start for a store that is away")
    grace_seconds: float = _setting(10.0, "how long running calls may take to finish after SIGTERM")

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            if isinstance(value, (int, float)) and value <= 0:
                raise InvalidValue(setting.name.replace("_", "-"), f"{value} is not positive", "give a number above 0")
        for name in ("max_message_bytes", "max_original_bytes"):
            if getattr(self, name) >= 2**31:
                problem = "gRPC's messages hold less than 2 GiB"
                raise InvalidValue(name.replace("_", "-"), problem, "give a smaller number")
        if self.max_memory_bytes < MIN_MEMORY_BYTES:
            problem = f"{self.max_memory_bytes} is less than {MIN_MEMORY_BYTES}"
            raise InvalidValue("max-memory-bytes", problem, "give at least that: a few messages must fit")
        name, most = (
            ("max-message-bytes", self.message_bytes)
            if self.listen_original is None
            else ("max-original-bytes", self.max_original_bytes)
        )
        if most > self.max_memory_bytes // 4:
            problem = f"{most} is more than a quarter of max-memory-bytes, {self.max_memory_bytes}"
            raise InvalidValue(name, problem, "lower it, or raise max-memory-bytes")

    @property
    def message_bytes(self) -> int:
        """The largest message on `listen`."""
        return MAX_MESSAGE_BYTES if self.listen_original is not None else self.max_message_bytes


MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""The largest message of v2: gRPC's own default."""
MIN_MEMORY_BYTES = 64 * 1024 * 1024
MAX_UPLOAD_BATCH_BYTES = 1024 * 1024
"""Contents in one UploadBatch: enough that the call's own costs vanish, and soon sent over a slow link."""
CLIENT_UPLOADS = 8
"""Uploads that one client should have under way at once: small ones share the store's commits."""
PAGE = 1000
"""Items on a page for which the caller named no limit."""
