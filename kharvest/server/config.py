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
        listen: HOST:PORT; port 0 takes a free one.
        metrics: HOST:PORT of the Prometheus page; None serves none.

    What the others mean stands beside each; `kharvest server --help` prints it.
    """

    store: str
    contents: str | None = None
    listen: str = "127.0.0.1:50051"
    metrics: str | None = None

    max_files: int = _setting(1000, "files in one Announce")
    max_content_bytes: int = _setting(2**40, "size of one content")
    max_message_bytes: int = _setting(
        128 * 1024 * 1024,
        "size of one gRPC message; the original protocol sends a content as one message, held in memory, so this "
        "bounds what its clients can store",
    )
    max_calls: int = _setting(10_000, "calls under way at once; more are refused with RESOURCE_EXHAUSTED")
    max_uploads: int = _setting(16, "contents written to the store at once; each takes a thread and about 4 MiB")
    max_puts: int = _setting(32, "small contents written to the store at once, from all batches; each takes a thread")
    max_waiting_bytes: int = _setting(
        64 * 1024 * 1024, "bytes of small contents that wait for the store; more are refused with RESOURCE_EXHAUSTED"
    )
    max_held: int = _setting(5000, "announcements held while other pods upload; more are answered PENDING at once")
    max_queued_references: int = _setting(
        50_000, "references that wait for their commit; callers with as many again wait for room, then are refused"
    )
    max_commit_references: int = _setting(5000, "references in one commit")
    max_known: int = _setting(50_000, "signatures remembered as known, about 400 bytes each")

    ask_seconds: float = _setting(10.0, "how long a pod that was asked for a content may take to begin its upload")
    # Peers of an original client give up after 40 s (20 tries of 1 s, 1 s apart): one that died is replaced before.
    legacy_ask_seconds: float = _setting(
        30.0, "the same for a client of the original protocol, whose upload is one message that nobody sees coming"
    )
    stall_seconds: float = _setting(10.0, "how long an upload may go without a chunk")
    hold_seconds: float = _setting(20.0, "how long an announcement is held at most while other pods upload")
    lease_seconds: float = _setting(15.0, "how long a claim in the store lasts when the server that made it is gone")
    poll_seconds: float = _setting(0.5, "how often to look for a content that another server has claimed")
    busy_seconds: float = _setting(15.0, "how long a caller waits for room in the queue before it is refused")
    grace_seconds: float = _setting(10.0, "how long running calls may take to finish after SIGTERM")

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            if isinstance(value, (int, float)) and value <= 0:
                raise InvalidValue(setting.name.replace("_", "-"), f"{value} is not positive", "give a number above 0")
        if self.max_message_bytes >= 2**31:
            raise InvalidValue("max-message-bytes", "gRPC's messages hold less than 2 GiB", "give a smaller number")


MAX_CHUNK_BYTES = 1024 * 1024
"""The largest chunk of an upload or download: a chunk's own costs vanish, and several may be held."""
MAX_BATCH_BYTES = 1024 * 1024
"""Contents in one UploadBatch: enough that the call's own costs vanish, and soon sent over a slow link."""
CLIENT_UPLOADS = 8
"""Uploads that one client should have under way at once: small ones share the store's commits."""
PAGE = 1000
"""Items on a page for which the caller named no limit."""
