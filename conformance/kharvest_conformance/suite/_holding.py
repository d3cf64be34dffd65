"""Ways to do and ask what many tests need."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from kharvest.spi import Query, Reference, Store
from kharvest_conformance._patience import PATIENCE
from kharvest_conformance._samples import File
from kharvest_conformance._walks import walk

Answer = TypeVar("Answer")

THREAD_SECONDS = PATIENCE.seconds
"""How long a call in a thread of its own may take before it counts as blocked."""


def put(store: Store, *files: File) -> None:
    """Store the contents of files, each once."""
    for content, file in {file.content: file for file in files}.items():
        store.put(content, file.sample.chunks())


def harvest(store: Store, files: Iterable[File], references: Sequence[Reference]) -> None:
    """Store the contents of files, then record references to them in one batch."""
    once = tuple(files)
    put(store, *once)
    store.record({file.signature: file.content for file in once}, references)


def data_of(store: Store, file: File) -> bytes:
    """The bytes that the store has of a file."""
    return b"".join(store.read(file.content.sha256))


def has_data(store: Store, file: File) -> bool:
    """Whether the store's bytes of a file are the file's.

    Not `==` in an assert: where `CI` is set pytest shows a difference whole, and takes minutes to do so for megabytes.
    """
    return data_of(store, file) == file.sample.data()


def listing(store: Store) -> list[Reference]:
    """All references of a store, oldest first."""
    return walk(store, Query(limit=10_000))


def use(store: Store, file: File) -> None:
    """Make every other call once."""
    calls: list[Callable[[], object]] = [
        lambda: harvest(store, [file], [file.seen()]),
        lambda: data_of(store, file),
        lambda: store.present([file.content.sha256]),
        lambda: list(store.contents()),
        lambda: store.known([file.signature]),
        lambda: store.newest([file.seen().timeline]),
        lambda: listing(store),
        lambda: store.files(Query()),
        lambda: store.claim([b"key"], "holder", 1, 10),
        lambda: store.release([b"key"], "holder"),
        lambda: store.forget(Query()),
        lambda: store.discard([file.content.sha256]),
    ]
    for call in calls:
        call()


@contextmanager
def turns_taken_often() -> Iterator[None]:
    """Have threads take turns in the middle of calls that take no time, too."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def at_once(*calls: Callable[[], Answer]) -> list[Answer]:
    """The answers of calls made at the same time, each in a thread of its own.

    Raises:
        Exception: what the first failed call raised.
    """
    with turns_taken_often():
        return _at_once(calls)


@dataclass(slots=True)
class _Group:
    """Calls made at once. When one fails, those that wait for what it would have done wait no longer."""

    errors: list[BaseException] = field(default_factory=list)
    awaited: list[threading.Event] = field(default_factory=list)

    def fail(self, error: BaseException) -> None:
        self.errors.append(error)
        for event in self.awaited:
            event.set()


_own = threading.local()


def wait_for(event: threading.Event, otherwise: str) -> None:
    """Wait for what another of the calls made at once does.

    Raises:
        AssertionError: it does not come, or one of the calls has failed.
    """
    group: _Group = _own.group
    group.awaited.append(event)
    assert not group.errors, otherwise
    assert event.wait(PATIENCE.seconds), otherwise
    assert not group.errors, otherwise


def _at_once(calls: Sequence[Callable[[], Answer]]) -> list[Answer]:
    answers: dict[int, Answer] = {}
    group = _Group()
    start = threading.Barrier(len(calls))

    def run(number: int, call: Callable[[], Answer]) -> None:
        _own.group = group
        try:
            start.wait(PATIENCE.seconds)
            answers[number] = call()
        except BaseException as error:  # noqa: BLE001  # raised below, in the test's own thread
            group.fail(error)

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        PATIENCE.wait_for(thread)
    if group.errors:
        raise group.errors[0]
    return [answers[number] for number in range(len(calls))]
