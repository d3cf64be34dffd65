"""The log: every change of the store, numbered, in an order that all processes agree on.

Segment `n` is the object `log/n`. It is made by exclusive create, and only by a process that has done all segments
before it: so there is one history, and whoever makes a segment has checked its operations against the very state that
they change. That makes batches atomic, of two conflicts one win, and of several takers of a claim exactly one: whoever
comes second finds the number taken, does what was written there first, and checks anew.

**Trimming must not fork the history.** Segments that a checkpoint covers are removed some day. A process that slept
since before one was made must not come back, find the number free again, and believe itself acknowledged. Let `seen`
be the time (of a clock of its own that neither jumps nor stops when the machine sleeps) at which it last began to
look, and found that its next number was not there.

1. A segment is removed no earlier than `retention` after it was made, by the clock of the place, and never before
   there is a checkpoint that covers it (see `checkpoints`).
2. So a segment that was not there at `seen`, and was made since, stays until `seen + retention` at least. Before that
   time, what a look or a create says of the next number is true. We trust it for `trust`, far less than `retention`:
   clocks may run differently, and jump a little.
3. After that time, the list of checkpoints is read *after* the look or the create. If none covers the next number,
   then no segment of that number was ever removed: the answer was true. If one does, the answer says nothing: the
   process takes its state from that checkpoint. What it created may then be a leftover at a number that everybody else
   has passed, which no one will read again; its callers are told that they must try again.

The newest checkpoint is never removed, so the list in 3 has it. The argument leans on the place's clock only for the
difference of two of its times, and on ours only for a span of minutes: that either is wrong by hours does not matter.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

from kharvest.spi import GroupCommit, StoreError, StoreUnavailable
from kharvest_fsspec import _codec as codec
from kharvest_fsspec import _frames as frames
from kharvest_fsspec._bucket import Bucket, Exists, Missing
from kharvest_fsspec._frames import Header
from kharvest_fsspec._index import REFUSALS, Change, Index
from kharvest_fsspec._operations import Operation

RETENTION_SECONDS = 24 * 3600.0
TRUST_SECONDS = 600.0

_MOST_AT_ONCE = 64
"""Segments that are read at once when there is much to catch up with."""
_MOST_ROUNDS = 500
"""How often in a row others may be faster before we give up: each time, somebody's write went through."""
_WRITER_BYTES = 16


