"""Wraps every store once, so that backends stay thin: verifies bytes, times calls, and keeps errors in the tree."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from kharvest.registry.errors import BackendFailed
from kharvest.spi import (
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

Observer = Callable[[str, float, KharvestError | None], None]
"""Told of every finished call: the operation, how many seconds it took, and the error it raised, if any."""


class GuardedStore:
    """A store whose `put` refuses bytes that are not the content, and whose errors are all of our tree and name it.

    Errors that a caller's own iterable raises inside `put` pass through unchanged.
    """

    def __init__(self, store: Store, masked_url: str, observe: Observer) -> None:
        self._store = store
        self._masked_url = masked_url
        self._observe = observe
        self.capabilities: frozenset[Capability] = store.capabilities

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        source = _Verified(content, chunks)
        with self._call("put", source):
            self._store.put(content, source)

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        """As the contract says. Timed until the first chunk: how fast the rest is drawn is the caller's affair."""
        with self._call("read"):
            chunks = self._store.read(sha256, offset)
            first = next(chunks, None)
        return self._rest(first, chunks)

    def _rest(self, first: bytes | None, chunks: Iterator[bytes]) -> Iterator[bytes]:
        chunk = first
        while chunk is not None:
            yield chunk
            with self._call("read"):
                chunk = next(chunks, None)

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        with self._call("present"):
            return self._store.present(sha256s)

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        with self._call("contents"):
            yield from self._store.contents(after)

    def discard(self, sha256s: Collection[bytes]) -> None:
        with self._call("discard"):
            self._store.discard(sha256s)

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        with self._call("record"):
            self._store.record(files, references)

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        with self._call("known"):
            return self._store.known(signatures)

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        with self._call("newest"):
            return self._store.newest(timelines)

    def references(self, query: Query) -> Page[Reference]:
        with self._call("references"):
            return self._store.references(query)

    def files(self, query: Query) -> Page[FileSummary]:
        with self._call("files"):
            return self._store.files(query)

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        with self._call("claim"):
            return self._store.claim(keys, holder, now_ns, until_ns)

    def release(self, keys: Collection[bytes], holder: str) -> None:
        with self._call("release"):
            self._store.release(keys, holder)

    def forget(self, query: Query) -> int:
        with self._call("forget"):
            return self._store.forget(query)

    def close(self) -> None:
        with self._call("close"):
            self._store.close()

    @contextmanager
    def _call(self, operation: str, source: _Verified | None = None) -> Iterator[None]:
        started = time.perf_counter()
        failure: KharvestError | None = None
        try:
            yield
        except GeneratorExit:  # a reader of `contents` stopped early
            raise
        except StoreError as error:
            error.store = error.store or self._masked_url
            failure = error
            raise
        except KharvestError as error:
            failure = error
            raise
        except Exception as error:
            if source is not None and source.failure is error:
                raise
            failure = BackendFailed(operation, error)
            failure.store = self._masked_url
            raise failure from error
        finally:
            self._observe(operation, time.perf_counter() - started, failure)


class _Verified:
    """Draws chunks once, and raises `ContentMismatch` as soon as they cannot be the content any more.

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
            if chunk:
                yield chunk
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
