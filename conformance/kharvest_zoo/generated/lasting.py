"""Faults in what lasts, what others see, and who waits for whom."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from kharvest.spi import NO_METADATA
from kharvest_zoo.filed import FiledStore
from kharvest_zoo.generated.table import Rule, around, broken, change
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State

_WRITES = ("put", "discard", "record", "append", "forget", "claim", "release")
_READS = ("present", "read", "contents", "known", "newest", "references", "files")


@contextmanager
def _doing(store: Any, method: str) -> Iterator[None]:
    """Which method of a store a thread is in."""
    marks = store.__dict__.setdefault("marks", threading.local())
    before = getattr(marks, "method", "")
    marks.method = method
    try:
        yield
    finally:
        marks.method = before


def _does(store: Any) -> str:
    return str(getattr(store.__dict__.get("marks"), "method", ""))


def _marked(method: str, base: type[PlainStore]) -> Any:
    def wrap(self: Any, call: Any, *given: Any, **named: Any) -> Any:
        with _doing(self, method):
            return call(*given, **named)

    return around(method, wrap, base)


# writes that are not kept


def _own_view(method: str, flushes: bool) -> dict[str, Any]:
    """A handle that sees its own writes of one method at once, and keeps them later, or never."""

    @contextmanager
    def transaction(self: Any) -> Iterator[State]:
        with self.lock:
            self.begin()
            try:
                row = self.database.execute("SELECT pickled FROM state").fetchone()
                stored = row[0] if row else pickle.dumps(State())
                pending = self.__dict__.get("pending")
                state: State = pickle.loads(pending or stored)
                before = pickle.dumps(state)
                yield state
                after = pickle.dumps(state)
                if _does(self) == method:
                    if after != before:
                        self.pending = after
                elif after != before:
                    self.database.execute("INSERT OR REPLACE INTO state VALUES (1, ?)", (after,))
                    self.pending = None
            except BaseException:
                self.database.execute("ROLLBACK")
                raise
            self.commit()

    def close(self: Any) -> None:
        with self.lock:
            if flushes and self.__dict__.get("pending"):
                self.begin()
                self.database.execute("INSERT OR REPLACE INTO state VALUES (1, ?)", (self.pending,))
                self.commit()
                self.pending = None
            self.database.close()

    return {"_transaction": transaction, "close": close, method: _marked(method, FiledStore)}


for _method in _WRITES:
    broken(
        f"{_method}__kept_with_the_next_write",
        "keeps its effect with the next write of another kind",
        FiledStore,
        **_own_view(_method, False),
    )
    broken(
        f"{_method}__kept_when_closed",
        "keeps its effect when it is closed, or with another write",
        FiledStore,
        **_own_view(_method, True),
    )


def _forgets_at_opening(clear: Rule) -> Any:
    def opened(self: Any, address: str) -> None:
        FiledStore.__init__(self, address)
        with self.session() as state:
            clear(state)

    return opened


def _clear_leases(state: State) -> None:
    state.leases.clear()


def _clear_unreferenced(state: State) -> None:
    named = {content.sha256 for content in state.files.values()}
    for sha256 in state.contents.keys() - named:
        del state.contents[sha256]


def _clear_empty(state: State) -> None:
    for sha256 in [sha256 for sha256, (content, _) in state.contents.items() if not content.size]:
        del state.contents[sha256]


def _renumber(state: State) -> None:
    state.references = {one: number for number, one in enumerate(reversed(state.references))}


def _count_anew(state: State) -> None:
    state.arrivals = len(state.references)


def _clear_removals(state: State) -> None:
    for one in [one for one in state.references if one.signature.is_removal]:
        del state.references[one]


def _clear_files(state: State) -> None:
    state.files.clear()


def _clear_metadata(state: State) -> None:
    state.references = {replace(one, metadata=NO_METADATA): number for one, number in state.references.items()}


for _kind, _fault, _clear in (
    ("ends_leases", "ends all leases", _clear_leases),
    ("removes_unreferenced_contents", "removes contents that no file refers to", _clear_unreferenced),
    ("removes_empty_contents", "takes empty contents for broken ones", _clear_empty),
    ("renumbers_references", "numbers references of one time anew", _renumber),
    ("counts_anew", "counts anew from how many references are there", _count_anew),
    ("removes_removals", "takes removals for broken references", _clear_removals),
    ("removes_files", "loses the files", _clear_files),
    ("removes_metadata", "loses metadata", _clear_metadata),
):
    broken(f"open__{_kind}", f"on opening, {_fault}", FiledStore, __init__=_forgets_at_opening(_clear))

# what closing does


def _closes_all(self: Any) -> None:
    for other in list(_open.get(self.address, ())):
        other.database.close()
    _open.pop(self.address, None)


_open: dict[str, list[Any]] = {}


def _noted(self: Any, address: str) -> None:
    FiledStore.__init__(self, address)
    _open.setdefault(address, []).append(self)


broken("close__closes_other_handles", "closes all handles on the data", FiledStore, __init__=_noted, close=_closes_all)


def _ends_own_leases(self: Any) -> None:
    if not self.__dict__.get("ended"):
        self.ended = True
        with self.session() as state:
            for key in self.__dict__.get("claimed", ()):
                state.leases.pop(key, None)
    FiledStore.close(self)


def _notes_leases(self: Any, call: Any, *given: Any) -> Any:
    answer = call(*given)
    self.__dict__.setdefault("claimed", set()).update(answer)
    return answer


broken(
    "close__ends_its_leases",
    "ends the leases that were taken with this handle",
    FiledStore,
    close=_ends_own_leases,
    claim=around("claim", _notes_leases, FiledStore),
)


def _waits_for_readers(self: Any) -> None:
    for _ in range(600):
        if not self.__dict__.get("readers"):
            break
        time.sleep(0.1)
    PlainStore.close(self)


def _counted(self: Any, call: Any, *given: Any, **named: Any) -> Iterator[Any]:
    def drawn() -> Iterator[Any]:
        self.readers = self.__dict__.get("readers", 0) + 1
        try:
            yield from items
        finally:
            self.readers -= 1

    items = call(*given, **named)
    return drawn()


for _method in ("read", "contents"):
    broken(
        f"close__waits_for_{_method}",
        f"waits until what `{_method}` gave is drawn",
        close=_waits_for_readers,
        **{_method: around(_method, _counted)},
    )

# locks


def _held_while_drawn(self: Any, call: Any, *given: Any, **named: Any) -> Iterator[Any]:
    items = call(*given, **named)

    def drawn() -> Iterator[Any]:
        with self.session():
            yield from items

    return drawn()


def _held_while_drawing(self: Any, call: Any, content: Any, chunks: Any) -> None:
    with self.session():
        call(content, chunks)


def _drawn_on_the_connection(self: Any, call: Any, *given: Any, **named: Any) -> Iterator[Any]:
    items = call(*given, **named)
    gate = self.__dict__.setdefault("gate", threading.BoundedSemaphore(5))

    def drawn() -> Iterator[Any]:
        with gate:
            yield from items

    return drawn()


def _needs_a_place(self: Any, call: Any, content: Any, chunks: Any) -> None:
    with self.__dict__.setdefault("gate", threading.BoundedSemaphore(5)):
        call(content, chunks)


for _base in (PlainStore, FiledStore):
    _suffix = "" if _base is PlainStore else "_in_a_file"
    for _method in ("read", "contents"):
        change(_method, f"holds_the_lock{_suffix}", "holds the lock while the caller draws", _held_while_drawn, _base)
        change(
            _method,
            f"holds_one_of_five_places{_suffix}",
            "holds a connection of five while the caller draws",
            _drawn_on_the_connection,
            _base,
        )
    change("put", f"holds_the_lock{_suffix}", "holds the lock while it draws chunks", _held_while_drawing, _base)
    change(
        "put",
        f"holds_one_of_five_places{_suffix}",
        "holds a connection of five while it draws chunks",
        _needs_a_place,
        _base,
    )


def _put_after_one_chunk(self: Any, call: Any, content: Any, chunks: Any) -> None:
    drawn = iter(chunks)
    first = next(drawn, None)
    with self.session():
        call(content, [] if first is None else (one for part in ([first], drawn) for one in part))


def _lock_of_the_content(self: Any, call: Any, content: Any, chunks: Any) -> None:
    with self.__dict__.setdefault("locks", {}).setdefault(content.sha256, threading.Lock()):
        call(content, chunks)


change(
    "put",
    "holds_the_lock_from_the_second_chunk",
    "holds the lock while it draws all chunks but the first",
    _put_after_one_chunk,
)
change(
    "put", "waits_for_another_of_the_content", "waits until another put of the content has ended", _lock_of_the_content
)


def _racing(method: str, seconds: float) -> dict[str, Any]:
    """One method copies the state without the lock, changes it, and puts it back a moment later."""

    @contextmanager
    def locked(self: Any) -> Iterator[State]:
        if _does(self) != method:
            with self.lock:
                yield self.state
            return
        copy = pickle.loads(pickle.dumps(self.state))
        yield copy
        time.sleep(seconds)
        self.state = copy

    return {"_locked": locked, method: _marked(method, PlainStore)}


for _method in _WRITES:
    broken(f"{_method}__takes_no_lock", "reads, changes and writes without a lock", **_racing(_method, 0.005))


def _seen_in_part(method: str) -> Any:
    """Shows a batch before it is whole: the lock is given up in its middle."""

    def wrap(self: Any, call: Any, files: Any, references: Any) -> Any:
        whole = list(references)
        middle = len(whole) // 2
        first = call(files, whole[:middle])
        time.sleep(0.002)
        second = call(dict(files), whole[middle:])
        return None if first is None else first + second

    return wrap


for _method in ("record", "append"):
    change(_method, "shows_a_batch_in_part", "writes a batch in two, and rests between", _seen_in_part(_method))


def _one_by_one(self: Any, call: Any, items: Any, *rest: Any) -> Any:
    answer: set[Any] = set()
    for item in items:
        answer |= call([item], *rest) or set()
    return answer if rest and len(rest) == 3 else None


for _method in ("discard", "claim", "release"):
    change(_method, "works_one_by_one", "does a batch one by one", _one_by_one)


def _read_one_by_one(self: Any, call: Any, items: Any) -> Any:
    answer: dict[Any, Any] = {}
    for item in items:
        answer |= call([item])
    return answer


for _method in ("present", "known", "newest"):
    change(_method, "asks_one_by_one", "asks one by one: an answer shows several moments", _read_one_by_one)


def _forget_one_by_one(self: Any, call: Any, query: Any) -> int:
    done = 0
    while done < query.limit and call(replace(query, limit=1)):
        done += 1
    return done


change("forget", "removes_one_by_one", "removes one by one, each in a transaction", _forget_one_by_one)


def _half_of_limit(self: Any, call: Any, query: Any) -> int:
    return int(call(replace(query, limit=max(1, query.limit // 2))))


change("forget", "removes_fewer_than_match", "removes half of the limit at most", _half_of_limit)
