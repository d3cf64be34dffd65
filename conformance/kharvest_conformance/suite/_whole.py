"""All tests in one class, which refuses to be weakened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from kharvest_conformance.suite._agreeing import AgreeingTests
from kharvest_conformance.suite._appending import AppendingTests
from kharvest_conformance.suite._batching import BatchingTests
from kharvest_conformance.suite._bounding import BoundingTests
from kharvest_conformance.suite._calling import CallingTests
from kharvest_conformance.suite._claiming import ClaimingTests
from kharvest_conformance.suite._closing import ClosingTests
from kharvest_conformance.suite._combining import CombiningTests
from kharvest_conformance.suite._contending import ContendingTests
from kharvest_conformance.suite._content_calls import ContentCallTests
from kharvest_conformance.suite._content_failures import ContentFailureTests
from kharvest_conformance.suite._content_lists import ContentListTests
from kharvest_conformance.suite._content_races import ContentRaceTests
from kharvest_conformance.suite._crowding import CrowdingTests
from kharvest_conformance.suite._cursors import CursorTests
from kharvest_conformance.suite._distinguishing import DistinguishingTests
from kharvest_conformance.suite._forgetting import ForgettingTests
from kharvest_conformance.suite._forks import ForkTests
from kharvest_conformance.suite._glimpsing import GlimpsingTests
from kharvest_conformance.suite._halfway import HalfwayTests
from kharvest_conformance.suite._killing import KillingTests
from kharvest_conformance.suite._leasing import LeasingTests
from kharvest_conformance.suite._lengths import LengthTests
from kharvest_conformance.suite._likeness import LikenessTests
from kharvest_conformance.suite._meeting import MeetingTests
from kharvest_conformance.suite._opening import OpeningTests
from kharvest_conformance.suite._paging import PagingTests
from kharvest_conformance.suite._pointing import PointingTests
from kharvest_conformance.suite._putting import PuttingTests
from kharvest_conformance.suite._querying import QueryingTests
from kharvest_conformance.suite._reading import ReadingTests
from kharvest_conformance.suite._recording import RecordingTests
from kharvest_conformance.suite._refusing import RefusingTests
from kharvest_conformance.suite._rereading import RereadingTests
from kharvest_conformance.suite._seeing import SeeingTests
from kharvest_conformance.suite._sequences import SequenceTests
from kharvest_conformance.suite._sharing import SharingTests
from kharvest_conformance.suite._successors import SuccessorTests
from kharvest_conformance.suite._summarising import SummarisingTests
from kharvest_conformance.suite._surviving import SurvivingTests
from kharvest_conformance.suite._thousands import ThousandsTests
from kharvest_conformance.suite._timelines import TimelineTests
from kharvest_conformance.suite._timing import TimingTests
from kharvest_conformance.suite._walking import WalkingTests
from kharvest_conformance.suite._watching import WatchingTests

_AUTHORS = frozenset({"harness", "deviations"})


class Suite(
    OpeningTests,
    ClosingTests,
    PuttingTests,
    ReadingTests,
    ContentCallTests,
    ContentFailureTests,
    ContentListTests,
    ContentRaceTests,
    RecordingTests,
    BatchingTests,
    RefusingTests,
    PointingTests,
    LikenessTests,
    LengthTests,
    ThousandsTests,
    AppendingTests,
    QueryingTests,
    CombiningTests,
    BoundingTests,
    CrowdingTests,
    WatchingTests,
    WalkingTests,
    CursorTests,
    DistinguishingTests,
    PagingTests,
    SummarisingTests,
    ForgettingTests,
    AgreeingTests,
    MeetingTests,
    HalfwayTests,
    CallingTests,
    ClaimingTests,
    LeasingTests,
    ContendingTests,
    TimelineTests,
    SuccessorTests,
    TimingTests,
    SequenceTests,
    SurvivingTests,
    KillingTests,
    ForkTests,
    GlimpsingTests,
    SharingTests,
    RereadingTests,
    SeeingTests,
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
    {name: getattr(Suite, name) for part in Suite.__mro__ for name in vars(part) if name.startswith("test_")}
)
"""The tests of the suite by name, as they were when it was loaded, in the order in which they run."""
