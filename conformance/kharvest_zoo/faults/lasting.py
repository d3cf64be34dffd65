"""Faults in opening and closing, and in what DURABLE and SHARED promise."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from kharvest.spi import Capability, Content, StoreUnavailable
from kharvest_zoo.fault import caught_by
from kharvest_zoo.filed import FiledStore
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State

_leaked: list[object] = []


@caught_by("test_close_can_be_called_twice")
class ClosesOnlyOnce(PlainStore):
    """Takes a second close for an error."""

    closed = False

    def close(self) -> None:
        if self.closed:
            raise StoreUnavailable("it is closed")
        self.closed = True


@caught_by("test_close_releases_what_the_store_held")
class LeaksADescriptor(FiledStore):
    """Opens a lock file and never closes it."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        _leaked.append(Path(address).open("rb"))  # noqa: SIM115  # the fault


@caught_by("test_close_releases_what_the_store_held")
class LeaksAThread(PlainStore):
    """Starts a janitor that outlives it."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        threading.Thread(target=threading.Event().wait, daemon=True).start()


@caught_by("test_sharing_that_is_not_declared_is_refused")
class SharesWithoutSayingSo(FiledStore):
    """Lets a second process in, and has never thought of one."""

    capabilities = frozenset({Capability.DURABLE})


@caught_by("test_capabilities_are_a_frozen_set_that_stays")
class DeclaresByName(PlainStore):
    """Declares words, not capabilities."""

    capabilities = frozenset({"durable"})  # type: ignore[arg-type]


@caught_by("test_everything_is_there_after_reopening")
class DeclaresWhatItHasNot(PlainStore):
    """Copied the line with the capabilities."""

    capabilities = frozenset({Capability.DURABLE})


@caught_by("test_everything_is_there_after_reopening")
class ForgetsLeasesWhenItCloses(FiledStore):
    """Keeps leases of a process no longer than the process."""

    closed = False

    def close(self) -> None:
        if not self.closed:
            with self.session() as state:
                state.leases.clear()
        self.closed = True
        super().close()


@caught_by("test_each_write_survives_that_its_process_is_killed_at_once")
class CommitsNowAndThen(FiledStore):
    """Acknowledges first and writes every tenth state, and the last one when it is closed."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.calls = 0

    def begin(self) -> None:
        if not self.database.in_transaction:
            super().begin()

    def commit(self) -> None:
        self.calls += 1
        if self.calls % 10 == 0:
            super().commit()

    def close(self) -> None:
        with self.lock:
            if self.calls % 10:
                self.calls = 9
                self.commit()
        super().close()


@caught_by("test_a_put_that_is_killed_leaves_nothing_visible")
class InsertsTheRowFirst(FiledStore):
    """Makes a content visible, then writes its chunks, and cleans up if they fail: unless it is killed."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        with self.session() as state:
            there = content.sha256 in state.contents
            state.contents.setdefault(content.sha256, (content, content.sha256.hex()))
        if there:
            return
        try:
            kept = self.keep(chunks)
        except BaseException:
            self.discard([content.sha256])
            raise
        with self.session() as state:
            state.contents[content.sha256] = (content, kept)


@caught_by("test_a_large_content_costs_no_memory")
class JoinsTheChunks(FiledStore):
    """Collects the content before it writes it."""

    def keep(self, chunks: Iterable[bytes]) -> object:
        return super().keep([b"".join(chunks)])


@caught_by("test_each_question_on_a_second_handle_sees_each_write_at_once")
class CachesWhatItRead(FiledStore):
    """Answers from what it read first."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.cache: State | None = None

    def session(self) -> AbstractContextManager[State]:
        return self._cached()

    @contextmanager
    def _cached(self) -> Iterator[State]:
        with super().session() as state:
            if self.cache is not None:
                for name in ("contents", "references", "files", "leases", "arrivals"):
                    setattr(state, name, getattr(self.cache, name))
            self.cache = state
            yield state


@caught_by("test_a_second_handle_does_not_see_a_put_that_has_not_ended")
class ShowsAPutToOthers(InsertsTheRowFirst):
    """The same fault, as a second process sees it."""


@caught_by("test_of_several_processes_exactly_one_takes_a_claim")
class ReadsOutsideItsTransaction(FiledStore):
    """Reads in one transaction and writes in the next, under a lock that other processes do not know."""

    @contextmanager
    def _transaction(self) -> Iterator[State]:
        with self.lock:
            with super()._transaction() as state:
                pass
            time.sleep(0.002)  # the round trip
            yield state
            with super()._transaction() as newer:
                for name in ("contents", "references", "files", "leases", "arrivals"):
                    setattr(newer, name, getattr(state, name))
