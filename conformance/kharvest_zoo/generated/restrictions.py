"""Faults in what a query restricts: each restriction alone, beside each other one, and in each method that asks by it."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

from kharvest.spi import NO_METADATA, Order, Query, Reference
from kharvest_zoo.generated.table import Rule, around, broken, change
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State

_METHODS = ("references", "files", "forget")
_RESTRICTIONS: dict[str, Any] = {
    "path": None,
    "path_prefix": None,
    "md5": None,
    "namespace": None,
    "pod": None,
    "metadata": NO_METADATA,
    "since_ns": None,
    "until_ns": None,
    "latest": False,
}
"""Each restriction with the value that does not restrict."""


def _given(query: Query, field: str) -> bool:
    return bool(getattr(query, field) != _RESTRICTIONS[field])


def _free(query: Query, *names: str) -> Query:
    return replace(query, **{name: _RESTRICTIONS[name] for name in names})


def asking(method: str, kind: str, fault: str, alter: Rule) -> None:
    """Make a store one method of which asks something else; its cursors are those of what it was asked."""

    def matching(self: Any, state: State, query: Query) -> list[Reference]:
        asked = alter(query) if getattr(self, "asking", "") == method else query
        return PlainStore.matching(self, state, asked)

    def note(self: Any, call: Any, query: Query) -> Any:
        with self.lock:
            self.asking = method
            try:
                return call(query)
            finally:
                self.asking = ""

    broken(f"{method}__{kind}", fault, matching=matching, **{method: around(method, note)})


for _method in _METHODS:
    for _field in _RESTRICTIONS:
        asking(
            _method, f"ignores_{_field}", f"does not look at {_field}", lambda query, field=_field: _free(query, field)
        )
        asking(
            _method,
            f"ignores_{_field}_if_it_is_alone",
            f"looks at {_field} only beside another restriction",
            lambda query, field=_field: (
                query if any(_given(query, other) for other in _RESTRICTIONS if other != field) else _free(query, field)
            ),
        )
        asking(
            _method,
            f"ignores_{_field}_on_later_pages",
            f"does not look at {_field} where there is a cursor",
            lambda query, field=_field: query if query.cursor is None else _free(query, field),
        ) if _method != "forget" else None
        if _method != "files":
            asking(
                _method,
                f"ignores_{_field}_newest_first",
                f"does not look at {_field} when the newest come first",
                lambda query, field=_field: query if query.order is Order.OLDEST_FIRST else _free(query, field),
            )
    for _field, _other in permutations(_RESTRICTIONS, 2):
        if {_field, _other} == {"path", "path_prefix"}:
            continue  # no query has both
        asking(
            _method,
            f"ignores_{_field}_beside_{_other}",
            f"does not look at {_field} when {_other} is given",
            lambda query, field=_field, other=_other: _free(query, field) if _given(query, other) else query,
        )
    for _field in ("namespace", "pod"):
        asking(
            _method,
            f"takes_an_empty_{_field}_for_none",
            f"does not look at {_field} when it is empty",
            lambda query, field=_field: query if getattr(query, field) else _free(query, field),
        )
    asking(
        _method,
        "takes_until_zero_for_none",
        "does not look at until when it is 0",
        lambda query: query if query.until_ns else _free(query, "until_ns"),
    )
    asking(
        _method,
        "finds_nothing_with_an_empty_prefix",
        "finds nothing with an empty prefix",
        lambda query: replace(query, path_prefix="no") if query.path_prefix == "" else query,
    )
    asking(
        _method,
        "looks_at_one_pair",
        "looks at one pair of the metadata only",
        lambda query: replace(query, metadata=type(NO_METADATA)(dict(list(query.metadata.items())[:1]))),
    )
    asking(
        _method,
        "looks_at_the_last_pair",
        "looks at the last pair of the metadata only",
        lambda query: replace(query, metadata=type(NO_METADATA)(dict(list(query.metadata.items())[-1:]))),
    )
    asking(
        _method,
        "takes_removals_for_no_md5",
        "does not look at an MD5 of zeros",
        lambda query: query if query.md5 != bytes(16) else _free(query, "md5"),
    )

    # where the newest is chosen

    def _latest_later(names: tuple[str, ...], first: bool) -> Rule:
        """Chooses the newest after (or before) the restrictions `names`, and not where it should."""

        def matching(self: Any, state: State, query: Query) -> list[Reference]:
            if not query.latest:
                return PlainStore.matching(self, state, query)
            if first:  # the newest of all, then what restricts
                newest = PlainStore.matching(self, state, Query(latest=True))
                fitting = set(PlainStore.matching(self, state, _free(query, "latest")))
                return [one for one in newest if one in fitting]
            only = _free(query, *(name for name in _RESTRICTIONS if name not in names and name != "until_ns"))
            newest = self.latest(PlainStore.matching(self, state, only))
            fitting = set(PlainStore.matching(self, state, _free(query, "latest")))
            return [one for one in newest if one in fitting]

        return matching

    def _only(method: str, matching: Rule) -> dict[str, Any]:
        def choose(self: Any, state: State, query: Query) -> Any:
            if getattr(self, "asking", "") == method:
                return matching(self, state, query)
            return PlainStore.matching(self, state, query)

        def note(self: Any, call: Any, query: Query) -> Any:
            with self.lock:
                self.asking = method
                try:
                    return call(query)
                finally:
                    self.asking = ""

        return {"matching": choose, method: around(method, note)}

    broken(
        f"{_method}__chooses_the_latest_before_until",
        "takes the newest of all, and then looks whether it is before until",
        **_only(_method, _latest_later((), True)),
    )
    for _field in ("md5", "metadata", "since_ns"):
        if _field != "since_ns":  # the newest since a time is the newest, if it is since then
            broken(
                f"{_method}__chooses_the_latest_after_{_field}",
                f"takes the newest of those that {_field} leaves",
                **_only(_method, _latest_later((_field,), False)),
            )

    def _of(key: Rule) -> Rule:
        def matching(self: Any, state: State, query: Query) -> list[Reference]:
            if not query.latest:
                return PlainStore.matching(self, state, query)
            before = PlainStore.matching(self, state, Query(until_ns=query.until_ns))
            newest = {key(one): one for one in before}
            kept = {one for one in before if newest[key(one)] == one}
            return [one for one in PlainStore.matching(self, state, _free(query, "latest")) if one in kept]

        return matching

    for _kind, _fault, _of_key in (
        ("path", "takes the newest of each path", lambda one: one.signature.path),
        ("pod_name", "takes the newest of each path and pod's name", lambda one: (one.signature.path, one.pod.name)),
        (
            "namespace",
            "takes the newest of each path and namespace",
            lambda one: (one.signature.path, one.pod.namespace),
        ),
        ("pod", "takes the newest of each pod", lambda one: one.pod),
        ("file", "takes the newest of each pod and file version", lambda one: (one.pod, one.signature)),
        ("metadata", "takes the newest of each timeline and metadata", lambda one: (one.timeline, one.metadata)),
    ):
        broken(f"{_method}__chooses_the_latest_by_{_kind}", _fault, **_only(_method, _of(_of_key)))

    def _all_of_that_time(self: Any, state: State, query: Query) -> list[Reference]:
        if not query.latest:
            return PlainStore.matching(self, state, query)
        kept = PlainStore.matching(self, state, Query(until_ns=query.until_ns, latest=True))
        times = {(one.timeline, one.observed_at_ns) for one in kept}
        return [
            one
            for one in PlainStore.matching(self, state, _free(query, "latest"))
            if (one.timeline, one.observed_at_ns) in times
        ]

    broken(
        f"{_method}__gives_several_latest_of_one_time",
        "takes all that have the newest time",
        **_only(_method, _all_of_that_time),
    )

    def _skips_removals(self: Any, state: State, query: Query) -> list[Reference]:
        if not query.latest:
            return PlainStore.matching(self, state, query)
        before = [
            one
            for one in PlainStore.matching(self, state, Query(until_ns=query.until_ns))
            if not one.signature.is_removal
        ]
        newest = set(self.latest(before))
        return [one for one in PlainStore.matching(self, state, _free(query, "latest")) if one in newest]

    broken(
        f"{_method}__passes_over_removals_for_the_latest",
        "takes the newest that is no removal",
        **_only(_method, _skips_removals),
    )

# limits and orders

for _method in _METHODS:
    for _kind, _fault, _limit in (
        ("takes_one_more", "takes one more than the limit", lambda limit: min(limit + 1, 10_000)),
        ("takes_one_less", "takes one less than the limit", lambda limit: max(limit - 1, 1)),
        ("takes_a_thousand_at_most", "takes 1000 at most", lambda limit: min(limit, 1000)),
        ("takes_one_of_many", "takes 9999 at most", lambda limit: min(limit, 9999)),
    ):
        if _method == "forget":
            change(
                _method,
                _kind,
                _fault,
                lambda self, call, query, limit=_limit: call(replace(query, limit=limit(query.limit))),
            )

change(
    "forget",
    "ignores_the_order",
    "takes the oldest whatever the order",
    lambda self, call, query: call(replace(query, order=Order.OLDEST_FIRST)),
)
change(
    "forget",
    "turns_the_order",
    "takes the newest when it should take the oldest",
    lambda self, call, query: call(replace(query, order=next(one for one in Order if one is not query.order))),
)
change(
    "forget", "ignores_the_limit", "takes all that match", lambda self, call, query: call(replace(query, limit=10_000))
)
change("forget", "takes_its_limit_for_one", "takes one", lambda self, call, query: call(replace(query, limit=1)))
