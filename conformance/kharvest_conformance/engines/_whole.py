"""All tests of engines in one class, which refuses to be weakened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from kharvest_conformance.engines._committing import CommittingTests
from kharvest_conformance.engines._handles import HandleTests
from kharvest_conformance.engines._limits import LimitTests
from kharvest_conformance.engines._reading import ReadingTests
from kharvest_conformance.engines._viewing import ViewingTests


class EngineSuite(ReadingTests, CommittingTests, ViewingTests, LimitTests, HandleTests):
    """Every test of the contract of `kharvest.records.Engine`. A subclass gives a fixture `harness`."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        taken = {name for name in cls.__dict__ if name.startswith("test_") and hasattr(EngineSuite, name)}
        if taken:
            raise TypeError(f"{cls.__qualname__} overrides {', '.join(sorted(taken))} of the suite of engines")


ENGINE_TESTS: Mapping[str, Callable[..., object]] = MappingProxyType(
    {
        name: getattr(EngineSuite, name)
        for part in EngineSuite.__mro__
        for name in vars(part)
        if name.startswith("test_")
    }
)
"""The tests of the suite by name."""
