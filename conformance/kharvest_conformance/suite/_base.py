"""What every test of the suite starts from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kharvest.spi import Capability, Store
from kharvest_conformance._clauses import clause_of
from kharvest_conformance._depth import Depth
from kharvest_conformance._place import Place, Places
from kharvest_conformance._session import FAILED, SESSION, harness_of_option
from kharvest_conformance.harness import Harness


class Base:
    """Fixtures of the suite: a harness from the author or the command line, and places to test in."""

    @pytest.fixture
    def harness(self, request: pytest.FixtureRequest) -> Harness:
        """The store under test. Authors override this; else it is what `--kharvest-store` names."""
        return harness_of_option(request.config)

    @pytest.fixture
    def depth(self, request: pytest.FixtureRequest) -> Depth:
        """How many random examples, and their seed."""
        report = request.config.stash[SESSION].report
        return Depth(report.examples, report.seed, report.events)

    @pytest.fixture
    def places(self, request: pytest.FixtureRequest, harness: Harness) -> Iterator[Places]:
        """Makes fresh places. Skips the test if it needs what the store does not declare."""
        places = request.config.stash[SESSION].admit(request.node, harness, clause_of(request.function))
        yield places
        if request.node.stash.get(FAILED, False):
            places.shorten()  # now that the place is destroyed, and another one can be had

    @pytest.fixture
    def place(self, request: pytest.FixtureRequest, places: Places) -> Iterator[Place]:
        """A fresh place."""
        with places.fresh() as place:
            yield place
            place.has_failed = request.node.stash.get(FAILED, False)

    @pytest.fixture
    def store(self, place: Place) -> Store:
        """A store opened on a fresh place."""
        return place.open()

    @pytest.fixture
    def capabilities(self, places: Places) -> frozenset[Capability]:
        """What the store declares."""
        return places.capabilities
