"""Faults in what a method answers: its type, what is missing in it, and whose it is."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from types import MappingProxyType, SimpleNamespace
from typing import Any

from kharvest.spi import Content, FileSummary, Metadata, Pod, Reference, Signature
from kharvest_zoo.generated.table import Rule, change


def _answer(alter: Rule) -> Any:
    return lambda self, call, *given, **named: alter(call(*given, **named))


def answers(method: str, kind: str, fault: str, alter: Rule) -> None:
    """Make a store whose method answers something else."""
    change(method, kind, fault, _answer(alter))


def _last_twice(answer: Iterator[Any]) -> Iterator[Any]:
    for item in answer:
        last = item
        yield item
    yield last


# the type of the whole

for _method in ("present", "known", "newest"):
    answers(_method, "answers_pairs", "answers a list of pairs", lambda answer: list(answer.items()))
    answers(_method, "answers_a_proxy", "answers a read-only view of a dictionary", MappingProxyType)
    answers(_method, "answers_a_user_dict", "answers a mapping that is no dictionary", UserDict)
    answers(_method, "answers_none_if_empty", "answers None when nothing is found", lambda answer: answer or None)
    answers(_method, "answers_values", "answers a list of what it found", lambda answer: list(answer.values()))
    answers(
        _method,
        "answers_lists",
        "answers each value in a list",
        lambda answer: {key: [value] for key, value in answer.items()},
    )
    answers(_method, "drops_the_first_answer", "skips the first row", lambda answer: dict(list(answer.items())[1:]))
    answers(_method, "drops_the_last_answer", "stops a row too early", lambda answer: dict(list(answer.items())[:-1]))
    answers(
        _method,
        "mixes_up_answers",
        "takes rows to come in the order in which they were asked for",
        lambda answer: dict(zip(answer, list(answer.values())[::-1], strict=True)),
    )
    for _most in (1, 100, 1000, 9999):
        answers(
            _method,
            f"answers_only_{_most}",
            f"fetches the first {_most} rows",
            lambda answer, most=_most: dict(list(answer.items())[:most]),
        )

    def _with_none(self: Any, call: Any, asked: Any) -> Any:
        return dict.fromkeys(asked) | call(asked)

    def _fails(self: Any, call: Any, asked: Any) -> Any:
        answer = call(asked)
        return {key: answer[key] for key in asked}

    def _fails_if_none(self: Any, call: Any, asked: Any) -> Any:
        answer = call(asked)
        if asked and not answer:
            raise LookupError("nothing found")
        return answer

    def _all_or_none(self: Any, call: Any, asked: Any) -> Any:
        answer = call(asked)
        return answer if len(answer) == len(set(asked)) else {}

    change(_method, "answers_none_for_absent", "has a None for what is not there", _with_none)
    change(_method, "fails_for_absent", "raises KeyError for what is not there", _fails)
    change(_method, "fails_if_all_are_absent", "raises LookupError when nothing is there", _fails_if_none)
    change(_method, "answers_all_or_none", "answers nothing when one is not there", _all_or_none)

for _kind, _fault, _alter in (
    ("answers_a_frozenset", "answers a frozen set", frozenset),
    ("answers_a_list", "answers a list", list),
    ("answers_a_tuple", "answers a tuple", tuple),
    ("answers_keys_of_a_dict", "answers the keys of a dictionary", lambda answer: dict.fromkeys(answer).keys()),
    ("answers_none_if_empty", "answers None when no key was taken", lambda answer: answer or None),
    ("answers_a_number", "answers how many keys were taken", len),
    ("answers_memoryviews", "answers buffers of the driver", lambda answer: {memoryview(one) for one in answer}),
    ("answers_hex", "answers keys as hexadecimal digits", lambda answer: {one.hex() for one in answer}),
):
    answers("claim", _kind, _fault, _alter)


def _all_keys(self: Any, call: Any, keys: Any, *given: Any) -> Any:
    call(keys, *given)
    return set(keys)


def _all_or_nothing(self: Any, call: Any, keys: Any, *given: Any) -> Any:
    answer = call(keys, *given)
    return answer if len(answer) == len(set(keys)) else set()


def _new_only(self: Any, call: Any, keys: Any, holder: str, now_ns: int, until_ns: int) -> Any:
    with self.session() as state:
        old = {key for key in keys if state.leases.get(key, ("", 0))[0] == holder}
    return call(keys, holder, now_ns, until_ns) - old


def _refused_keys(self: Any, call: Any, keys: Any, *given: Any) -> Any:
    return set(keys) - call(keys, *given)


def _also_earlier(self: Any, call: Any, keys: Any, holder: str, now_ns: int, until_ns: int) -> Any:
    call(keys, holder, now_ns, until_ns)
    with self.session() as state:
        return {key for key, (owner, _) in state.leases.items() if owner == holder}


change("claim", "answers_all", "answers all keys, taken or not", _all_keys)
change("claim", "answers_all_or_none", "answers nothing when one key is not taken", _all_or_nothing)
change("claim", "answers_new_ones", "answers keys that were not held before", _new_only)
change("claim", "answers_refused_ones", "answers the keys that it could not take", _refused_keys)
change("claim", "answers_earlier_ones_too", "answers every key of the holder", _also_earlier)

for _kind, _fault, _alter in (
    ("answers_a_tuple", "answers a tuple", tuple),
    ("answers_a_generator", "answers a generator", lambda answer: (one for one in answer)),
    ("answers_a_set", "answers a set", set),
    ("answers_a_number", "answers how many were appended", len),
    ("answers_times", "answers the times", lambda answer: [one.observed_at_ns for one in answer]),
    (
        "answers_by_time",
        "answers in the order of time",
        lambda answer: sorted(answer, key=lambda one: one.observed_at_ns),
    ),
    ("answers_backwards", "answers the last one first", lambda answer: answer[::-1]),
    ("answers_without_the_first", "leaves the first out", lambda answer: answer[1:]),
    ("answers_without_the_last", "leaves the last out", lambda answer: answer[:-1]),
    ("answers_a_thousand", "answers the first 1000", lambda answer: answer[:1000]),
    ("answers_none_if_empty", "answers None when nothing was appended", lambda answer: answer or None),
):
    answers("append", _kind, _fault, _alter)


def _as_given(self: Any, call: Any, files: Any, references: Any) -> Any:
    call(files, references)
    return list(references)


def _moved_only(self: Any, call: Any, files: Any, references: Any) -> Any:
    return [one for one, given in zip(call(files, references), references, strict=True) if one != given]


change("append", "answers_what_it_was_given", "answers the references with the times that were given", _as_given)
change("append", "answers_moved_ones", "answers those that got another time", _moved_only)

for _method in ("read", "contents"):
    answers(_method, "answers_a_list", "answers a list, which is no iterator", list)
    answers(_method, "answers_a_tuple", "answers a tuple, which is no iterator", tuple)
    answers(_method, "drops_the_first_item", "skips the first item", lambda answer: iter(list(answer)[1:]))
    answers(_method, "drops_the_last_item", "stops an item too early", lambda answer: iter(list(answer)[:-1]))
    answers(
        _method,
        "gives_an_item_twice",
        "gives the last item twice",
        _last_twice,
    )
    answers(_method, "gives_backwards", "gives the last item first", lambda answer: iter(list(answer)[::-1]))
    answers(_method, "ends_with_none", "gives a None at the end", lambda answer: iter([*answer, None]))
    for _most in (1, 2, 10, 100, 1000):
        answers(
            _method,
            f"gives_only_{_most}",
            f"gives the first {_most} items",
            lambda answer, most=_most: iter(list(answer)[:most]),
        )
answers("read", "gives_memoryviews", "gives the buffer of the driver", lambda answer: map(memoryview, answer))
answers("read", "gives_bytearrays", "gives the buffer it fills", lambda answer: map(bytearray, answer))
answers("read", "gives_text", "gives text", lambda answer: (one.decode("latin-1") for one in answer))
answers(
    "read",
    "gives_numbers",
    "gives single bytes as numbers",
    lambda answer: (byte for one in answer for byte in one[:1]),
)
answers("read", "gives_an_empty_chunk_first", "gives an empty chunk first", lambda answer: iter([b"", *answer]))
answers("read", "gives_an_empty_chunk_last", "gives an empty chunk last", lambda answer: iter([*answer, b""]))
answers(
    "read",
    "gives_an_empty_chunk_if_empty",
    "gives one empty chunk of no bytes",
    lambda answer: iter(list(answer) or [b""]),
)
answers("contents", "gives_digests", "gives the digests only", lambda answer: (one.sha256 for one in answer))
answers("contents", "gives_rows", "gives rows", lambda answer: ((one.sha256, one.md5, one.size) for one in answer))

for _method in ("references", "files"):
    answers(
        _method,
        "gives_a_list_of_items",
        "gives a page with a list",
        lambda page: replace(page, items=list(page.items)),
    )
    answers(
        _method,
        "gives_a_generator_of_items",
        "gives a page with a generator",
        lambda page: replace(page, items=iter(page.items)),
    )
    answers(_method, "gives_items_only", "gives the items without a page", lambda page: page.items)
    answers(_method, "gives_a_tuple", "gives a pair", lambda page: (page.items, page.next_cursor))
    answers(
        _method,
        "gives_a_namespace",
        "gives what looks like a page",
        lambda page: SimpleNamespace(items=page.items, next_cursor=page.next_cursor),
    )
    answers(
        _method,
        "ends_with_an_empty_cursor",
        "ends with an empty cursor",
        lambda page: replace(page, next_cursor=page.next_cursor or ""),
    )
    answers(_method, "gives_no_cursor", "never has a next page", lambda page: replace(page, next_cursor=None))
    answers(
        _method,
        "gives_a_cursor_of_bytes",
        "gives cursors as bytes",
        lambda page: replace(page, next_cursor=page.next_cursor and page.next_cursor.encode()),
    )
    answers(
        _method,
        "drops_the_first_of_a_page",
        "skips the first item of a page",
        lambda page: replace(page, items=page.items[1:]),
    )
    answers(
        _method,
        "drops_the_last_of_a_page",
        "stops an item too early",
        lambda page: replace(page, items=page.items[:-1]),
    )
    answers(
        _method,
        "drops_the_last_of_a_last_page",
        "stops an item too early on the last page",
        lambda page: replace(page, items=page.items[: None if page.next_cursor else -1]),
    )
    answers(
        _method,
        "drops_the_last_of_a_full_page",
        "stops an item too early on a page that others follow",
        lambda page: replace(page, items=page.items[: -1 if page.next_cursor else None]),
    )
    answers(
        _method,
        "gives_a_page_backwards",
        "gives each page backwards",
        lambda page: replace(page, items=page.items[::-1]),
    )
    answers(_method, "gives_none_if_empty", "gives None for an empty page", lambda page: page if page.items else None)
    for _most in (100, 500, 1000, 5000, 9999):
        answers(
            _method,
            f"gives_only_{_most}",
            f"gives {_most} items of a page, and goes on behind it",
            lambda page, most=_most: replace(page, items=page.items[:most]),
        )

for _kind, _fault, _alter in (
    ("answers_a_bool", "answers whether any was removed", bool),
    ("answers_a_float", "answers a float", float),
    ("answers_text", "answers text", str),
    ("answers_none_if_none", "answers None when none was removed", lambda answer: answer or None),
    ("answers_minus_one", "answers -1 when none was removed", lambda answer: answer or -1),
    ("answers_nothing", "answers nothing", lambda answer: None),
    ("answers_one", "answers 1 when any was removed", lambda answer: min(1, answer)),
    ("answers_one_more", "answers one more", lambda answer: answer + 1),
    ("answers_a_list", "answers a list", lambda answer: [answer]),
):
    answers("forget", _kind, _fault, _alter)


def _answers_limit(self: Any, call: Any, query: Any) -> Any:
    return query.limit if call(query) else 0


def _answers_all_that_match(self: Any, call: Any, query: Any) -> Any:
    with self.session() as state:
        found = len(self.matching(state, query))
    call(query)
    return found


change("forget", "answers_the_limit", "answers the limit when any was removed", _answers_limit)
change("forget", "answers_all_that_match", "answers how many match, also above the limit", _answers_all_that_match)

for _kind, _fault, _alter in (
    ("answers_a_float", "answers a float", float),
    ("answers_seconds", "answers seconds", lambda at: at // 10**9),
    ("answers_milliseconds", "answers milliseconds", lambda at: at // 10**6),
    ("answers_microseconds", "answers microseconds", lambda at: at // 10**3),
    ("answers_text", "answers text", str),
    ("answers_minutes", "is precise to a minute", lambda at: at // (60 * 10**9) * 60 * 10**9),
    ("answers_ten_seconds", "is precise to ten seconds", lambda at: at // 10**10 * 10**10),
    ("answers_nothing", "answers nothing", lambda at: None),
    ("answers_zero", "answers zero", lambda at: 0),
    ("answers_below_zero", "answers a time before the epoch", lambda at: -at),
):
    answers("now_ns", _kind, _fault, _alter)


def _stands_still(self: Any, call: Any) -> Any:
    return self.__dict__.setdefault("noted", call())


change("now_ns", "stands_still", "asks once and answers that", _stands_still)

for _method in ("put", "discard", "record", "release", "close"):
    answers(_method, "answers_something", "answers True", lambda answer: True)


# the types of what is in it


def _with_each(answer: Any, alter: Rule) -> Any:
    """An answer with each value in it changed, however deep."""
    if isinstance(answer, dict):
        return {_with_each(key, alter): _with_each(value, alter) for key, value in answer.items()}
    if isinstance(answer, list | tuple):
        return type(answer)(_with_each(one, alter) for one in answer)
    if is_dataclass(answer) and not isinstance(answer, type):
        changed = object.__new__(type(answer))
        for field in fields(answer):
            object.__setattr__(changed, field.name, _with_each(getattr(answer, field.name), alter))
        answer = changed
    return alter(answer)


def _real_number(one: Any) -> Any:
    return float(one) if type(one) is int and float(one) == one else one


def _dictionary(one: Any) -> Any:
    return dict(one.items()) if isinstance(one, Metadata) else one


def _pair(kind: Any) -> Rule:
    return lambda one: tuple(getattr(one, field.name) for field in fields(one)) if type(one) is kind else one


_ANSWERING = {
    "present": (Content,),
    "contents": (Content,),
    "known": (Signature, Content),
    "newest": (Pod, Signature, Reference),
    "append": (Pod, Signature, Reference),
    "references": (Pod, Signature, Reference),
    "files": (Signature, Content, FileSummary),
}
for _method, _kinds in _ANSWERING.items():
    for _kind, _fault, _each in (
        ("answers_real_numbers", "answers floats for numbers", _real_number),
        ("answers_dictionaries", "answers dictionaries for metadata", _dictionary),
        *(
            (f"answers_rows_for_{one.__name__.lower()}", f"answers rows for {one.__name__}", _pair(one))
            for one in _kinds
        ),
    ):
        if _kind == "answers_dictionaries" and Reference not in _kinds:
            continue
        if _method == "contents":
            answers(_method, _kind, _fault, lambda answer, each=_each: (_with_each(one, each) for one in answer))
        elif _kind.startswith("answers_rows_for") or _kind == "answers_dictionaries":
            if _method in {"known", "newest", "present"}:  # a key must stay hashable, and be found
                answers(
                    _method,
                    _kind,
                    _fault,
                    lambda answer, each=_each: {key: _with_each(value, each) for key, value in answer.items()},
                )
            else:
                answers(_method, _kind, _fault, lambda answer, each=_each: _with_each(answer, each))
        else:
            answers(_method, _kind, _fault, lambda answer, each=_each: _with_each(answer, each))
