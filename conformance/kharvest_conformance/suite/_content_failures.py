"""`put` that does not come to its end: any error passes on, and nothing is left, nor in the way of others."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import sqlite3
from collections.abc import Callable, Iterator, Sequence

import pytest

from kharvest.spi import (
    Capability,
    Conflict,
    Content,
    ContentMismatch,
    Signature,
    Store,
    StoreFull,
    StoreUnavailable,
    UnknownContent,
)
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._place import Place
from kharvest_conformance._samples import BLOCK, OTHER, ChunksOnce, File, PausedChunks, Sample, SourceFailed, content_of
from kharvest_conformance._tasks import PutUntilKilled
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import at_once, has_data, listing, put, wait_for
from kharvest_conformance.suite._weights import held_after

PASSED_ON = "when `chunks` raises, whatever it raises, that error itself is passed on and"
NO_ROOM = "What was written of it takes no room once the call has"
UNDISTURBED = "Of several puts of one content at once, one that fails does not disturb the others."

SMALL, LARGE = 3000, 3_800_000
"""A content that fits into any store's first write, and one that takes several of ours."""
FAILURES = 8
ERRORS: tuple[Callable[[], BaseException], ...] = (
    SourceFailed,
    lambda: StoreUnavailable("the source is away"),
    lambda: sqlite3.OperationalError("database is locked"),
)
NO_EXCEPTIONS: tuple[Callable[[], BaseException], ...] = (KeyboardInterrupt, GeneratorExit, asyncio.CancelledError)
"""What `except Exception` lets pass."""


