"""Any sequence of calls, on one handle or two, reopened at any time, against the model."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from kharvest.spi import Capability, Query, Reference
from kharvest_conformance import _alphabet as alphabet
from kharvest_conformance._clauses import clause, promise
from kharvest_conformance._depth import Depth
from kharvest_conformance._dice import Dice
from kharvest_conformance._events import Events
from kharvest_conformance._model import matching
from kharvest_conformance._place import Places
from kharvest_conformance._samples import BLOCK, TODAY, File, Sample
from kharvest_conformance.suite._agreement import Agreement
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._interest import Interest
from kharvest_conformance.suite._kept import KeptFilesWalk, KeptReader, KeptWalk

_DECISIONS = 48
_KEPT = 3
"""How many walks, and how many readers, are kept open at a time, and how many queries are asked again."""


class StoreMachine(RuleBasedStateMachine):
    """Does the same to a store and to the model, and compares. A subclass says which store.

    There is one rule, which chooses by itself what to do: Hypothesis would leave out half of several rules in each
    sequence, so that what needs four of them together hardly ever happened.
    """

    places: ClassVar[Places]
    events: ClassVar[Events]
    interest: ClassVar[Interest]

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[bytes] = []
        self.walks: list[KeptWalk | KeptFilesWalk] = []
        self.readers: list[KeptReader] = []
        self.asked: list[Query] = []
        self.sightings: list[tuple[File, Reference]] = []
        self.now = TODAY
        self.clocks = dict.fromkeys(alphabet.HOLDERS, TODAY)

    @rule(thrown=st.binary(min_size=_DECISIONS, max_size=_DECISIONS))
    def take(self, thrown: bytes) -> None:
        """Take the next step down; they are done at the end, when it is known whether the sequence is of interest."""
        self.steps.append(thrown)

    def teardown(self) -> None:
        try:
            with self.interest.of(tuple(self.steps)) as is_of_interest:
                for thrown in self.steps if is_of_interest else ():
                    self.do(thrown)
        finally:
            if "both" in vars(self):
                self.events.add(self.both.seen)
                self.both.place.__exit__(None, None, None)

    def do(self, thrown: bytes) -> None:
        dice = Dice(thrown)
        doing = dice.of(_DOINGS)
        if doing is None:
            return
        order = self.both.order
        doing(self, dice, dice.below(len(self.both.stores)))
        if self.both.order is not order:
            for walk in self.walks:
                walk.note(self.both.order)

    @cached_property
    def both(self) -> Agreement:
        """The store and its model; the place is made when there is something to do."""
        shared = Capability.SHARED in self.places.capabilities
        return Agreement(self.places.fresh(), 2 if shared else 1)

    def batch(self, dice: Dice) -> list[tuple[File, Reference]]:
        found = alphabet.batch(dice, self.sightings)
        self.sightings += found
        return found

    def harvest(self, dice: Dice, handle: int) -> None:
        """Put the contents of a batch, then record or append it, with all of its files or those that are new."""
        batch = self.batch(dice)
        append, with_known, twice = dice.once_in(2), not dice.once_in(3), dice.once_in(5)
        files = {
            file.signature: file.content
            for file, reference in batch
            if not reference.signature.is_removal and (with_known or file.signature not in self.both.model.files)
        }
        if dice.once_in(4):  # one that no reference names
            file = alphabet.file(dice)
            if file.signature not in self.both.model.files:
                files.setdefault(file.signature, file.content)
        for content in dict.fromkeys(files.values()):
            if content.sha256 not in self.both.model.contents or twice:
                sample = next(one for one in alphabet.SAMPLES if one.content == content)
                self.both.put(handle, sample, dice.of((BLOCK, 1000)))
        references = [reference for _file, reference in batch]
        write = self.both.append if append else self.both.record
        write(handle, files, references)
        if dice.once_in(4):  # as a caller does who has not heard the answer
            write((handle + 1) % len(self.both.stores), files, references)
        self.look_after(dice, handle)

    def record_as_it_is(self, dice: Dice, handle: int) -> None:
        """Record or append a batch of which files or contents may be missing."""
        batch = self.batch(dice)
        append, named = dice.once_in(3), dice.below(3)
        files = {
            file.signature: file.content
            for number, (file, reference) in enumerate(batch)
            if not reference.signature.is_removal and (named == 1 or (named == 2 and number % 2 == 0))
        }
        references = [reference for _file, reference in batch]
        (self.both.append if append else self.both.record)(handle, files, references)

    def forget(self, dice: Dice, handle: int) -> None:
        self.both.forget(handle, alphabet.query(dice, self.both.order, alphabet.FEW))
        self.look_after(dice, handle)

    def look_after(self, dice: Dice, handle: int) -> None:
        """Ask something after a write, on the same handle or another."""
        other = (handle + dice.of((0, 1, 0))) % len(self.both.stores)
        if other != handle:
            with promise("Capability", "each sees what the others have written"):
                self.both.compare(other)
        if dice.once_in(2):
            self.ask(dice, other)

    def ask(self, dice: Dice, handle: int) -> None:
        """Ask what was asked before, or anything."""
        if self.asked and not dice.once_in(3):
            self.both.seen["a query that was asked before"] += 1
            query = dice.of(self.asked[-_KEPT:])
        else:
            query = alphabet.query(dice, self.both.order)
            self.asked.append(query)
        self.both.ask(handle, query, files=dice.once_in(2))

    def look(self, dice: Dice, handle: int) -> None:  # noqa: ARG002
        self.both.look()

    def walk(self, dice: Dice, handle: int) -> None:
        """Begin a walk, or read the next page of one."""
        if not self.walks or (len(self.walks) < _KEPT and dice.once_in(3)):
            query = alphabet.query(dice, self.both.order, alphabet.FEW)
            found = set(matching(self.both.order, query))
            if dice.once_in(3):
                files = {one.signature for one in found if not one.signature.is_removal}
                self.walks.append(KeptFilesWalk(query, files, set(files)))
            else:
                self.walks.append(KeptWalk(query, found, set(found)))
            walk = self.walks[-1]
        else:
            walk = dice.of(self.walks)
        if walk.query.cursor is not None:
            self.both.seen["a walk that goes on after other calls"] += 1
            if walk.stays != walk.matched:
                self.both.seen["a walk that goes on after a write that concerns it"] += 1
        if walk.go_on(self.both.stores[handle], self.both.order):
            self.walks.remove(walk)

    def put(self, dice: Dice, handle: int) -> None:
        gone = [one for one in alphabet.SAMPLES if one.content.sha256 in self.both.discarded]
        sample = dice.of(gone) if gone and dice.once_in(2) else alphabet.sample(dice)
        for _number in range(dice.of((0, 1, 2))):
            self.both.put_and_break_off(handle, sample)
        if not dice.once_in(3):
            self.both.put(handle, sample, dice.of((BLOCK, 1000)))
        if dice.once_in(2):
            self.both.compare_contents(handle)

    def discard(self, dice: Dice, handle: int) -> None:
        read = [reader.sample for reader in self.readers]
        samples = [self.stored_sample(dice) for _number in range(dice.of((1, 2, 6)))] + read * (not dice.once_in(3))
        if dice.once_in(2):
            self.both.read(handle, samples[0], 0)
        before = self.both.model.contents.keys()
        self.both.discard(handle, samples)
        for reader in self.readers:
            reader.discarded |= reader.sample.content.sha256 not in before
        if not dice.once_in(3):
            self.both.read(handle, samples[0], 0)

    def read(self, dice: Dice, handle: int) -> None:
        sample = self.stored_sample(dice)
        self.both.read(handle, sample, dice.of((0, sample.size // 2, 1, BLOCK, sample.size, sample.size + 1)))

    def stored_sample(self, dice: Dice) -> Sample:
        """A sample, mostly one that is stored."""
        stored = [one for one in alphabet.SAMPLES if one.content.sha256 in self.both.model.contents]
        return alphabet.sample(dice) if dice.once_in(4) or not stored else dice.of(stored)

    def read_on(self, dice: Dice, handle: int) -> None:
        """Begin to read a content, or draw the next chunk."""
        if not self.readers or (len(self.readers) < _KEPT and dice.once_in(3)):
            free = self.both.model.contents.keys() - {one.sha256 for one in self.both.model.files.values()}
            unnamed = [one for one in alphabet.SAMPLES if one.content.sha256 in free]  # they may be discarded
            sample = dice.of(unnamed) if unnamed else self.stored_sample(dice)
            sha256 = sample.content.sha256
            if sha256 not in self.both.model.contents:
                return
            self.readers.append(KeptReader(sample, self.both.stores[handle].read(sha256)))
            if dice.once_in(2):
                return  # the first chunk is drawn later
        reader = dice.of(self.readers)
        if reader.discarded:
            self.both.seen["a content is discarded while it is read"] += 1
        if reader.go_on():
            self.readers.remove(reader)

    def list_contents(self, dice: Dice, handle: int) -> None:
        after = alphabet.sample(dice).content.sha256
        self.both.compare_contents(handle, dice.of((b"", after, after[:1], after + b"\0")))

    def claim(self, dice: Dice, handle: int) -> None:
        for _number in range(dice.of((1, 2, 4, 6))):
            self.claim_or_release(dice, handle)

    def claim_or_release(self, dice: Dice, handle: int) -> None:
        """Claim or release keys, by the clock of the holder, which may go back."""
        keys = list(dict.fromkeys(dice.of(alphabet.KEYS) for _number in range(dice.of((1, 1, 2)))))
        store, model, seen = self.both.stores[handle], self.both.model, self.both.seen
        leases = {key: model.leases[key] for key in keys if key in model.leases}
        owners = [owner for owner, _end in leases.values()]
        holder = dice.of(owners) if owners and dice.once_in(2) else dice.of(alphabet.HOLDERS)
        if dice.once_in(3):
            seen[f"release by {'the holder' if holder in owners else 'somebody else'}"] += 1
            with promise("ReferenceStore.release", "End the leases that `holder` holds on `keys`"):
                store.release(keys, holder)
            model.release(keys, holder)
            return
        self.now += dice.of((0, 1, 1, 2, 3))
        now = self.now + dice.of((0, 0, 3, -3))
        until = now + dice.of((2, 1, 3, 5, 8))
        if now < self.clocks[holder]:
            seen["a clock that goes back"] += 1
        self.clocks[holder] = now
        for owner, end in leases.values():
            if owner == holder:
                seen[f"a lease that is {'shortened' if until < end else 'extended'}"] += 1
            else:
                seen["a lease that is taken after its end" if end <= now else "a claim that is refused"] += 1
        with promise("ReferenceStore.claim", "exclusive; return those that it holds now"):
            self.both.agree(store.claim(keys, holder, now, until), model.claim(keys, holder, now, until))

    def reopen(self, dice: Dice, handle: int) -> None:  # noqa: ARG002
        """Close everything and open it again, where that loses nothing."""
        for reader in self.readers:
            reader.close()
        self.readers.clear()
        if Capability.DURABLE in self.places.capabilities:
            if self.both.order:
                self.both.seen["reopening with references"] += 1
            self.both.reopen()


_DOINGS: tuple[Callable[[StoreMachine, Dice, int], None] | None, ...] = (
    None,  # what a step becomes that a failure does not need
    *(StoreMachine.harvest,) * 10,
    *(StoreMachine.record_as_it_is,) * 3,
    *(StoreMachine.forget,) * 5,
    *(StoreMachine.discard,) * 2,
    *(StoreMachine.put,) * 2,
    StoreMachine.read,
    *(StoreMachine.read_on,) * 3,
    StoreMachine.list_contents,
    *(StoreMachine.ask,) * 2,
    *(StoreMachine.walk,) * 4,
    *(StoreMachine.claim,) * 6,
    StoreMachine.look,
    StoreMachine.reopen,
)
"""What a step may be, each as often as it is to be done."""


class SequenceTests(Base):
    """Of everything together."""

    @clause("store", "Every call takes effect whole or not at all, and each read shows one moment")
    def test_any_sequence_of_calls_agrees_with_the_model(self, places: Places, depth: Depth) -> None:
        depth.run(
            type(
                "StoreMachineHere", (StoreMachine,), {"places": places, "events": depth.events, "interest": Interest()}
            )
        )
