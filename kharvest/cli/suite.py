"""Whether the conformance suite is there: a distribution of its own, which a server does not need."""

from __future__ import annotations

import importlib.util

from kharvest.cli.streams import say


def is_missing(command: str) -> bool:
    """Whether it is not installed; says so, and how to install it."""
    missing = importlib.util.find_spec("kharvest_conformance") is None
    if missing:
        say(command, "the conformance suite is not installed; run: pip install kharvest-conformance")
    return missing
