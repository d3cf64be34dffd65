"""What one run of pytest knows of the suite: how deep, on which stores, with which results so far."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kharvest.spi import Capability, InvalidValue
from kharvest_conformance._clauses import Clause
from kharvest_conformance._place import Place, Places
from kharvest_conformance._processes import Processes
from kharvest_conformance._report import Report, StoreReport
from kharvest_conformance.harness import Harness

DEFAULT_EXAMPLES = 30
FAST_EXAMPLES = 4
"""How many random examples a fast run has, unless somebody says how many."""
DEFAULT_SEED = 1
MAX_SEED = 2**32

PLACES = pytest.StashKey[Places]()


@dataclass(slots=True)
class Session:
    """State of one run; the plug-in owns it. Reports are kept by the node of the test class.

    Attributes:
        shows_report: whether pytest prints the report at its end. `kharvest conformance` prints it itself.
    """

    harness: Harness | None
    deviations: Path | None
    report: Report
    shows_report: bool = True
    processes: Processes = field(default_factory=Processes)

    def admit(self, item: pytest.Item, harness: Harness, clause: Clause | None) -> Places:
        """Places for a test, unless the store declares nothing that it could test."""
        capabilities = self.store_report(item, harness).capabilities
        reason = clause.reason_to_skip(capabilities) if clause else None
        if reason is not None:
            item.stash[SKIPPED_BY_SUITE] = True
            pytest.skip(reason)
        places = Places(harness, capabilities, self.processes)
        item.stash[PLACES] = places
        return places

    def store_report(self, item: pytest.Item, harness: Harness) -> StoreReport:
        """The report of the store that an item's class tests; the first time, it is opened to ask what it declares."""
        node = class_node(item)
        if node not in self.report.stores:
            self.report.stores[node] = StoreReport(harness.name, harness.version, self._declared(harness))
        return self.report.stores[node]

    def _declared(self, harness: Harness) -> frozenset[Capability]:
        with Place(harness, self.processes) as place:
            declared = place.open().capabilities
        return frozenset(one for one in declared if isinstance(one, Capability))  # that all are is a test's affair


SESSION = pytest.StashKey[Session]()
SKIPPED_BY_SUITE = pytest.StashKey[bool]()
FAILED = pytest.StashKey[bool]()


def parse_seed(text: str) -> int:
    """The seed that an argument names; `random` draws one.

    Raises:
        InvalidValue: it names none.
    """
    if text == "random":
        return random.SystemRandom().randrange(MAX_SEED)
    if not text.isdecimal() or int(text) >= MAX_SEED:
        raise InvalidValue("seed", f"{text!r} is not a seed", f"give a number from 0 to {MAX_SEED - 1}, or `random`")
    return int(text)


def class_node(item: pytest.Item) -> str:
    """Which test class an item belongs to."""
    parent = item.getparent(pytest.Class)
    return parent.nodeid if parent is not None else item.nodeid


def harness_of_option(config: pytest.Config) -> Harness:
    """What `--kharvest-store` names."""
    harness = config.stash[SESSION].harness
    if harness is None:
        pytest.fail("no store to test: name one with --kharvest-store, or give the class a fixture `harness`")
    return harness
