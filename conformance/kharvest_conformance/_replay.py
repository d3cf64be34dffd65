"""Does again what a failed test did, to find out which of its reads the failure does not need."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from kharvest.spi import Page, Query, Store
from kharvest_conformance._samples import sample_of
from kharvest_conformance._transcript import Call, Drawing, Entry, Opening, shown_item

_SECONDS = 2.0
"""How long a program is made shorter."""
_PATIENCE_SECONDS = 10.0
"""How long a store may hang meanwhile."""
_READS = frozenset({"references", "files", "known", "newest", "present", "read", "contents", "now_ns"})

Fresh = Callable[[], contextlib.AbstractContextManager[Callable[[], Store]]]


class _CannotBeReplayed(Exception):
    """Something was done that is not only a matter of calls one after the other."""


def without_needless_reads(entries: Sequence[Entry], fresh: Fresh) -> Sequence[Entry]:
    """The entries without those reads that change nothing of how the last call ends; all if that cannot be found out.

    What the last call should have answered does not depend on reads, so what is left still shows the failure. Each
    `fresh()` gives a fresh place, and what opens stores there.
    """
    found: list[Sequence[Entry]] = [entries]

    def search() -> None:
        with contextlib.suppress(Exception):
            found.extend(_shorter(entries, lambda tried: _ended(tried, fresh)))

    thread = threading.Thread(target=search, daemon=True)
    thread.start()
    thread.join(_PATIENCE_SECONDS)
    return found[-1]


def _shorter(entries: Sequence[Entry], ended: Callable[[Sequence[Entry]], object]) -> Iterator[Sequence[Entry]]:
    """Ever shorter ways to the same end."""
    last = _call(entries[-1])
    threads = {entry.thread for entry in entries if isinstance(entry, Call)}
    if last is None or len(threads) > 1 or any(isinstance(one, Call) and one.nested for one in entries):
        return
    end = _end(last, entries)
    needed = _that_lead_to(last, entries)
    needless = [one for one in map(_call, entries) if one and one.method in _READS and id(one) not in needed]
    until = time.monotonic() + _SECONDS
    if ended(entries) != end:
        return
    tries = [needless, *([one] for one in reversed(needless))]
    left = entries
    for dropped in tries:
        tried = [one for one in left if not any(_call(one) is gone for gone in dropped)]
        if len(tried) < len(left) and ended(tried) == end:
            left = tried
            yield left
        if dropped is needless and left is not entries:
            return
        if time.monotonic() > until:
            return


def _that_lead_to(last: Call, entries: Sequence[Entry]) -> set[int]:
    """The last call, and the pages from which its cursor came."""
    found = {id(last)}
    cursor = _cursor(last)
    for call in reversed([one for one in entries if isinstance(one, Call)]):
        if cursor is not None and isinstance(call.answer, Page) and call.answer.next_cursor == cursor:
            found.add(id(call))
            cursor = _cursor(call)
    return found


def _cursor(call: Call) -> str | None:
    query = call.arguments[0] if call.arguments else None
    return query.cursor if isinstance(query, Query) else None


def _call(entry: Entry) -> Call | None:
    """The call that an entry is of."""
    if isinstance(entry, Drawing):
        return entry.call
    return entry if isinstance(entry, Call) else None


def _end(last: Call, entries: Sequence[Entry]) -> object:
    """How the last call ended: its answer or its error, and what was drawn."""
    drawn = [(one.items, one.ended, one.error) for one in entries if isinstance(one, Drawing) and one.call is last]
    answer = last.answer.items if isinstance(last.answer, Page) else last.answer
    return (answer, last.error, drawn)


def _ended(entries: Sequence[Entry], fresh: Fresh) -> object:
    """How the last call of entries ends on a fresh place."""
    with fresh() as opened:
        return _Replay(opened).run(entries)


class _Replay:
    """The state of one replay."""

    def __init__(self, opened: Callable[[], Store]) -> None:
        self.opened = opened
        self.stores: dict[str, Store] = {}
        self.cursors: dict[str, str | None] = {}
        self.readers: dict[int, Iterator[object]] = {}
        self.again: dict[int, Call] = {}

    def run(self, entries: Sequence[Entry]) -> object:
        """How the last call ends."""
        done: list[Entry] = []
        for entry in entries:
            if isinstance(entry, Opening):
                self.stores[entry.store] = self.opened()
            elif isinstance(entry, Call):
                done.append(self.call(entry))
            elif isinstance(entry, Drawing):
                done.append(self.draw(entry))
            else:
                raise _CannotBeReplayed
        last = _call(done[-1])
        return _end(last, done) if last else None

    def call(self, call: Call) -> Call:
        """Make a call again."""
        made = replace(call, answer=call.answer, error=None)
        self.again[id(call)] = made
        arguments = [self.argument(call, one) for one in call.arguments]
        try:
            answer = getattr(self.stores[call.store], call.method)(*arguments)
        except Exception as error:  # noqa: BLE001  # whatever it raised before
            made.error = type(error)
            return made
        if call.method in ("read", "contents"):
            self.readers[id(call)] = iter(answer)
            return made
        if isinstance(answer, Page) and isinstance(call.answer, Page) and call.answer.next_cursor is not None:
            self.cursors[call.answer.next_cursor] = answer.next_cursor
        if answer is not None:
            made.answer = answer
        return made

    def argument(self, call: Call, argument: object) -> object:
        """An argument of a call, to be given again."""
        if isinstance(argument, Query) and argument.cursor in self.cursors:
            return replace(argument, cursor=self.cursors[argument.cursor])
        if hasattr(argument, "__next__"):
            sample = sample_of(getattr(call.arguments[0], "sha256", b""))
            if sample is None:
                raise _CannotBeReplayed
            return iter(sample.chunks())
        if type(argument) in (list, set, dict):
            return argument.copy()  # type: ignore[attr-defined]
        return argument

    def draw(self, drawing: Drawing) -> Drawing:
        """Draw as many items again."""
        made = Drawing(self.again[id(drawing.call)])
        reader = self.readers.get(id(drawing.call), iter(()))
        try:
            for _number in range(len(drawing.items) + (drawing.ended or drawing.error is not None)):
                made.items.append(shown_item(next(reader)))
        except StopIteration:
            made.ended = True
        except Exception as error:  # noqa: BLE001  # whatever it raised before
            made.error = type(error)
        if drawing.closed:
            close = getattr(reader, "close", None)
            if close is not None:
                close()
        return made
