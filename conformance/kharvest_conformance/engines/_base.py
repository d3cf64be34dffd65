"""What every test of the suite of engines starts from."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest

from kharvest.records import Engine, Row
from kharvest.spi import Capability
from kharvest_conformance._patience import PATIENCE
from kharvest_conformance.engines._harness import EngineHarness, Place

_MOMENT_SECONDS = 0.2
"""Long enough for a commit that waits for nobody. A slow one makes a test weaker, and never fails it."""
EVERYTHING = (b"\0", b"\xff" * 320)


class Base:
    """Fixtures: a harness from the author, and a fresh place for each test."""

    @pytest.fixture
    def harness(self) -> EngineHarness:
        """The engine under test. Authors override this."""
        pytest.fail("no engine to test: give the class a fixture `harness`")

    @pytest.fixture
    def place(self, harness: EngineHarness) -> Iterator[Place]:
        """A fresh place."""
        with Place(harness) as place:
            yield place


def commit(
    engine: Engine,
    puts: Mapping[bytes, bytes],
    *,
    deletes: Collection[bytes] = (),
    expected: Mapping[bytes, bytes | None] | None = None,
) -> None:
    """Commit, which must succeed."""
    assert engine.commit(expected or {}, puts, deletes) is True, "commit returns True when all values are as expected"


def get(engine: Engine, *keys: bytes) -> dict[bytes, bytes]:
    """What a new view has of these keys."""
    with engine.view() as view:
        return view.get(keys)


def scan(
    engine: Engine,
    start: bytes = EVERYTHING[0],
    end: bytes = EVERYTHING[1],
    *,
    reverse: bool = False,
    limit: int = 10**6,
) -> Sequence[Row]:
    """What a new view scans, as a list."""
    with engine.view() as view:
        return list(view.scan(start, end, reverse=reverse, limit=limit))


def require(place: Place, *needed: Capability) -> None:
    """Skip the test if the engine does not declare what it is about."""
    missing = [one.name for one in needed if one not in place.capabilities]
    if missing:
        pytest.skip(f"the engine does not declare {', '.join(missing)}")


@contextmanager
def beside(work: Callable[[], object]) -> Iterator[None]:
    """Run something on another thread meanwhile, wait for its end, and raise its error."""
    finish = _start(work)[1]
    yield
    finish()


@contextmanager
def started(work: Callable[[], object]) -> Iterator[Callable[[], None]]:
    """Run something on another thread that may have to wait until the caller is done: it gets a moment to end.

    The block gets what waits for its end, and raises its error.
    """
    thread, finish = _start(work)
    thread.join(_MOMENT_SECONDS)
    yield finish


def _start(work: Callable[[], object]) -> tuple[threading.Thread, Callable[[], None]]:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # raised below
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)

    def finish() -> None:
        thread.join(PATIENCE.seconds)
        assert not thread.is_alive(), f"a call on another thread still waits after {PATIENCE.seconds} seconds"
        if errors:
            raise errors[0]

    thread.start()
    return thread, finish


def together(number: int, work: Callable[[int], object]) -> None:
    """Run something on several threads that start at one moment."""
    barrier = threading.Barrier(number)

    def start(at: int) -> None:
        barrier.wait()
        work(at)

    def run(at: int) -> None:
        if at < number:
            with beside(lambda: start(at)):
                run(at + 1)

    run(0)


def in_process(work: Callable[..., None], *arguments: object) -> int:
    """Run something in a process of its own; return its exit code."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join(PATIENCE.seconds)
    if process.is_alive():
        process.kill()
        process.join()
        raise AssertionError(f"a call in another process still waits after {PATIENCE.seconds} seconds")
    assert process.exitcode is not None
    return process.exitcode


def add(engine: Engine, key: bytes, times: int) -> None:
    """Add one to the number in a row, again and again, each time by a conditional commit."""
    for _ in range(times):
        while True:
            row = get(engine, key).get(key)
            number = 0 if row is None else int.from_bytes(row)
            if engine.commit({key: row}, {key: (number + 1).to_bytes(8)}, ()):
                break
