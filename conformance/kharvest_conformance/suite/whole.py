"""All tests in one class, which refuses to be weakened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from kharvest_conformance.suite.agreeing import AgreeingTests
from kharvest_conformance.suite.appending import AppendingTests
from kharvest_conformance.suite.batching import BatchingTests
from kharvest_conformance.suite.bounding import BoundingTests
from kharvest_conformance.suite.calling import CallingTests
from kharvest_conformance.suite.claiming import ClaimingTests
from kharvest_conformance.suite.closing import ClosingTests
from kharvest_conformance.suite.combining import CombiningTests
from kharvest_conformance.suite.contending import ContendingTests
from kharvest_conformance.suite.content_calls import ContentCallTests
from kharvest_conformance.suite.content_failures import ContentFailureTests
from kharvest_conformance.suite.content_lists import ContentListTests
from kharvest_conformance.suite.content_races import ContentRaceTests
from kharvest_conformance.suite.crowding import CrowdingTests
from kharvest_conformance.suite.cursors import CursorTests
from kharvest_conformance.suite.distinguishing import DistinguishingTests
from kharvest_conformance.suite.forgetting import ForgettingTests
from kharvest_conformance.suite.forks import ForkTests
from kharvest_conformance.suite.glimpsing import GlimpsingTests
from kharvest_conformance.suite.halfway import HalfwayTests
from kharvest_conformance.suite.killing import KillingTests
from kharvest_conformance.suite.leasing import LeasingTests
from kharvest_conformance.suite.lengths import LengthTests
from kharvest_conformance.suite.likeness import LikenessTests
from kharvest_conformance.suite.meeting import MeetingTests
from kharvest_conformance.suite.opening import OpeningTests
from kharvest_conformance.suite.paging import PagingTests
from kharvest_conformance.suite.pointing import PointingTests
from kharvest_conformance.suite.putting import PuttingTests
from kharvest_conformance.suite.querying import QueryingTests
from kharvest_conformance.suite.reading import ReadingTests
from kharvest_conformance.suite.recording import RecordingTests
from kharvest_conformance.suite.refusing import RefusingTests
from kharvest_conformance.suite.rereading import RereadingTests
from kharvest_conformance.suite.seeing import SeeingTests
from kharvest_conformance.suite.sequences import SequenceTests
from kharvest_conformance.suite.sharing import SharingTests
from kharvest_conformance.suite.summarising import SummarisingTests
from kharvest_conformance.suite.surviving import SurvivingTests
from kharvest_conformance.suite.thousands import ThousandsTests
from kharvest_conformance.suite.timelines import TimelineTests
from kharvest_conformance.suite.timing import TimingTests
from kharvest_conformance.suite.walking import WalkingTests
from kharvest_conformance.suite.watching import WatchingTests

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
