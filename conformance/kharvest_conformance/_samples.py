"""Contents and files to test with, each of which anybody can make again from two numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from threading import Event
from types import MappingProxyType

from kharvest.spi import NO_METADATA, REMOVED, Content, Metadata, Pod, Reference, Signature

BLOCK = 65_536

TODAY = 1_795_608_000_123_456_789
"""A time of 2026 in nanoseconds, which no floating-point number can tell from the next."""

WEB = Pod("shop", "web-0")
OTHER = Pod("shop", "web-1")
AGAIN = Pod("shop", "web-0", "0d1c")
"""A pod that was made anew under the name of WEB."""


def content_of(data: bytes) -> Content:
    """The name of some bytes."""
    md5 = hashlib.md5(data, usedforsecurity=False).digest()
    return Content(hashlib.sha256(data).digest(), md5, len(data))


@lru_cache(maxsize=64)
def _base(variant: int) -> bytes:
    return Random(variant).randbytes(BLOCK - 8)  # noqa: S311  # test data


@dataclass(frozen=True, slots=True)
class Sample:
    """`size` bytes, another for each `variant`. Made a block at a time, so that a large one costs no memory."""

    size: int
    variant: int = 0

    def chunks(self, length: int = BLOCK) -> Chunks:
        """The bytes in chunks of `length`, to be drawn as often as needed."""
        return Chunks(self, length)

    def data(self) -> bytes:
        """The bytes, at once."""
        return b"".join(self.chunks())

    def blocks(self) -> Iterator[bytes]:
        """The bytes in blocks, each made when it is drawn."""
        base = _base(self.variant)
        for number in range(-(-self.size // BLOCK)):
            block = base + number.to_bytes(8)
            yield block[: self.size - number * BLOCK]

    @property
    def content(self) -> Content:
        """The name of the bytes."""
        return _content(self)


@lru_cache(maxsize=4096)
def _content(sample: Sample) -> Content:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    for chunk in sample.chunks():
        sha256.update(chunk)
        md5.update(chunk)
    content = Content(sha256.digest(), md5.digest(), sample.size)
    _SAMPLES[content.sha256] = sample
    _SAMPLES_BY_MD5.setdefault(content.md5, sample)
    return content


_SAMPLES: dict[bytes, Sample] = {}
_SAMPLES_BY_MD5: dict[bytes, Sample] = {}


def sample_of(sha256: bytes) -> Sample | None:
    """The sample whose bytes have this SHA-256, if its content was ever asked for."""
    return _SAMPLES.get(sha256)


def sample_of_md5(md5: bytes) -> Sample | None:
    """A sample whose bytes have this MD5, if its content was ever asked for."""
    return _SAMPLES_BY_MD5.get(md5)


@dataclass(frozen=True, slots=True)
class Chunks:
    """The bytes of a sample in chunks. Its text is code that makes it again."""

    sample: Sample
    length: int

    def __repr__(self) -> str:
        return f"{self.sample!r}.chunks({'' if self.length == BLOCK else self.length})"

    def __iter__(self) -> Iterator[bytes]:
        blocks = self.sample.blocks()
        if self.length == BLOCK:
            yield from blocks
            return
        buffer = b""
        for block in blocks:
            buffer += block
            whole = len(buffer) - len(buffer) % self.length
            for start in range(0, whole, self.length):
                yield buffer[start : start + self.length]
            buffer = buffer[whole:]
        if buffer:
            yield buffer


class SourceFailed(Exception):
    """What a failing source of chunks raises: an error that no store can know."""


@dataclass(frozen=True, slots=True)
class FailingChunks:
    """The first `chunks` chunks of a sample, then `SourceFailed`: an upload that broke off."""

    sample: Sample
    chunks: int
    length: int = BLOCK

    def __iter__(self) -> Iterator[bytes]:
        source = iter(self.sample.chunks(self.length))
        for _number in range(self.chunks):
            yield next(source)
        raise SourceFailed


class ChunksOnce:
    """The chunks of a sample for one who draws them once, as the server's are: an iterator, used up at the end.

    Before the chunk with the number `at` (from 0; the number of chunks is the end) it raises `error`, if there is one,
    and is used up.
    """

    def __init__(self, sample: Sample, length: int = BLOCK, at: int = 0, error: BaseException | None = None) -> None:
        self._shown = f"ChunksOnce({sample!r}, {length}{'' if error is None else f', {at}, {error!r}'})"
        self._source: Iterator[bytes] = iter(sample.chunks(length))
        self._left = at
        self._error = error

    def __repr__(self) -> str:
        return self._shown

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._error is not None and self._left == 0:
            error, self._error, self._source = self._error, None, iter(())
            raise error
        self._left -= 1
        return next(self._source)


class PausedChunks:
    """The chunks of a sample, of which the one with the number `at` comes only when `go_on` is set.

    The number of chunks is the end. `reached` is set when one draws so far.
    """

    def __init__(self, chunks: Iterable[bytes], at: int) -> None:
        self._chunks = chunks
        self._at = at
        self.reached = Event()
        self.go_on = Event()

    def __repr__(self) -> str:
        return f"{self._chunks!r}"

    def __iter__(self) -> Iterator[bytes]:
        number = 0
        for number, chunk in enumerate(self._chunks):
            self._pause(number)
            yield chunk
        self._pause(number + 1)

    def _pause(self, number: int) -> None:
        if number == self._at:
            self.reached.set()
            self.go_on.wait()


class BareCollection(Collection[bytes]):
    """A collection that can do what every collection can, and nothing more: each iteration is a generator."""

    def __init__(self, items: Iterable[bytes]) -> None:
        self._items = tuple(items)

    def __repr__(self) -> str:
        return f"BareCollection({self._items!r})"

    def __iter__(self) -> Iterator[bytes]:
        return (item for item in self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item: object) -> bool:
        return item in self._items


@dataclass(frozen=True, slots=True)
class WatchedChunks:
    """Chunks that call `before` with each chunk's number before they give it, and once more at the end."""

    chunks: Iterable[bytes]
    before: Callable[[int], None]

    def __repr__(self) -> str:
        return f"{self.chunks!r}"

    def __iter__(self) -> Iterator[bytes]:
        number = 0
        for number, chunk in enumerate(self.chunks):
            self.before(number)
            yield chunk
        self.before(number + 1)


