"""All tests in one class, which refuses to be weakened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from kharvest_conformance.suite.claiming import ClaimingTests
from kharvest_conformance.suite.forgetting import ForgettingTests
from kharvest_conformance.suite.opening import OpeningTests
from kharvest_conformance.suite.paging import PagingTests
from kharvest_conformance.suite.putting import PuttingTests
from kharvest_conformance.suite.querying import QueryingTests
from kharvest_conformance.suite.reading import ReadingTests
from kharvest_conformance.suite.recording import RecordingTests
from kharvest_conformance.suite.sequences import SequenceTests
from kharvest_conformance.suite.sharing import SharingTests
from kharvest_conformance.suite.summarising import SummarisingTests
from kharvest_conformance.suite.surviving import SurvivingTests

_AUTHORS = frozenset({"harness", "deviations"})


class Suite(
    OpeningTests,
    PuttingTests,
    ReadingTests,
    RecordingTests,
    QueryingTests,
    PagingTests,
    SummarisingTests,
    ForgettingTests,
    ClaimingTests,
    SequenceTests,
    SurvivingTests,
    SharingTests,
):
    """Every test of the contract. A subclass gives a fixture `harness`, and is run by pytest.

    It may have tests of its own, but override none of the suite's: what the store is known not to keep belongs into
    `deviations`, with its reason.

    Attributes:
        deviations: the file of known deviations; None for the one that `--kharvest-deviations` names, if any.
    """

    deviations: ClassVar[Path | None] = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        taken = {name for name in cls.__dict__ if not name.startswith("__") and hasattr(Suite, name)} - _AUTHORS
        if taken:
            raise TypeError(
                f"{cls.__qualname__} overrides {', '.join(sorted(taken))} of the conformance suite; "
                "name a test that the store is known to fail in the deviations file, with the reason"
            )


SUITE_TESTS: Mapping[str, Callable[..., object]] = MappingProxyType(
    {name: getattr(Suite, name) for name in dir(Suite) if name.startswith("test_")}
)
"""The tests of the suite by name, as they were when it was loaded."""
