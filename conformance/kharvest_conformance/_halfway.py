"""Batches whose process is killed in the middle: what a worker does with processes of its own."""

from __future__ import annotations

import os
import select
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType
from typing import overload

from kharvest.spi import Capability, Metadata, Pod, Query, Reference, Signature, Store
from kharvest_conformance._place import Opener
from kharvest_conformance._samples import File, Sample
from kharvest_conformance._tasks import Report
from kharvest_conformance._walks import walk

BODY = Sample(60)
SIZE = 250
TODAY = 1_764_000_000_123_456_789
OPENED, DONE, FAILED = b"1", b"2", b"3"
"""What a process says that is to be killed."""
KILLS = MappingProxyType(
    {
        "record": ((0.4, 0.8), (0.5, 0.85)),
        "append": ((0.3, 0.65), (0.35, 0.7)),
        "forget": ((0.2, 0.5, 0.8), ()),
    }
)
"""Where each write is killed: at which shares of its time, and of its draws."""


class Drawn(Sequence[Reference]):
    """References that count how often one is drawn, and kill this process at one of the draws."""

    def __init__(self, items: Sequence[Reference], killed_at: int | None) -> None:
        self._items = tuple(items)
        self._killed_at = killed_at
        self.drawn = 0

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> Reference: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Reference]: ...

    def __getitem__(self, index: int | slice) -> Reference | Sequence[Reference]:
        found = self._items[index]
        self._draw(len(found) if isinstance(found, tuple) else 1)
        return found

    def __iter__(self) -> Iterator[Reference]:
        for item in self._items:
            self._draw(1)
            yield item

    def _draw(self, number: int) -> None:
        self.drawn += number
        if self._killed_at is not None and self.drawn > self._killed_at:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Batch:
    """One write of many references, with a pod, files and metadata of its own."""

    method: str
    number: int

    @property
    def pod(self) -> Pod:
        """The pod of all its references, and of no others."""
        return Pod("killed", f"{self.method}-{self.number}")

    @property
    def files(self) -> tuple[File, ...]:
        """The files that its references name."""
        return tuple(File(f"/killed/{self.method}/{self.number}/{part}", BODY) for part in range(SIZE))

    def prepare(self, store: Store) -> None:
        """Do what comes before the write."""
        store.put(BODY.content, BODY.chunks())
        if self.method == "forget":
            self._add(store)

    def write(self, store: Store, killed_at: int | None = None) -> int:
        """Do the write that may be killed: by itself at some draw of a reference. How many were drawn."""
        if self.method == "forget":
            store.forget(Query(pod=self.pod.name, limit=SIZE))
            return 0
        return self._add(store, killed_at)

    def _add(self, store: Store, killed_at: int | None = None) -> int:
        tag = Metadata({"batch": self.pod.name})
        files = {file.signature: file.content for file in self.files}
        references = Drawn([file.seen(TODAY, self.pod, tag) for file in self.files], killed_at)
        add = store.append if self.method == "append" else store.record
        add(files, references)
        return references.drawn

    def seen(self, store: Store) -> dict[str, int]:
        """How much of it each question finds."""
        of_pod, of_tag = Query(pod=self.pod.name), Query(metadata=Metadata({"batch": self.pod.name}), latest=True)
        signatures: list[Signature] = [file.signature for file in self.files]
        return {
            "references": len(walk(store, of_pod)),
            "latest references": len(walk(store, of_tag)),
            "known signatures": len(store.known(signatures)),
            "newest references": len(store.newest([file.seen(1, self.pod).timeline for file in self.files])),
        }


@dataclass(frozen=True)
class KillInTheMiddle:
    """Has processes killed while they record, append and forget; answers what is wrong with what they left.

    Each write is killed at some shares of the time that it takes, and at some shares of what it draws from its batch.
    """

    opener: Opener

    def leases(self) -> dict[str, set[bytes]]:
        """It claims nothing."""
        return {}

    def run(self, store: Store, report: Report) -> object:
        """Do so, and look; report each kill, so that nobody has to wait for all of them."""
        store.close()  # the processes are forked from this one: they find nothing open
        numbers = count()
        problems: list[str] = []
        for method, (times, draws) in KILLS.items():
            seconds, drawn = self._measured(Batch(method, next(numbers)))
            kills: list[tuple[float | None, int | None]] = [(seconds * share, None) for share in times]
            kills += [(None, int(drawn * share)) for share in draws]
            for at_seconds, at_draw in kills:
                report(method)
                problems += self._killed(Batch(method, next(numbers)), at_seconds, at_draw)
        return problems

    def _measured(self, batch: Batch) -> tuple[float, int]:
        """How long a write takes when nobody kills it, and how much it draws."""
        with closing(self.opener.open()) as store:
            batch.prepare(store)
            began = time.monotonic()
            drawn = batch.write(store)
            return time.monotonic() - began, drawn

    def _killed(self, batch: Batch, seconds: float | None, draw: int | None) -> Iterator[str]:
        with closing(self.opener.open()) as store:
            batch.prepare(store)
            durable = Capability.DURABLE in store.capabilities
        outcome = self._kill(batch, seconds, draw)
        if outcome == FAILED:
            yield f"a {batch.method} failed in a process that was forked: its error is on standard error"
        with closing(self.opener.open()) as store:
            seen = batch.seen(store)
            found = set(seen.values())
            if len(found) > 1 or not found <= {0, SIZE}:
                yield f"a {batch.method} of {SIZE} was killed, and there are {seen}"
            elif durable and outcome == DONE and found != {0 if batch.method == "forget" else SIZE}:
                yield f"a {batch.method} of {SIZE} was acknowledged, its process killed, and there are {seen}"
            store.put(BODY.content, BODY.chunks())  # a store that is not durable has nothing
            if batch.method != "append" or found == {0}:  # what is appended again is one more
                batch.write(store)
                seen = batch.seen(store)
                if set(seen.values()) != {0 if batch.method == "forget" else SIZE}:
                    yield f"after a killed {batch.method} the same one leaves {seen}"

    def _kill(self, batch: Batch, seconds: float | None, draw: int | None) -> bytes:
        """Have a process do a write, and kill it after a time, or at a draw; what it said last."""
        reports, to_parent = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(reports)
                store = self.opener.open()
                store.put(BODY.content, BODY.chunks())  # in a store in memory nothing is there yet
                os.write(to_parent, OPENED)
                batch.write(store, draw)
                os.write(to_parent, DONE)
                signal.pause()
            except Exception:  # noqa: BLE001  # the outermost call of this process; its parent is told
                traceback.print_exc()
                os.write(to_parent, FAILED)
            finally:
                os._exit(1)
        os.close(to_parent)
        try:
            said = os.read(reports, 1)
            if said == OPENED:
                select.select([reports], [], [], seconds)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return os.read(reports, 1) or said
        finally:
            os.close(reports)