def boot_clock() -> float:
    """Seconds on a clock that goes on while the machine sleeps, and that nobody sets."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def segment_name(number: int) -> str:
    """The object of a segment. Names sort as numbers do."""
    return f"log/{number:020}"


class Request:
    """One caller's wish: that its operation is done, or, without one, that the index is as new as the log.

    `encoded` is the operation as the log will have it, and `operation` is decoded from that: so who writes it does
    exactly what they do who read it, also where two values are equal, but not the same object.
    """

    __slots__ = ("_answer", "_error", "encoded", "operation")

    def __init__(self, operation: Operation | None = None) -> None:
        self.encoded = b"" if operation is None else codec.encode(operation)
        self.operation = None if operation is None else codec.decode(codec.body_of([self.encoded]))[0]
        self._answer: Any = None
        self._error: Exception | None = None

    def answer(self, answer: Any) -> None:
        """Set what it comes to, unless it is set anew."""
        self._answer, self._error = answer, None

    def fail(self, error: Exception) -> None:
        self._answer, self._error = None, error

    @property
    def outcome(self) -> Any:
        """What it came to: an answer, or an error."""
        return self._answer if self._error is None else self._error


class _Behind(Exception):
    """The log may have been trimmed beyond what we know: the next state comes from a checkpoint.

    `created`: found out after we made a segment, which is then in nobody's history, or in everybody's.
    """

    def __init__(self, created: bool) -> None:
        super().__init__()
        self.created = created


class Log:
    """The log of one store, and this process's place in it. Only the leader of a group writes to the index.

    `newest_checkpoint` tells the highest number that a checkpoint covers, 0 if none; `reload` takes the index there.
    At `seen`, by `clock`, none covered more than the index does. `wrote` is told of every segment that this process
    made; `bytes_done` grows by each that it made or did.
    """

    def __init__(
        self,
        bucket: Bucket,
        store: bytes,
        index: Index,
        *,
        newest_checkpoint: Callable[[], int],
        reload: Callable[[], None],
        seen: float,
        clock: Callable[[], float] = boot_clock,
        trust_seconds: float = TRUST_SECONDS,
    ) -> None:
        self._bucket = bucket
        self._store = store
        self._index = index
        self._newest_checkpoint = newest_checkpoint
        self._reload = reload
        self.wrote: Callable[[], None] = _nobody
        self._clock = clock
        self._trust_seconds = trust_seconds
        self._groups: GroupCommit[Request, Any] = GroupCommit(
            self._answer,
            is_shared=lambda error: isinstance(error, StoreError),
            shared_by_all=(StoreUnavailable,),
        )
        self._number = index.number()
        self._seen = seen
        self.bytes_done = 0

    @property
    def number(self) -> int:
        """The last segment that the index has done."""
        return self._number

    def refresh(self) -> None:
        """See to it that the index has all that was in the log when this was called."""
        self._groups.run(Request())

    def write(self, operation: Operation) -> Any:
        """Do an operation; when this returns, it is in the log. Returns what it answers, or raises what it raises."""
        return self._groups.run(Request(operation))

    def _answer(self, group: Sequence[Request]) -> list[Any]:
        self._serve(group)
        return [request.outcome for request in group]

    def _serve(self, group: Sequence[Request]) -> None:
        writers = [request for request in group if request.operation is not None]
        for _round in range(_MOST_ROUNDS):
            try:
                if not writers:
                    self._catch_up()
                    return
                # Whoever makes the next segment knows by that alone that it had done all others.
                if self._write(writers):
                    return
            except _Behind as behind:
                self._start_over()
                if behind.created:
                    reason = f"this process slept while others went on beyond segment {self._number}"
                    raise StoreUnavailable(reason, "try again") from None
        raise StoreUnavailable(f"others were faster {_MOST_ROUNDS} times in a row", "try again")

    def _start_over(self) -> None:
        began = self._clock()
        self._reload()
        self._number = self._index.number()
        self._seen = began

    def _write(self, writers: Sequence[Request]) -> bool:
        """Do what is wanted and make a segment of it; False if it has to be checked anew in another state."""
        header = Header(frames.SEGMENT, self._number + 1, self._store, secrets.token_bytes(_WRITER_BYTES))
        with self._index.change() as transaction:
            change = Change(transaction)
            done = _attempt(change, writers)
            data = frames.pack(header, codec.body_of([request.encoded for request in done]))
            began = self._clock()
            made = bool(done) and self._create(header, data)
            if made:
                change.finish(header.number)
            elif done:
                transaction.undo()
        if not made:
            # If nothing was to be written, what they were answered holds in the newest state only.
            return not self._catch_up() and not done
        self._seen = began  # then, the one after ours was not there: it comes from who has done ours
        self._advance(header.number, len(data))
        self.wrote()
        return True

    def _create(self, header: Header, data: bytes) -> bool:
        name = segment_name(header.number)
        try:
            self._bucket.create(name, data)
        except Exists:
            # Clients send again what was not answered in time: the winner may be us.
            if not self._is_ours(name, header):
                return False
        except StoreUnavailable:
            if not self._is_ours(name, header):
                raise
        self._check(header.number, created=True)
        return True

    def _is_ours(self, name: str, header: Header) -> bool:
        try:
            data = self._bucket.get(name)
        except Missing:
            return False
        return data[: frames.HEADER.size] == header.pack()

    def _catch_up(self) -> bool:
        """Do the segments that we have not done yet; whether there were any."""
        first = self._number + 1
        at_once = 1
        while True:
            began = self._clock()
            found = self._look(at_once)
            self._check(self._number + 1)
            if found:
                self._do(found)
            if len(found) < at_once:
                self._seen = began
                return self._number >= first
            at_once = min(2 * at_once, _MOST_AT_ONCE)

    def _look(self, at_once: int) -> list[bytes]:
        """The next segments, as many as follow each other."""
        if at_once == 1:
            try:
                return [self._bucket.get(segment_name(self._number + 1))]
            except Missing:
                return []
        names = [segment_name(self._number + 1 + ahead) for ahead in range(at_once)]
        found = self._bucket.get_some(names)
        following = []
        for name in names:
            if name not in found:
                break
            following.append(found[name])
        return following

    def _check(self, number: int, *, created: bool = False) -> None:
        """See to it that what was just found out about segment `number` is true: see the top of this page."""
        if self._clock() - self._seen > self._trust_seconds and self._newest_checkpoint() >= number:
            raise _Behind(created)

    def _do(self, segments: Sequence[bytes]) -> None:
        number = self._number
        with self._index.change() as transaction:
            change = Change(transaction)
            for data in segments:
                number += 1
                name = segment_name(number)
                _header, body = frames.unpack(name, data, frames.SEGMENT, number, self._store)
                try:
                    for operation in codec.decode(body):
                        change.do(operation)
                except (ValueError, KeyError, TypeError, StoreError) as error:
                    raise frames.damaged(name, f"it does not follow from those before it ({error})") from error
            change.finish(number)
        for data in segments:
            self._advance(self._number + 1, len(data))

    def _advance(self, number: int, size: int) -> None:
        self._number = number
        self.bytes_done += size


def _nobody() -> None:
    pass


def _attempt(change: Change, writers: Sequence[Request]) -> list[Request]:
    """Settle each request by itself; return those that changed something, in the order in which they did."""
    done: list[Request] = []
    for request in writers:
        if request.operation is not None:
            try:
                answer, changed = change.attempt(request.operation)
            except REFUSALS as error:
                request.fail(error)
            else:
                request.answer(answer)
                if changed:
                    done.append(request)
    return done
