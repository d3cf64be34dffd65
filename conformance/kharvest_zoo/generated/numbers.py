"""Faults in numbers and digests: times, limits, offsets and leases that are rounded, or off by one."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from kharvest.spi import MAX_TIME_NS, Content, InvalidValue, Order, Page, Query, Reference, Signature, encode_cursor
from kharvest_zoo.generated.table import Rule, around, broken, change
from kharvest_zoo.plain import PlainStore, Rank
from kharvest_zoo.state import State

Number = Callable[[int], int]
Digest = Callable[[bytes], bytes]

_ROUNDED: dict[str, tuple[str, Rule]] = {
    "as_a_float": ("as a float", lambda at: min(int(float(at)), MAX_TIME_NS)),
    "in_seconds_as_a_float": ("as a float of seconds", lambda at: min(int(at / 1e9 * 1e9), MAX_TIME_NS)),
    "in_microseconds": ("in microseconds", lambda at: at // 1000 * 1000),
    "in_nearest_microseconds": ("in microseconds, rounded", lambda at: min((at + 500) // 1000 * 1000, MAX_TIME_NS)),
    "in_hundreds": ("in units of 100 ns", lambda at: at // 100 * 100),
    "in_milliseconds": ("in milliseconds", lambda at: at // 10**6 * 10**6),
    "in_seconds": ("in seconds", lambda at: at // 10**9 * 10**9),
    "in_53_bits": ("in 53 bits", lambda at: min(at, 2**53)),
    "in_62_bits": ("in 62 bits", lambda at: min(at, 2**62)),
    "in_32_bits_of_seconds": ("in 32 signed bits of seconds", lambda at: min(at, (2**31 - 1) * 10**9 + at % 10**9)),
    "up_to_9999": ("below the largest", lambda at: min(at, MAX_TIME_NS - 1)),
    "from_one_on": ("from 1 on", lambda at: max(at, 1)),
    "as_a_float_of_32_bits": (
        "as a short float",
        lambda at: min(int(struct.unpack("f", struct.pack("f", at))[0]), MAX_TIME_NS),
    ),
}


def _stored_at(number: Number) -> Any:
    def add(self: Any, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        PlainStore.add(self, state, files, replace(reference, observed_at_ns=number(reference.observed_at_ns)))

    return add


def _summary(first: Number, last: Number) -> Any:
    def summary(self: Any, state: State, signature: Signature, references: list[Reference]) -> Any:
        made = PlainStore.summary(self, state, signature, references)
        return replace(made, first_seen_ns=first(made.first_seen_ns), last_seen_ns=last(made.last_seen_ns))

    return summary


def _same(at: int) -> int:
    return at


for _kind, (_fault, _number) in _ROUNDED.items():
    broken(f"record__stores_times_{_kind}", f"stores times {_fault}", add=_stored_at(_number))
    broken(
        f"query__compares_until_{_kind}",
        f"compares until {_fault}",
        is_before=lambda self, reference, until_ns, number=_number: (
            until_ns is None or number(reference.observed_at_ns) < number(until_ns)
        ),
    )
    broken(
        f"query__asks_until_{_kind}",
        f"asks for until {_fault}",
        is_before=lambda self, reference, until_ns, number=_number: (
            until_ns is None or reference.observed_at_ns < number(until_ns)
        ),
    )
    broken(
        f"query__compares_since_{_kind}",
        f"compares since {_fault}",
        is_since=lambda self, reference, since_ns, number=_number: (
            since_ns is None or number(reference.observed_at_ns) >= number(since_ns)
        ),
    )
    broken(
        f"query__asks_since_{_kind}",
        f"asks for since {_fault}",
        is_since=lambda self, reference, since_ns, number=_number: (
            since_ns is None or reference.observed_at_ns >= number(since_ns)
        ),
    )
    broken(
        f"query__orders_times_{_kind}",
        f"orders by times {_fault}",
        rank=lambda self, state, reference, number=_number: (
            number(reference.observed_at_ns),
            state.references[reference],
        ),
    )
    broken(f"files__first_seen_{_kind}", f"has first times {_fault}", summary=_summary(_number, _same))
    broken(f"files__last_seen_{_kind}", f"has last times {_fault}", summary=_summary(_same, _number))
    change(
        "claim",
        f"stores_ends_{_kind}",
        f"stores ends of leases {_fault}",
        lambda self, call, keys, holder, now_ns, until_ns, number=_number: call(keys, holder, now_ns, number(until_ns)),
    )
    change(
        "claim",
        f"compares_now_{_kind}",
        f"takes now {_fault}",
        lambda self, call, keys, holder, now_ns, until_ns, number=_number: call(keys, holder, number(now_ns), until_ns),
    )
    change(
        "claim",
        f"compares_both_{_kind}",
        f"takes all times {_fault}",
        lambda self, call, keys, holder, now_ns, until_ns, number=_number: call(
            keys, holder, number(now_ns), number(until_ns)
        ),
    )

    def _later(self: Any, before: int, given: int, number: Number = _number) -> int:
        return max(given, number(before) + 1 if before >= 0 else 0)

    broken(f"append__compares_times_{_kind}", f"takes the time of the newest {_fault}", later=_later)

for _kind, _fault, _changes in (
    (
        "until_inclusive",
        "takes until as inclusive",
        {"is_before": lambda self, one, until_ns: until_ns is None or one.observed_at_ns <= until_ns},
    ),
    (
        "until_too_early",
        "stops before until",
        {"is_before": lambda self, one, until_ns: until_ns is None or one.observed_at_ns < until_ns - 1},
    ),
    (
        "since_exclusive",
        "takes since as exclusive",
        {"is_since": lambda self, one, since_ns: since_ns is None or one.observed_at_ns > since_ns},
    ),
    (
        "since_exclusive_but_for_zero",
        "takes since as exclusive",
        {"is_since": lambda self, one, since_ns: not since_ns or one.observed_at_ns > since_ns},
    ),
    (
        "since_too_early",
        "begins before since",
        {"is_since": lambda self, one, since_ns: since_ns is None or one.observed_at_ns >= since_ns - 1},
    ),
):
    broken(f"query__{_kind}", _fault, **_changes)

for _kind, _fault, _later_by in (
    ("keeps_the_given", "keeps the given time always", lambda before, given: given),
    ("gives_the_same", "gives the time of the newest", max),
    (
        "gives_two_later",
        "gives the time of the newest plus two",
        lambda before, given: max(given, before + 2) if before >= 0 else given,
    ),
    (
        "gives_one_more_always",
        "gives the time of the newest plus one always",
        lambda before, given: before + 1 if before >= 0 else given,
    ),
    (
        "keeps_an_equal",
        "keeps a time that equals the newest",
        lambda before, given: given if given >= before else before + 1,
    ),
    (
        "moves_the_next",
        "moves a time that is one later",
        lambda before, given: given if given > before + 1 or before < 0 else before + 1 + (given == before + 1),
    ),
    (
        "gives_a_microsecond_later",
        "gives the time of the newest plus a microsecond",
        lambda before, given: given if given > before else before + 1000,
    ),
    (
        "adds_when_far_back",
        "moves only what is less than a second back",
        lambda before, given: max(given, before + 1) if before - given < 10**9 else given,
    ),
    (
        "stops_at_the_largest",
        "gives the largest time again",
        lambda before, given: min(max(given, before + 1), MAX_TIME_NS),
    ),
    (
        "fails_at_the_largest",
        "has no largest time",
        lambda before, given: max(given, before + 1) if max(given, before + 1) < MAX_TIME_NS else MAX_TIME_NS + 1,
    ),
    (
        "fails_at_62_bits",
        "has a smaller largest time",
        lambda before, given: max(given, before + 1) if max(given, before + 1) < 2**62 else MAX_TIME_NS + 1,
    ),
    ("wraps", "begins at zero again", lambda before, given: max(given, before + 1) if before < MAX_TIME_NS else 0),
):
    broken(f"append__{_kind}", _fault, later=lambda self, before, given, later=_later_by: later(before, given))


def _in_one_moment(self: Any, state: State, references: Any) -> Any:
    return [
        replace(one, observed_at_ns=self.later(self.last_time(state, one), one.observed_at_ns)) for one in references
    ]


def _of_all(self: Any, state: State, reference: Reference) -> int:
    return max((one.observed_at_ns for one in state.references), default=-1)


def _of_appended(self: Any, state: State, reference: Reference) -> int:
    appended = self.__dict__.setdefault("appended", {})
    return int(appended.get(reference.timeline, -1))


def _append_noted(self: Any, call: Any, files: Any, references: Any) -> Any:
    answer = call(files, references)
    for one in answer:
        self.__dict__.setdefault("appended", {})[one.timeline] = one.observed_at_ns
    return answer


def _of_first(self: Any, state: State, reference: Reference) -> int:
    return min((one.observed_at_ns for one in state.references if one.timeline == reference.timeline), default=-1)


def _of_last_arrival(self: Any, state: State, reference: Reference) -> int:
    return next((one.observed_at_ns for one in reversed(state.references) if one.timeline == reference.timeline), -1)


def _without_removals(self: Any, state: State, reference: Reference) -> int:
    return max(
        (
            one.observed_at_ns
            for one in state.references
            if one.timeline == reference.timeline and not one.signature.is_removal
        ),
        default=-1,
    )


def _of_signature(self: Any, state: State, reference: Reference) -> int:
    return max(
        (
            one.observed_at_ns
            for one in state.references
            if one.signature == reference.signature and one.pod == reference.pod
        ),
        default=-1,
    )


broken("append__looks_once_for_a_batch", "looks for the newest before the batch", timed=_in_one_moment)
broken("append__after_the_newest_of_all", "takes the newest of all timelines", last_time=_of_all)
broken("append__after_the_first", "takes the oldest of the timeline", last_time=_of_first)
broken("append__after_the_last_arrival", "takes what was recorded last", last_time=_of_last_arrival)
broken("append__passes_over_removals", "takes the newest that is no removal", last_time=_without_removals)
broken("append__after_the_same_version", "takes the newest of the file version", last_time=_of_signature)
for _method in ("record", "forget"):

    def _remembers(self: Any, state: State, reference: Reference, method: str = _method) -> int:
        known = self.__dict__.setdefault("newest_times", {})
        if reference.timeline not in known:
            known[reference.timeline] = PlainStore.last_time(self, state, reference)
        return int(known[reference.timeline])

    def _noted(self: Any, call: Any, files: Any, references: Any) -> Any:
        answer = call(files, references)
        for one in answer:
            self.__dict__.setdefault("newest_times", {})[one.timeline] = one.observed_at_ns
        return answer

    def _cleared(self: Any, call: Any, *given: Any) -> Any:
        self.__dict__.pop("newest_times", None)
        return call(*given)

    _clearing = "forget" if _method == "record" else "record"
    broken(
        f"append__remembers_the_newest_in_spite_of_{_method}",
        f"remembers the newest of each timeline, and does not look again after {_method}",
        last_time=_remembers,
        append=around("append", _noted),
        **{_clearing: around(_clearing, _cleared)},
    )

# leases

for _kind, _fault, _is_free in (
    (
        "ends_later",
        "takes a lease as held at its end",
        lambda owner, until, holder, now: owner == holder or until < now,
    ),
    (
        "ends_earlier",
        "takes a lease as ended a nanosecond early",
        lambda owner, until, holder, now: owner == holder or until - 1 <= now,
    ),
    (
        "ends_a_second_later",
        "allows for a second",
        lambda owner, until, holder, now: owner == holder or until + 10**9 <= now,
    ),
    ("never_ends", "does not look at the end", lambda owner, until, holder, now: owner == holder),
    ("takes_all", "takes what others hold", lambda owner, until, holder, now: True),
    (
        "extends_only_held",
        "does not extend a lease that has ended",
        lambda owner, until, holder, now: until <= now if owner != holder else until > now or until == 0,
    ),
    ("refuses_to_extend", "does not extend a lease", lambda owner, until, holder, now: until <= now),
):
    broken(
        f"claim__{_kind}",
        _fault,
        is_free=lambda self, state, key, holder, now_ns, test=_is_free: test(
            *state.leases.get(key, (holder, 0)), holder, now_ns
        ),
    )


def _with_end(end: Rule) -> Any:
    """Stores another end: made of that before (-1 if none), that which is given, and now."""

    def claim(self: Any, call: Any, keys: Any, holder: str, now_ns: int, until_ns: int) -> Any:
        with self.session() as state:
            before = {key: state.leases[key] for key in keys if key in state.leases}
            taken = call(keys, holder, now_ns, until_ns)
            for key in taken:
                owner, ended = before.get(key, (holder, -1))
                state.leases[key] = (holder, end(ended if owner == holder else -1, until_ns, now_ns))
            return taken

    return claim


for _kind, _fault, _end in (
    ("keeps_the_later_end", "keeps the later end of two", lambda before, until, now: max(before, until)),
    (
        "keeps_the_earlier_end",
        "keeps the earlier end of two",
        lambda before, until, now: min(before, until) if before >= 0 else until,
    ),
    ("keeps_the_first_end", "keeps the first end", lambda before, until, now: before if before >= 0 else until),
    (
        "adds_to_the_end",
        "adds to the end before",
        lambda before, until, now: until if before < 0 else before + max(0, until - now),
    ),
    ("ends_never_before_now", "has no end before now", lambda before, until, now: max(until, now)),
    ("ends_after_now", "has no end at now", lambda before, until, now: max(until, now + 1)),
    (
        "ends_within_a_day",
        "ends after a day at the latest",
        lambda before, until, now: min(until, now + 86_400 * 10**9),
    ),
    (
        "ends_within_an_hour",
        "ends after an hour at the latest",
        lambda before, until, now: min(until, now + 3600 * 10**9),
    ),
    ("ends_after_a_second", "lasts a second at least", lambda before, until, now: max(until, now + 10**9)),
    ("stores_now", "stores now", lambda before, until, now: now),
):
    change("claim", _kind, _fault, _with_end(_end))


def _with_clock(alter: Rule) -> Any:
    def claim(self: Any, call: Any, keys: Any, holder: str, now_ns: int, until_ns: int) -> Any:
        return call(keys, holder, alter(self.now_ns(), now_ns), until_ns)

    return claim


change("claim", "looks_at_its_own_clock", "looks at its own clock", _with_clock(lambda own, given: own))
change("claim", "takes_the_later_clock", "takes the later of two clocks", _with_clock(max))
change("claim", "takes_the_earlier_clock", "takes the earlier of two clocks", _with_clock(min))


def _never_back(self: Any, call: Any, keys: Any, holder: str, now_ns: int, until_ns: int) -> Any:
    self.last_now = max(getattr(self, "last_now", 0), now_ns)
    return call(keys, holder, self.last_now, until_ns)


def _cleans_up(self: Any, call: Any, keys: Any, holder: str, now_ns: int, until_ns: int) -> Any:
    with self.session() as state:
        for key in [key for key, (_, end) in state.leases.items() if end <= now_ns]:
            del state.leases[key]
    return call(keys, holder, now_ns, until_ns)


def _gives_up_others(self: Any, call: Any, keys: Any, holder: str, now_ns: int, until_ns: int) -> Any:
    wanted = set(keys)
    with self.session() as state:
        for key in [key for key, (owner, _) in state.leases.items() if owner == holder and key not in wanted]:
            del state.leases[key]
    return call(keys, holder, now_ns, until_ns)


def _extends_others(self: Any, call: Any, keys: Any, holder: str, now_ns: int, until_ns: int) -> Any:
    taken = call(keys, holder, now_ns, until_ns)
    with self.session() as state:
        for key, (owner, _) in list(state.leases.items()):
            if owner == holder:
                state.leases[key] = (holder, until_ns)
    return taken


def _touches_refused(self: Any, call: Any, keys: Any, holder: str, now_ns: int, until_ns: int) -> Any:
    taken = call(keys, holder, now_ns, until_ns)
    with self.session() as state:
        for key in set(keys) - taken:
            state.leases[key] = (state.leases[key][0], until_ns)
    return taken


def _ends_refused(self: Any, call: Any, keys: Any, holder: str, now_ns: int, until_ns: int) -> Any:
    taken = call(keys, holder, now_ns, until_ns)
    with self.session() as state:
        for key in set(keys) - taken:
            del state.leases[key]
    return taken


change("claim", "never_goes_back", "takes the latest now that it was given", _never_back)
change("claim", "ends_leases_by_one_clock", "removes what has ended by the clock of one caller", _cleans_up)
change("claim", "gives_up_other_keys", "ends the holder's other leases", _gives_up_others)
change("claim", "extends_other_keys", "extends the holder's other leases", _extends_others)
change("claim", "extends_refused_keys", "extends the leases of others that it could not take", _touches_refused)
change("claim", "ends_refused_keys", "ends the leases of others that it could not take", _ends_refused)


def _release_by(test: Rule) -> Any:
    def release(self: Any, call: Any, keys: Any, holder: str) -> None:
        with self.session() as state:
            for key, (owner, _) in list(state.leases.items()):
                if test(owner, holder, key, keys):
                    del state.leases[key]

    return release


change(
    "release",
    "ends_all_of_the_holder",
    "ends all leases of the holder",
    _release_by(lambda owner, holder, key, keys: owner == holder),
)
change(
    "release",
    "ends_those_of_others",
    "ends leases of others too",
    _release_by(lambda owner, holder, key, keys: key in keys),
)
change("release", "ends_none", "ends nothing", _release_by(lambda owner, holder, key, keys: False))
change(
    "release",
    "ends_those_of_others_only",
    "ends leases of others",
    _release_by(lambda owner, holder, key, keys: key in keys and owner != holder),
)


def _release_all_or_none(self: Any, call: Any, keys: Any, holder: str) -> None:
    with self.session() as state:
        mine = all(state.leases.get(key, ("", 0))[0] == holder for key in keys)
    if mine:
        call(keys, holder)


def _release_strictly(self: Any, call: Any, keys: Any, holder: str) -> None:
    with self.session() as state:
        for key in keys:
            if key not in state.leases:
                raise KeyError(key)
    call(keys, holder)


change("release", "all_or_none", "ends nothing if one of the keys is not held", _release_all_or_none)
change("release", "fails_for_absent", "raises KeyError for a key that nobody holds", _release_strictly)

# limits and cursors

for _of, _first in (("references", True), ("files", False)):
    for _kind, _fault, _limit in (
        ("one_more", "gives one more than the limit", lambda limit: limit + 1),
        ("one_less", "gives one less than the limit", lambda limit: max(1, limit - 1)),
        ("a_thousand", "gives 1000 at most", lambda limit: min(limit, 1000)),
        ("as_it_likes", "gives 50 at least", lambda limit: max(limit, 50)),
        ("all", "gives all at once", lambda limit: 10_000),
    ):

        def _page(self: Any, call: Any, query: Query, limit: Number = _limit) -> Any:
            wanted = min(limit(query.limit), 10_000)
            page = call(replace(query, limit=wanted)) if query.cursor is None or wanted == query.limit else call(query)
            return page if wanted == query.limit else Page(page.items, page.next_cursor and _again(self, query, page))

        if _kind in {"a_thousand", "one_less"}:
            continue  # a page may be shorter
        change(_of, f"limit_{_kind}", _fault, _page)


def _again(self: Any, query: Query, page: Page[Any]) -> str:
    last = page.items[-1]
    if isinstance(last, Reference):
        with self.session() as state:
            return encode_cursor(query, *self.rank(state, last))
    return encode_cursor(query, last.signature.path, last.signature.md5.hex())


def _page_from(start: Rule) -> Any:
    def begin(self: Any, query: Query, ranks: list[Rank]) -> int:
        return int(start(PlainStore.start(self, query, ranks), query))

    return begin


broken(
    "references__begins_one_later",
    "skips one between pages",
    start=_page_from(lambda start, query: start + (query.cursor is not None)),
)
broken(
    "references__begins_one_earlier",
    "gives the last of a page again",
    start=_page_from(lambda start, query: max(0, start - 1)),
)
broken(
    "references__begins_one_later_newest_first",
    "skips one between pages, newest first",
    start=_page_from(lambda start, query: start + (query.cursor is not None and query.order is Order.NEWEST_FIRST)),
)


def _start_by_time(beyond: bool) -> Any:
    def begin(self: Any, query: Query, ranks: list[Rank]) -> int:
        start = PlainStore.start(self, query, ranks)
        if query.cursor is None or not start:
            return start
        at = ranks[start - 1][0]
        step = 1 if beyond else -1
        while 0 < start < len(ranks) and ranks[start if beyond else start - 1][0] == at:
            start += step
        return start

    return begin


broken("references__begins_behind_the_time", "goes on behind the time of the last", start=_start_by_time(True))
broken("references__begins_at_the_time", "goes on at the time of the last", start=_start_by_time(False))


def _offset_pages(self: Any, query: Query, ranks: list[Rank]) -> int:
    start = PlainStore.start(self, query, ranks)
    key = replace(query, cursor=None)
    counts = self.__dict__.setdefault("counts", {})
    if query.cursor is None:
        counts[key] = 0
        return 0
    counts[key] = counts.get(key, start - query.limit) + query.limit
    return int(counts[key])


broken("references__counts_pages", "finds the next page by how many were given", start=_offset_pages)


def _ties_stay(self: Any, call: Any, query: Query) -> Any:
    if query.order is Order.OLDEST_FIRST:
        return call(query)
    page = call(query)
    backwards = page.items[::-1]
    return Page(tuple(sorted(backwards, key=lambda one: -one.observed_at_ns)), page.next_cursor)


change(
    "references",
    "one_time_the_same_way_in_both_orders",
    "gives those of one time the same way in both orders",
    _ties_stay,
)

# offsets

for _kind, _fault, _offset in (
    ("one_later", "begins one byte later", lambda offset: offset + 1 if offset else 0),
    ("one_earlier", "begins one byte earlier", lambda offset: max(0, offset - 1)),
    ("ignored", "begins at the start always", lambda offset: 0),
    ("in_32_bits", "takes offsets of 32 bits", lambda offset: offset & 0xFFFFFFFF),
    ("in_16_bits", "takes offsets of 16 bits", lambda offset: offset & 0xFFFF),
    ("in_blocks", "begins at a block of 4096", lambda offset: offset // 4096 * 4096),
    ("in_chunks", "begins at a chunk", lambda offset: offset // 2**20 * 2**20),
):
    change(
        "read",
        f"offset_{_kind}",
        _fault,
        lambda self, call, sha256, offset=0, alter=_offset: call(sha256, alter(offset)),
    )


def _skips_chunks(self: Any, pieces: Iterator[bytes], offset: int) -> Iterator[bytes]:
    left = offset
    for piece in pieces:
        if left < 0:
            left = 0
        elif left == 0:
            yield piece
        elif left < len(piece):
            yield piece[left:]
            left = 0
        elif left > len(piece):
            left -= len(piece)
        else:
            left = -1


def _fails_past_the_end(self: Any, call: Any, sha256: bytes, offset: int = 0) -> Any:
    with self.session() as state:
        if sha256 in state.contents and offset > state.contents[sha256][0].size:
            raise ValueError("past the end")
    return call(sha256, offset)


def _fails_at_the_end(self: Any, call: Any, sha256: bytes, offset: int = 0) -> Any:
    with self.session() as state:
        if sha256 in state.contents and offset >= state.contents[sha256][0].size:
            raise ValueError("at the end")
    return call(sha256, offset)


def _skips_in_first(self: Any, pieces: Iterator[bytes], offset: int) -> Iterator[bytes]:
    first = next(pieces, b"")
    if first[offset:]:
        yield first[offset:]
    yield from pieces


def _empty_at_a_boundary(self: Any, pieces: Iterator[bytes], offset: int) -> Iterator[bytes]:
    left = offset
    for piece in pieces:
        if left <= len(piece):
            yield piece[left:]
        left = max(0, left - len(piece))


def _skips_in_each(self: Any, pieces: Iterator[bytes], offset: int) -> Iterator[bytes]:
    for piece in pieces:
        if piece[offset:]:
            yield piece[offset:]


broken(
    "read__offset_at_a_boundary_loses_a_chunk",
    "loses a chunk when the offset is a chunk's start",
    skipped=_skips_chunks,
)
broken("read__offset_in_the_first_chunk_only", "skips within the first chunk only", skipped=_skips_in_first)
broken("read__offset_in_each_chunk", "skips in each chunk", skipped=_skips_in_each)
broken(
    "read__gives_nothing_at_a_boundary",
    "gives an empty chunk when the offset is a chunk's end",
    skipped=_empty_at_a_boundary,
)
change("read", "fails_past_the_end", "fails past the end", _fails_past_the_end)
change("read", "fails_at_the_end", "fails at the end", _fails_at_the_end)

# digests

_DIGESTS: dict[str, tuple[str, Rule]] = {
    "without_zeros_at_the_end": ("without zero bytes at the end", lambda digest: digest.rstrip(b"\0")),
    "without_zeros_at_the_start": ("without zero bytes at the start", lambda digest: digest.lstrip(b"\0")),
    "up_to_a_zero": ("up to a zero byte", lambda digest: digest.split(b"\0")[0]),
    "without_spaces_at_the_end": ("without spaces at the end", lambda digest: digest.rstrip(b" ")),
    "stripped": ("without what is white space in ASCII", bytes.strip),
    "folding_case": ("without regard to the case of ASCII letters", bytes.lower),
    "as_text": ("as text in UTF-8", lambda digest: digest.decode(errors="replace").encode()),
    "as_text_without_what_is_none": ("as what is text in it", lambda digest: digest.decode(errors="ignore").encode()),
    "in_seven_bits": ("in seven bits", lambda digest: bytes(byte & 0x7F for byte in digest)),
    "by_8_bytes": ("by the first 8 bytes", lambda digest: digest[:8]),
    "by_15_bytes": ("by the first 15 bytes", lambda digest: digest[:15]),
    "by_31_bytes": ("by the first 31 bytes", lambda digest: digest[:31]),
    "by_1_byte": ("by the first byte", lambda digest: digest[:1]),
    "but_for_the_first": ("by all but the first byte", lambda digest: digest[1:]),
    "unifying_line_ends": ("with line ends unified", lambda digest: digest.replace(b"\r\n", b"\n")),
}


def _alike(state: State, alter: Digest, asked: bytes) -> bytes | None:
    """The stored digest that is taken for the one that is asked for."""
    if asked in state.contents:
        return asked
    return next((one for one in state.contents if alter(one) == alter(asked)), None)


# Digests are of one length: none is another's start. And SHA-256 that nobody can make alike stay apart by whatever is
# compared of them: so a content that was put is taken for another by its first byte only.
_INJECTIVE = {
    "without_zeros_at_the_end",
    "without_zeros_at_the_start",
    "without_spaces_at_the_end",
    "stripped",
    "unifying_line_ends",
}

for _kind, (_fault, _digest) in _DIGESTS.items():

    def _present(self: Any, call: Any, sha256s: Any, alter: Digest = _digest) -> Any:
        with self.session() as state:
            found = {sha256: _alike(state, alter, sha256) for sha256 in sha256s}
            return {sha256: state.contents[one][0] for sha256, one in found.items() if one is not None}

    def _read(self: Any, call: Any, sha256: bytes, offset: int = 0, alter: Digest = _digest) -> Any:
        with self.session() as state:
            found = _alike(state, alter, sha256)
        return call(found or sha256, offset)

    def _discard(self: Any, call: Any, sha256s: Any, alter: Digest = _digest) -> None:
        with self.session() as state:
            doomed = {alter(sha256) for sha256 in sha256s}
            for one in [one for one in state.contents if alter(one) in doomed]:
                del state.contents[one]

    def _put(self: Any, call: Any, content: Content, chunks: Any, alter: Digest = _digest) -> None:
        with self.session() as state:
            found = _alike(state, alter, content.sha256)
        if found is None or found == content.sha256:
            call(content, chunks)

    for _method, _wrap in (("present", _present), ("read", _read), ("discard", _discard), ("put", _put)):
        if _kind not in _INJECTIVE and (_method != "put" or _kind == "by_1_byte"):
            change(_method, f"compares_sha256_{_kind}", f"compares digests {_fault}", _wrap)

    if _kind != "by_31_bytes" and _kind not in _INJECTIVE:

        def _file_of(self: Any, state: State, signature: Signature, alter: Digest = _digest) -> Content | None:
            exact = state.files.get(signature)
            if exact is not None:
                return exact
            asked = (signature.path, alter(signature.md5))
            return next((content for one, content in state.files.items() if (one.path, alter(one.md5)) == asked), None)

        def _fits(self: Any, reference: Reference, query: Query, alter: Digest = _digest) -> bool:
            if query.md5 is not None and alter(query.md5) != alter(reference.signature.md5):
                return False
            return PlainStore.fits(self, reference, replace(query, md5=None))

        broken(f"known__compares_md5_{_kind}", f"compares MD5 {_fault}", file_of=_file_of)
        broken(f"query__compares_md5_{_kind}", f"compares MD5 {_fault}", fits=_fits)

    def _key_alike(state: State, key: bytes, alter: Digest) -> bytes:
        if key in state.leases:
            return key
        return next((one for one in state.leases if alter(one) == alter(key)), key)

    def _claim(self: Any, call: Any, keys: Any, *given: Any, alter: Digest = _digest) -> Any:
        with self.session() as state:
            names = {key: _key_alike(state, key, alter) for key in keys}
            taken = call(list(names.values()), *given)
            return {key for key, name in names.items() if name in taken}

    def _release(self: Any, call: Any, keys: Any, holder: str, alter: Digest = _digest) -> Any:
        with self.session() as state:
            names = [_key_alike(state, key, alter) for key in keys]
        return call(names, holder)

    change("claim", f"compares_keys_{_kind}", f"compares keys {_fault}", _claim)
    change("release", f"compares_keys_{_kind}", f"compares keys {_fault}", _release)

for _kind, _fault, _digest in (
    ("by_16_bytes", "compares the first 16 bytes of keys", lambda key: key[:16]),
    ("by_32_bytes", "compares the first 32 bytes of keys", lambda key: key[:32]),
    ("by_63_bytes", "compares the first 63 bytes of keys", lambda key: key[:63]),
    ("padded_to_32", "fills keys up with zeros", lambda key: key.ljust(32, b"\0")),
    ("padded_to_64", "fills keys up with zeros", lambda key: key.ljust(64, b"\0")),
):

    def _claim_cut(self: Any, call: Any, keys: Any, *given: Any, alter: Digest = _digest) -> Any:
        with self.session() as state:
            names = {key: _key_alike(state, key, alter) for key in keys}
            taken = call(list(names.values()), *given)
            return {key for key, name in names.items() if name in taken}

    change("claim", f"compares_keys_{_kind}", _fault, _claim_cut)

for _kind, _fault, _sort in (
    (
        "as_signed_bytes",
        "sorts digests as signed bytes",
        lambda digest: [byte - 256 if byte > 127 else byte for byte in digest],
    ),
    ("backwards", "sorts digests from the end", lambda digest: digest[::-1]),
    ("by_1_byte", "sorts by the first byte", lambda digest: (digest[:1], bytes(255 - byte for byte in digest[1:]))),
    ("folding_case", "sorts without regard to case", lambda digest: (digest.lower(), digest)),
    ("as_base64", "sorts names in base 64", lambda digest: __import__("base64").b64encode(digest)),
    ("in_folders", "sorts by the first digits only", lambda digest: (digest.hex()[:2], digest.hex()[2:][::-1])),
    ("as_they_came", "gives contents as they came", None),
    ("descending", "sorts descending", lambda digest: bytes(255 - byte for byte in digest)),
):

    def _contents(self: Any, call: Any, after: bytes = b"", sort: Any = _sort) -> Iterator[Content]:
        with self.session() as state:
            came = {one: number for number, one in enumerate(state.contents)}
        found = list(call(after))
        return iter(sorted(found, key=lambda one: sort(one.sha256) if sort else came[one.sha256]))

    change("contents", f"sorts_{_kind}", _fault, _contents)

for _kind, _fault, _after in (
    ("ignored", "begins at the start always", lambda after: b""),
    (
        "inclusive",
        "begins at what is given",
        lambda after: (
            (int.from_bytes(after) - 1).to_bytes(len(after)) + b"\xff" * (32 - len(after))
            if after and any(after) and len(after) == 32
            else after
        ),
    ),
    ("of_32_bytes", "fills up with zeros", lambda after: after.ljust(32, b"\0")),
    ("cut", "cuts at 31 bytes", lambda after: after[:31]),
    ("stripped", "takes zeros at the end away", lambda after: after.rstrip(b"\0")),
    ("filled_with_ones", "fills up with ones", lambda after: after.ljust(32, b"\xff") if after else after),
    ("of_whole_length_only", "takes a shorter one for none", lambda after: after if len(after) == 32 else b""),
    (
        "of_whole_length_else_all",
        "takes a longer one for the end",
        lambda after: b"\xff" * 33 if len(after) > 32 else after,
    ),
    (
        "one_later",
        "begins one later",
        lambda after: (
            (int.from_bytes(after) + 1).to_bytes(len(after)) if after and after != b"\xff" * len(after) else after
        ),
    ),
    ("as_text", "takes it as text", lambda after: after.decode(errors="ignore").encode()),
    ("as_signed", "takes one above 127 for the start", lambda after: b"" if after[:1] >= b"\x80" else after),
):
    change("contents", f"after_{_kind}", _fault, lambda self, call, after=b"", alter=_after: call(alter(after)))


def _by_length(self: Any, call: Any, after: bytes = b"") -> Iterator[Content]:
    return (one for one in call(b"") if (len(one.sha256), one.sha256) > (len(after), after))


change("contents", "after_by_length", "compares lengths first", _by_length)


def _content(alter: Rule) -> Any:
    def put(self: Any, call: Any, content: Content, chunks: Any) -> None:
        call(content, chunks)
        with self.session() as state:
            kept = state.contents[content.sha256]
            state.contents[content.sha256] = (alter(kept[0]), kept[1])

    return put


for _kind, _fault, _alter in (
    ("size_in_16_bits", "stores sizes in 16 bits", lambda one: replace(one, size=one.size & 0xFFFF)),
    ("size_zero", "does not store sizes", lambda one: replace(one, size=0)),
    (
        "md5_of_sha256",
        "stores the first half of the SHA-256 for the MD5",
        lambda one: replace(one, md5=one.sha256[:16]),
    ),
    (
        "md5_without_zeros",
        "stores the MD5 without zeros at the end",
        lambda one: replace(one, md5=one.md5.rstrip(b"\0").rjust(16, b"\1")),
    ),
    ("md5_folded", "stores the MD5 in small letters", lambda one: replace(one, md5=one.md5.lower())),
):
    change("put", f"stores_{_kind}", _fault, _content(_alter))


def _by_md5(self: Any, call: Any, content: Content, chunks: Any) -> None:
    with self.session() as state:
        if any(one.md5 == content.md5 for one, _ in state.contents.values()):
            return
    call(content, chunks)


def _by_size(self: Any, call: Any, content: Content, chunks: Any) -> None:
    with self.session() as state:
        if any(one.md5 == content.md5 and one.size == content.size for one, _ in state.contents.values()):
            return
    call(content, chunks)


change("put", "takes_one_md5_for_one", "takes contents of one MD5 for one", _by_md5)
change("put", "takes_one_md5_and_size_for_one", "takes contents of one MD5 and size for one", _by_size)


def _refuses(test: Rule) -> Any:
    def put(self: Any, call: Any, content: Content, chunks: Any) -> None:
        if test(content):
            raise InvalidValue("size", "it is out of range", "send less")
        call(content, chunks)

    return put


change("put", "refuses_empty_contents", "takes no empty content", _refuses(lambda one: one.size == 0))
change("put", "refuses_a_megabyte", "takes no content of a megabyte", _refuses(lambda one: one.size >= 2**20))
change("put", "refuses_sixteen_megabytes", "takes no content of 16 megabytes", _refuses(lambda one: one.size >= 2**24))
