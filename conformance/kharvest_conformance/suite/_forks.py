"""Processes that are forked from one that has the store open."""

from __future__ import annotations

from kharvest.spi import Capability
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._forking import ForkAndEnd, InFork
from kharvest_conformance._place import Place
from kharvest_conformance._using import Use
from kharvest_conformance.suite._base import Base


@thorough
class ForkTests(Base):
    """Of the contract's words on forked processes. A worker forks them: it has no threads of pytest's."""

    @clause("store", "A process that was forked opens its own", needs=Capability.SHARED)
    def test_a_forked_process_opens_a_handle_of_its_own(self, place: Place) -> None:
        store, worker = place.open(), place.worker()
        worker.ready()
        for round_ in ("cold", "warm"):  # before the parent's handle was used, and after
            worker.start(InFork(place.opener(), Use(f"{round_} child"), Use(f"{round_} parent")))
            worker.report()
            worker.start(Use(f"{round_} parent afterwards"))
            worker.report()
        Use("another process").run(store)

    @clause("store", "the parent's goes on")
    def test_a_forked_process_that_ends_leaves_its_parent_s_handle(self, place: Place) -> None:
        worker = place.worker()
        worker.ready()
        for name in ("cold", "warm"):
            worker.start(ForkAndEnd(Use(name)))
            worker.report()
