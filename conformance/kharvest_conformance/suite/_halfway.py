"""Processes that are killed halfway through a write of references."""

from __future__ import annotations

from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._halfway import KillInTheMiddle
from kharvest_conformance._place import Place
from kharvest_conformance.suite._base import Base


@thorough
class HalfwayTests(Base):
    """Of batches of which nobody hears how they ended."""

    @clause("ReferenceStore.append", "One atomic batch")
    def test_a_batch_that_is_killed_is_there_whole_or_not_at_all(self, place: Place) -> None:
        worker = place.worker()
        worker.ready()
        worker.start(KillInTheMiddle(place.opener()))
        reports = iter(worker.report, None)
        problems = next(one for one in reports if not isinstance(one, str))
        assert problems == []
