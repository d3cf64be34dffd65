"""Ways to do and ask what many tests need."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from kharvest.spi import Query, Reference, Store
from kharvest_conformance.samples import File
from kharvest_conformance.suite.walks import walk

Answer = TypeVar("Answer")

THREAD_SECONDS = 10.0
"""How long a call in a thread of its own may take before it counts as blocked."""


def put(store: Store, *files: File) -> None:
    """Store the contents of files."""
    for file in files:
        store.put(file.content, file.sample.chunks())


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


def at_once(*calls: Callable[[], Answer]) -> list[Answer]:
    """The answers of calls made at the same time, each in a thread of its own.

    Raises:
        Exception: what the first failed call raised.
    """
    answers: dict[int, Answer] = {}
    errors: list[BaseException] = []
    start = threading.Barrier(len(calls))

    def run(number: int, call: Callable[[], Answer]) -> None:
        try:
            start.wait(THREAD_SECONDS)
            answers[number] = call()
        except BaseException as error:  # noqa: BLE001  # raised below, in the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(THREAD_SECONDS)
        assert not thread.is_alive(), f"calls made at once do not return within {THREAD_SECONDS:.0f} s"
    if errors:
        raise errors[0]
    return [answers[number] for number in range(len(calls))]
