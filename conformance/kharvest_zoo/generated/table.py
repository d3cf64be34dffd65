"""The table of generated stores: each is a correct one with one change, made by rule for many methods or fields."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from kharvest_zoo.plain import PlainStore

GENERATED: dict[str, type[PlainStore]] = {}
"""Each generated store by its name, `method__kind`."""

Rule = Callable[..., Any]
"""What a row of the table changes: a function of whatever it changes."""
Wrap = Callable[..., Any]
"""What stands around a method: it is given the store, the method bound to it, and the arguments."""


def broken(name: str, fault: str, base: type[PlainStore] = PlainStore, /, **changes: Any) -> None:
    """Make a store that differs from a correct one by some attributes; `fault` says how."""
    if name in GENERATED:
        raise AssertionError(f"two generated stores are named {name}")
    GENERATED[name] = type(
        name, (base,), {"__doc__": f"{fault[0].upper()}{fault[1:]}.", "__module__": __name__, **changes}
    )


def around(method: str, wrap: Wrap, base: type[PlainStore] = PlainStore) -> Callable[..., Any]:
    """A method of `base`, with something around it."""
    original = getattr(base, method)

    def changed(self: PlainStore, *arguments: Any, **named: Any) -> Any:
        return wrap(self, partial(original, self), *arguments, **named)

    return changed


def change(method: str, kind: str, fault: str, wrap: Wrap, base: type[PlainStore] = PlainStore) -> None:
    """Make a store one method of which has something around it."""
    broken(f"{method}__{kind}", fault, base, **{method: around(method, wrap, base)})
