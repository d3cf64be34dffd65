"""Wraps every store once, so that backends stay thin: verifies bytes, times calls, and keeps errors in the tree."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from kharvest.registry._errors import BackendFailed
from kharvest.registry._secrets import Secrets
from kharvest.spi import (
    MAX_CHUNK_BYTES,
    Capability,
    Content,
    ContentMismatch,
    FileSummary,
    KharvestError,
    Page,
    Query,
    Reference,
    Signature,
    Store,
    StoreError,
    Timeline,
)

Item = TypeVar("Item")
StoreListener = Callable[[str, float, KharvestError | None], None]
"""Told of every finished call, once: the operation, how many seconds the store took, and the error it raised, if any.

A `read` and a `contents` are finished when they are drawn to their end, fail, or are closed; a reader that stops early
is no error. The time between the chunks is the reader's, and does not count.
"""


class GuardedStore:
    """A store whose `put` refuses bytes that are not the content, and whose errors are all of our tree and name it.

    It gives the store every argument by name. No error shows one of the `secrets`. Errors that a caller's
    own iterable raises inside `put` pass through unchanged.
    """

    def __init__(self, store: Store, masked_url: str, secrets: Secrets, observe: StoreListener) -> None:
        self._store = store
        self._secrets = secrets
        self._masked_url = masked_url
        self._observe = observe
        self.capabilities: frozenset[Capability] = store.capabilities

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        source = _Verified(content, chunks)
        with self._call("put", source):
            return self._store.put(
                content=content, chunks=source
            )  # nothing; if not, the conformance suite is to see it

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        """As the contract says. What is wrong with the first chunk is raised here."""
        chunks = self._drawn("read", lambda: self._store.read(sha256=sha256, offset=offset))
        return _Resumed(list(islice(chunks, 1)), chunks)

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        with self._call("present"):
            return self._store.present(sha256s=sha256s)

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        return self._drawn("contents", lambda: self._store.contents(after=after))

    def discard(self, sha256s: Collection[bytes]) -> None:
        with self._call("discard"):
            return self._store.discard(sha256s=sha256s)

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        with self._call("record"):
            self._store.record(files=files, references=references)

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        with self._call("append"):
            return self._store.append(files=files, references=references)

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        with self._call("known"):
            return self._store.known(signatures=signatures)

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        with self._call("newest"):
            return self._store.newest(timelines=timelines)

    def references(self, query: Query) -> Page[Reference]:
        with self._call("references"):
            return self._store.references(query=query)

    def files(self, query: Query) -> Page[FileSummary]:
        with self._call("files"):
            return self._store.files(query=query)

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        with self._call("claim"):
            return self._store.claim(keys=keys, holder=holder, now_ns=now_ns, until_ns=until_ns)

    def release(self, keys: Collection[bytes], holder: str) -> None:
        with self._call("release"):
            self._store.release(keys=keys, holder=holder)

    def now_ns(self) -> int:
        with self._call("now_ns"):
            return self._store.now_ns()

    def forget(self, query: Query) -> int:
        with self._call("forget"):
            return self._store.forget(query=query)

    def close(self) -> None:
        with self._call("close"):
            self._store.close()

    @contextmanager
    def _call(self, operation: str, source: _Verified | None = None) -> Iterator[None]:
        call = _Call(operation)
        try:
            with self._timed(call, source):
                yield
        finally:
            self._observe(operation, call.seconds, call.failure)

    def _drawn(self, operation: str, ask: Callable[[], Iterator[Item]]) -> Generator[Item, None, None]:
        """Draw from an iterator of the store, as one call."""
        call = _Call(operation)
        try:
            with self._timed(call):
                items = ask()
                drawn = _next(items)
            while drawn:
                yield from drawn
                with self._timed(call):
                    drawn = _next(items)
        finally:
            self._observe(operation, call.seconds, call.failure)

    @contextmanager
    def _timed(self, call: _Call, source: _Verified | None = None) -> Iterator[None]:
        """Add the time of some work in the store to its call, and make what it raises an error of ours."""
        started = time.perf_counter()
        try:
            yield
        except KharvestError as error:
            if isinstance(error, StoreError):
                error.store = error.store or self._masked_url
            self._secrets.mask_error(error)
            call.failure = error
            raise
        except Exception as error:
            if source is not None and source.failure is error:
                raise
            call.failure = failure = BackendFailed(call.operation, error)
            failure.store = self._masked_url
            failure.__cause__ = error
            self._secrets.mask_error(failure)
            raise failure from failure.__cause__
        finally:
            call.seconds += time.perf_counter() - started


@dataclass(slots=True)
class _Call:
    """A call on the store under way."""

    operation: str
    seconds: float = 0.0
    failure: KharvestError | None = None


def _next(items: Iterator[Item]) -> tuple[Item, ...]:
    """The next item; none at the end."""
    try:
        return (next(items),)
    except StopIteration:
        return ()


class _Resumed(Iterator[Item]):
    """Items of which the first were drawn already.

    No generator: closing one that nobody has drawn from leaves what it would draw open, from Python 3.12 on.
    """

    def __init__(self, first: list[Item], rest: Generator[Item, None, None]) -> None:
        self._first = first
        self._rest = rest

    def __next__(self) -> Item:
        return self._first.pop(0) if self._first else next(self._rest)

    def close(self) -> None:
        """End the call on the store."""
        self._first.clear()
        self._rest.close()


class _Verified:
    """Draws chunks once, and raises `ContentMismatch` as soon as they cannot be the content any more.

    The store gets them within the contract's limits, whatever the caller cut them into.

    `failure` is what the caller's own chunks raised.
    """

    def __init__(self, content: Content, chunks: Iterable[bytes]) -> None:
        self._content = content
        self._chunks = chunks
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        content = self._content
        sha256 = hashlib.sha256()
        md5 = hashlib.md5(usedforsecurity=False)  # half of what users know a file by, and no proof of anything
        size = 0
        for chunk in self._drawn():
            size += len(chunk)
            if size > content.size:
                raise ContentMismatch(content, "size", f"of at least {size}")
            sha256.update(chunk)
            md5.update(chunk)
            if len(chunk) <= MAX_CHUNK_BYTES:
                if chunk:
                    yield chunk
            else:
                for start in range(0, len(chunk), MAX_CHUNK_BYTES):
                    yield chunk[start : start + MAX_CHUNK_BYTES]
        if size != content.size:
            raise ContentMismatch(content, "size", str(size))
        if sha256.digest() != content.sha256:
            raise ContentMismatch(content, "sha256", sha256.hexdigest())
        if md5.digest() != content.md5:
            raise ContentMismatch(content, "md5", md5.hexdigest())

    def _drawn(self) -> Iterator[bytes]:
        try:
            yield from self._chunks
        except Exception as error:
            self.failure = error
            raise
