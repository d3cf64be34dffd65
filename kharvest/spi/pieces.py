"""Cutting what is too much at once: long lists, bytes that come in chunks of any size, and listings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from kharvest.spi._values import Content

T = TypeVar("T")


def lists_of(size: int, values: Iterable[T]) -> Iterator[list[T]]:
    """The values in lists of a size, the last one shorter."""
    left = iter(values)
    while some := list(islice(left, size)):
        yield some


def bytes_of(size: int, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of chunks of any size, in pieces of one size, but for the last. It holds no more than one piece."""
    held: list[bytes | memoryview] = []
    missing = size
    for chunk in chunks:
        rest = memoryview(chunk)
        while len(rest) >= missing:
            yield b"".join([*held, rest[:missing]])
            rest = rest[missing:]
            held, missing = [], size
        if rest:
            held.append(bytes(rest))  # a copy: the sender may reuse its buffer
            missing -= len(rest)
    if held:
        yield b"".join(held)


def listing(read: Callable[[bytes, int], Sequence[Content]], after: bytes, size: int = 1000) -> Iterator[Content]:
    """What `ContentStore.contents` gives, read some at a time.

    `read` gives the first contents behind a SHA-256, ascending, at most so many; fewer only when there are no more.
    """
    while True:
        found = read(after, size)
        yield from found
        if len(found) < size:
            return
        after = found[-1].sha256
