"""Random sequences get to where stores go wrong: each interesting event happens in enough of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kharvest_conformance._depth import Depth
from kharvest_conformance._place import Places
from kharvest_conformance._processes import Processes
from kharvest_conformance._session import DEFAULT_EXAMPLES
from kharvest_conformance.suite._interest import Interest
from kharvest_conformance.suite._sequences import StoreMachine
from kharvest_zoo.harness import ZooHarness
from kharvest_zoo.kinds import KINDS

OFTEN = 0.3
"""In what part of the sequences an event must happen."""

EVENTS = (
    "the same reference again",
    "an older reference than the newest of its timeline",
    "equal times on a timeline",
    "a reference twice in a batch",
    "an append that moves its time",
    "an append of what is there",
    "two appends to one timeline in a batch",
    "an append after the newest was forgotten",
    "forget of something",
    "forget of a part of what matches",
    "forget of the last reference to a signature",
    "forget of the newest of a timeline",
    "put of what is there",
    "failed put of what is there",
    "failed put of what is not there",
    "discard of what is there",
    "a conflict",
    "a content that is not stored",
    "a signature that is not known",
    "a batch that names known and new files",
    "a file that no reference names",
    "a claim that is refused",
    "a lease that is extended",
    "a lease that is shortened",
    "a clock that goes back",
    "release by the holder",
    "release by somebody else",
    "a walk that goes on after other calls",
    "a walk that goes on after a write that concerns it",
    "latest with an end that hides the newest",
    "an answer of several pages",
    "a query that gives nothing",
    "a query that gives some",
    "a query that gives all",
    "a query that was asked before",
)
RARE = (
    "the same reference again after it was forgotten",
    "a lease that is taken after its end",
    "a batch with known and unknown signatures",
    "put again after a discard",
    "read after a discard",
    "read from an offset within a content",
    "discard of what is not there",
    "a content is discarded while it is read",
    "an append at the largest time",
)
"""What needs several things before it: it must happen in some sequences."""
SHARED = ("a read on another handle than the write", "reopening with references")


def run(kind: str, folder: Path, seed: int) -> Depth:
    """The default depth on a store."""
    depth = Depth(DEFAULT_EXAMPLES, seed)
    places = Places(ZooHarness(kind, str(folder)), KINDS[kind].capabilities, Processes())
    depth.run(type("Machine", (StoreMachine,), {"places": places, "events": depth.events, "interest": Interest()}))
    return depth


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_matters_happens_in_random_sequences(tmp_path: Path, seed: int) -> None:
    events = run("PlainStore", tmp_path, seed).events
    assert events.runs >= DEFAULT_EXAMPLES * 0.9
    assert {event: events.share(event) for event in EVENTS if events.share(event) < OFTEN} == {}
    assert [event for event in RARE if not events.happened[event]] == []
    assert events.happened.keys() == {*EVENTS, *RARE}


@pytest.mark.slow
def test_handles_and_openings_take_turns(tmp_path: Path) -> None:
    events = run("FiledStore", tmp_path, 1).events
    assert {event: events.share(event) for event in SHARED if events.share(event) < OFTEN} == {}
    assert events.happened.keys() == {*EVENTS, *RARE, *SHARED}
