"""What the server counts, for Prometheus. No label grows with pods or files."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from kharvest.server._announcement import Announced, FileAnswer, FileStatus
from kharvest.spi import KharvestError


class Metrics:
    """The counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._acknowledged = Counter(
            "kharvest_acknowledged_files", "Announced files that were acknowledged", registry=self.registry
        )
        self._refused = Counter(
            "kharvest_refusals", "Files and calls that were refused, by reason", ["reason"], registry=self.registry
        )
        self._uploads = Counter("kharvest_uploads", "Uploads, by how they ended", ["result"], registry=self.registry)
        self._moved = Counter(
            "kharvest_uploaded_bytes", "Bytes of content that clients uploaded", registry=self.registry
        )
        self._not_moved = Counter(
            "kharvest_spared_bytes",
            "Bytes of content that announced files have and that nobody had to upload for them",
            registry=self.registry,
        )
        self._held = Gauge(
            "kharvest_held_announcements", "Announcements that wait for another pod's upload", registry=self.registry
        )
        self._shared_identities = Counter(
            "kharvest_shared_identities", "Pods that two clients were found to announce as", registry=self.registry
        )
        self._readers = Gauge("kharvest_content_readers", "Contents that are being sent", registry=self.registry)
        self._uploading = Gauge(
            "kharvest_content_uploads", "Contents that are being stored while they arrive", registry=self.registry
        )
        self._store_up = Gauge(
            "kharvest_store_up", "Whether the store answers: 1, or 0 while it is away", registry=self.registry
        )
        self._store_seconds = Histogram(
            "kharvest_store_seconds",
            "How long calls on the store took, by operation",
            ["operation"],
            buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
            registry=self.registry,
        )
        self._store_errors = Counter(
            "kharvest_store_errors",
            "Calls on the store that failed, by operation and error",
            ["operation", "error"],
            registry=self.registry,
        )

    def answered(self, files: Sequence[Announced], answers: Sequence[FileAnswer]) -> None:
        """These are the answers to announced files."""
        acknowledged = spared = 0
        for file, answer in zip(files, answers, strict=True):
            if answer is FileStatus.ACKNOWLEDGED:
                acknowledged += 1
                spared += file.content.size if file.content is not None else 0
        self._acknowledged.inc(acknowledged)
        self._not_moved.inc(spared)

    def refused(self, reason: str) -> None:
        """A file, or a call, was refused."""
        self._refused.labels(reason).inc()

    def received(self, size: int) -> None:
        """Bytes of content arrived."""
        self._moved.inc(size)

    def uploaded(self, result: str) -> None:
        """An upload ended: `stored`, `already_stored` or `failed`."""
        self._uploads.labels(result).inc()

    def held(self, announcements: int) -> None:
        """So many announcements are held now."""
        self._held.set(announcements)

    def shared_identity(self) -> None:
        """Two clients announce as one pod."""
        self._shared_identities.inc()

    def uploading(self, change: int) -> None:
        """One content more, or less, is being stored while it arrives."""
        self._uploading.inc(change)

    def reading(self, change: int) -> None:
        """One content more, or less, is being sent."""
        self._readers.inc(change)

    def store_up(self, *, is_up: bool) -> None:
        """The store answers, or is away."""
        self._store_up.set(is_up)

    def observe_store(self, operation: str, seconds: float, error: KharvestError | None) -> None:
        """A call on the store ended; called from any thread."""
        self._store_seconds.labels(operation).observe(seconds)
        if error is not None:
            self._store_errors.labels(operation, type(error).__name__).inc()