@thorough
class ContentFailureTests(Base):
    """Of `ContentStore.put`."""

    @clause("ContentStore.put", PASSED_ON)
    def test_the_very_error_of_the_chunks_comes_out(self, store: Store) -> None:
        file = File("/", Sample(SMALL, 1))
        for error in _errors(file):
            for at in (0, 1, 3):
                _fail(store, file, 1000, at, error)
            assert store.present([file.content.sha256]) == {}, f"after {error!r}"
        large = File("/", Sample(LARGE, 2))
        chunks = -(-LARGE // BLOCK)
        for at, again in ((chunks - 2, SourceFailed()), (chunks, sqlite3.OperationalError("database is locked"))):
            _fail(store, large, BLOCK, at, again)
        for at, fatal in ((chunks, StoreUnavailable("the source is away")), (chunks - 2, KeyboardInterrupt())):
            _fail(store, large, BLOCK, at, fatal)
        assert list(store.contents()) == []
        for one in (file, large):
            with pytest.raises(UnknownContent):
                list(store.read(one.content.sha256))
            put(store, one)
            assert has_data(store, one)

    @clause("store", "No method holds a lock, or anything else of which there is a limited number")
    def test_calls_made_while_chunks_are_drawn_count_also_when_the_put_fails(self, store: Store) -> None:
        other, gone, file = (File(f"/{number}", Sample(SMALL, 40 + number)) for number in range(3))
        put(store, other, gone)
        recorded, appended = other.seen(5), other.seen(6, OTHER)

        def call() -> None:
            store.record({other.signature: other.content}, [recorded])
            store.append({}, [appended])
            store.discard([gone.content.sha256])
            store.claim([b"key"], "holder", 1, 100)

        def chunks() -> Iterator[bytes]:
            yield b"the first chunk"
            call()
            yield b"another"
            raise SourceFailed

        with pytest.raises(SourceFailed):
            store.put(file.content, chunks())
        assert listing(store) == [recorded, appended]
        assert list(store.contents()) == [other.content]
        assert store.claim([b"key"], "another", 99, 200) == set()

    @clause("ContentStore.put", NO_ROOM)
    def test_failed_puts_take_no_room(self, place: Place) -> None:
        store = place.open()
        _fail_often(store, ERRORS[:1], 1)  # what the first call makes for good is no leftover
        before = place.size()
        tried = FAILURES * LARGE
        for errors in (ERRORS, NO_EXCEPTIONS):  # each by itself: what is left by half of all puts could hide
            store = place.open()
            held = held_after(lambda errors=errors, to=store: _fail_often(to, errors, FAILURES))  # type: ignore[misc]
            assert held < tried // 2, f"puts of {tried} bytes in all failed, and {held} bytes are still in memory"
            after = place.size()
            if before is not None and after is not None:
                grown = after - before
                assert grown < tried // 2, f"puts of {tried} bytes in all failed, and the store's files grew by {grown}"
            before = after

    @clause("ContentStore.put", UNDISTURBED)
    @pytest.mark.parametrize("size", [SMALL, LARGE])
    def test_a_put_that_fails_beside_another_of_its_content_disturbs_it_not(self, store: Store, size: int) -> None:
        length = size // 3 if size == SMALL else BLOCK
        chunks = -(-size // length)
        for number, at in enumerate((1, chunks) if size == SMALL else (chunks,)):
            file = File("/", Sample(size, 10 + number))
            waiting = PausedChunks(file.sample.chunks(length), at)
            _during(
                lambda one=file, slow=waiting: store.put(one.content, slow),  # type: ignore[misc]
                waiting,
                lambda one=file, end=at: _fail(store, one, length, end, SourceFailed()),  # type: ignore[misc]
            )
            _assert_whole(store, file, f"a put of it failed while another waited for chunk {at} of {chunks}")
        for number, at in enumerate((2, chunks) if size == SMALL else (chunks - 1,)):
            file = File("/", Sample(size, 20 + number))
            failing = PausedChunks(ChunksOnce(file.sample, length, at, SourceFailed()), at - 1)
            _during(
                lambda one=file, bad=failing: _suppressed(store, one, bad),  # type: ignore[misc]
                failing,
                lambda one=file: store.put(one.content, one.sample.chunks(length + 1)),  # type: ignore[misc]
                lambda one=file: _assert_whole(store, one, "it was put while another put waits"),  # type: ignore[misc]
            )
            _assert_whole(store, file, f"a put of it failed at chunk {at} of {chunks} after another had ended")
        file = File("/", Sample(size, 30))
        waiting = PausedChunks(file.sample.chunks(length), 1)
        quick = file.sample.chunks(length - 1)
        _during(lambda: store.put(file.content, waiting), waiting, lambda: store.put(file.content, quick))
        _assert_whole(store, file, "it was put twice at once, in chunks of two sizes")
        digests = [content.sha256 for content in store.contents()]
        assert len(digests) == len(set(digests)) == (5 if size == SMALL else 3), (
            "a content is listed twice, or is missing"
        )

    @clause("ContentStore.put", "Visible whole or not at all: when `chunks` raises")
    @pytest.mark.parametrize("size", [SMALL, LARGE])
    def test_what_a_failed_put_left_does_not_get_into_the_next(self, store: Store, size: int) -> None:
        file = File("/", Sample(size, 40))
        lengths = (size // 7, size // 5 + 1, size // 11) if size == SMALL else (BLOCK,)
        for length in lengths:
            _fail(store, file, length, 3, SourceFailed())
            _fail(store, file, length - 1, -(-size // (length - 1)), SourceFailed())
            assert store.present([file.content.sha256]) == {}
            store.put(file.content, file.sample.chunks(length + 1))
            _assert_whole(store, file, "it was put after failed puts of it")
            store.discard([file.content.sha256])
            assert store.present([file.content.sha256]) == {}
            with pytest.raises(UnknownContent):
                list(store.read(file.content.sha256))

    @clause("ContentStore.put", "nothing is visible; the same when the process dies")
    def test_a_put_that_is_killed_leaves_nothing_visible(
        self, place: Place, capabilities: frozenset[Capability]
    ) -> None:
        file = File("/", Sample(4_000_000, 3))
        before = place.open() if Capability.SHARED in capabilities else None
        worker = place.worker()
        worker.ready()
        worker.start(PutUntilKilled(file.sample, 50_000))
        assert worker.report() == "half of it is put"
        worker.kill()

        for store in (before or place.open(), place.open()) if before else (place.open(),):
            assert store.present([file.content.sha256]) == {}
            assert list(store.contents()) == []
            with pytest.raises(UnknownContent):
                list(store.read(file.content.sha256))
        store.put(file.content, file.sample.chunks())
        _assert_whole(store, file, "a process that put it was killed before")


def _from(error: BaseException, cause: BaseException) -> BaseException:
    """An error that was raised from another one."""
    error.__cause__ = cause
    return error


def _within(error: BaseException, context: BaseException) -> BaseException:
    """An error that was raised while another one was handled."""
    error.__context__ = context
    return error


def _errors(file: File) -> Sequence[BaseException]:
    """What chunks may raise: errors of the store's own kinds, such as drivers raise, and such as end threads."""
    content = file.content
    return (
        SourceFailed(),
        _from(RuntimeError("generator raised StopIteration"), StopIteration()),
        _from(RuntimeError("the source failed"), ContentMismatch(content, "sha256", "00")),
        _from(StoreUnavailable("the source is away"), SourceFailed()),
        _from(SourceFailed(), _from(OSError(errno.EIO, "Input/output error"), KeyError(content.sha256))),
        _within(RuntimeError("the source failed"), SourceFailed()),
        ExceptionGroup("the source failed", [SourceFailed()]),
        StopAsyncIteration(),
        ValueError("not a chunk"),
        KeyError(content.sha256),
        RuntimeError("generator raised StopIteration"),
        MemoryError(),
        EOFError(),
        OSError(errno.ENOSPC, "No space left on device"),
        FileExistsError(errno.EEXIST, "File exists"),
        FileNotFoundError(errno.ENOENT, "No such file or directory"),
        PermissionError(errno.EACCES, "Permission denied"),
        BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        TimeoutError("timed out"),
        sqlite3.OperationalError("database is locked"),
        sqlite3.IntegrityError("UNIQUE constraint failed: content.sha256"),
        concurrent.futures.CancelledError(),
        ContentMismatch(content, "sha256", "00"),
        StoreFull("the source is"),
        StoreUnavailable("the source is away"),
        UnknownContent(frozenset({content.sha256})),
        Conflict(Signature("/", content.md5), content, content),
        asyncio.CancelledError(),
        GeneratorExit(),
        KeyboardInterrupt(),
        SystemExit(3),
    )


def _fail(store: Store, file: File, length: int, at: int, error: BaseException, content: Content | None = None) -> None:
    """Put a file whose chunks raise an error before the one with the number `at`: that very error must come out."""
    raised: BaseException | None = None
    try:
        store.put(content or file.content, ChunksOnce(file.sample, length, at, error))
    except BaseException as caught:  # noqa: BLE001  # chunks may raise anything
        raised = caught
    assert raised is error, f"before chunk {at} of {file.sample.size} bytes chunks raised {error!r}, and put {raised!r}"
    error.__traceback__ = error.__context__ = None  # it holds what the store had in its hands


def _fail_often(store: Store, errors: Sequence[Callable[[], BaseException]], times: int) -> None:
    chunks = -(-LARGE // BLOCK)
    file = File("/", Sample(LARGE, 50))
    for number in range(times):
        at = chunks if number % 2 else chunks - 1
        name = content_of(b"%d" % number)  # nobody comes to compare the bytes with it
        content = Content(name.sha256, name.md5, LARGE)
        _fail(store, file, BLOCK, at, errors[number % len(errors)](), content)


def _during(put_slowly: Callable[[], None], waiting: PausedChunks, *calls: Callable[[], None]) -> None:
    """Make calls while a put waits for a chunk, and then let it go on."""

    def call_all() -> None:
        try:
            wait_for(waiting.reached, "a put does not draw its chunks")
            for call in calls:
                call()
        finally:
            waiting.go_on.set()

    at_once(put_slowly, call_all)


def _suppressed(store: Store, file: File, failing: PausedChunks) -> None:
    try:
        store.put(file.content, failing)
    except SourceFailed:
        return  # it need not raise: the content came from elsewhere meanwhile, and the chunks need not be drawn


def _assert_whole(store: Store, file: File, how: str) -> None:
    assert store.present([file.content.sha256]) == {file.content.sha256: file.content}, how
    assert has_data(store, file), f"its bytes are others: {how}"