@dataclass(frozen=True, slots=True)
class File:
    """A path and what is in it."""

    path: str
    sample: Sample

    @property
    def content(self) -> Content:
        """The name of the bytes."""
        return self.sample.content

    @property
    def signature(self) -> Signature:
        """Path and MD5."""
        return Signature(self.path, self.content.md5)

    def seen(self, at_ns: int = 1, pod: Pod = WEB, metadata: Metadata = NO_METADATA) -> Reference:
        """The fact that `pod` had this file."""
        return Reference(self.signature, pod, metadata, at_ns)


def contents_by_signature(files: Iterable[File]) -> Mapping[Signature, Content]:
    """The content of each file. It cannot be changed: a store is given a copy, which it may spoil."""
    return MappingProxyType({file.signature: file.content for file in files})


def removed(path: str, at_ns: int = 1, pod: Pod = WEB, metadata: Metadata = NO_METADATA) -> Reference:
    """The fact that the file at `path` went away in `pod`."""
    return Reference(Signature(path, REMOVED), pod, metadata, at_ns)


# X. Wang, D. Feng, X. Lai, H. Yu, "Collisions for Hash Functions MD4, MD5, HAVAL-128 and RIPEMD", 2004: two messages
# that differ in six bits and have one MD5. The core checks digests, so a made-up pair would not get past it.
_COLLISION = bytes.fromhex(
    "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f89"
    "55ad340609f4b30283e488832571415a085125e8f7cdc99fd91dbdf280373c5b"
    "d8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0"
    "e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70"
)
_FLIPPED = (19, 45, 59, 83, 109, 123)

COLLIDING = (_COLLISION, bytes(byte ^ 0x80 if at in _FLIPPED else byte for at, byte in enumerate(_COLLISION)))
"""Two contents with one MD5."""


@dataclass(frozen=True, slots=True)
class Twin(Sample):
    """One of the two contents with one MD5, by its number."""

    size: int = field(default=len(_COLLISION), init=False)
    variant: int = 0

    def __repr__(self) -> str:
        return f"Twin({self.variant})"

    def blocks(self) -> Iterator[bytes]:
        """The bytes, in one block."""
        yield COLLIDING[self.variant]


TWINS = (Twin(0), Twin(1))
for _twin in TWINS:
    _content(_twin)  # so that they are found by their digests
