"""How much the suite catches: of the zoo, of what is generated, and of the mutants of our own stores."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kharvest_zoo.faults import FAULTS
from kharvest_zoo.filed import FiledStore
from kharvest_zoo.generated import GENERATED
from kharvest_zoo.harness import ZooHarness
from kharvest_zoo.mutants.explained import EQUIVALENT, read_explanations
from kharvest_zoo.mutants.stores import MEMORY, MutatedStore
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.warm import Case, Verdict, judge

UNCAUGHT = Path(__file__).parent / "generated" / "uncaught.toml"


@dataclass
class Score:
    """How many stores of one kind were caught.

    Attributes:
        title: what they are.
        caught: how many were.
        explained: how many were not, and cannot be.
        survivors: those that were not, and nobody has said why.
        outlived: those that are said to be uncatchable, and were caught: by luck, or the explanation has gone.
    """

    title: str
    caught: int = 0
    explained: int = 0
    survivors: list[str] = field(default_factory=list)
    outlived: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether there is nothing to look at."""
        return not self.survivors

    def lines(self) -> Iterable[str]:
        """The score, and what there is to look at."""
        total = self.caught + self.explained + len(self.survivors)
        yield (
            f"{self.title}: {self.caught} of {total} caught, {self.explained} explained, "
            f"{len(self.survivors)} unexplained survivors"
        )
        yield from (f"  survives: {name}" for name in sorted(self.survivors))
        yield from (f"  explained, and caught: {name}" for name in sorted(self.outlived))

    def note(self, name: str, verdict: Verdict, explained: bool) -> None:
        """Count one store."""
        if verdict.caught_by:
            self.caught += 1
            if explained:
                self.outlived.append(name)
        elif explained:
            self.explained += 1
        else:
            self.survivors.append(name)


@dataclass(frozen=True)
class Share:
    """Which stores to run, and how.

    Attributes:
        part: those that have it in their names;
        sample: of those as many at random, or all if it is 0.
        seed: which sample.
        jobs: how many at a time.
        explained: also those of which an explanation says that no test can catch them. Each costs a whole run.
        log: is given a line for each store as soon as it is judged.
    """

    part: str = ""
    sample: int = 0
    seed: int = 1
    jobs: int = 1
    explained: bool = False
    log: Callable[[str], None] | None = None

    def of(self, names: Iterable[str]) -> list[str]:
        """The names to judge."""
        found = [name for name in names if self.part in name]
        return random.Random(self.seed).sample(found, self.sample) if 0 < self.sample < len(found) else found

    def judge(self, score: Score, correct: Case, cases: Iterable[Case], explained: Container[str]) -> None:
        """Run the suite on each case, and note what came of it."""
        run = []
        for case in cases:
            if case.name in explained and not self.explained:
                score.note(case.name, Verdict(), explained=True)
            else:
                run.append(case)

        def tell(case: Case, verdict: Verdict) -> None:
            score.note(case.name, verdict, case.name in explained)
            if self.log is not None:
                self.log(f"{case.name}\t{verdict.caught_by or 'survives'}\t{sum(verdict.seconds.values()):.1f} s")

        if run:
            judge(correct, run, tell, jobs=self.jobs)


class InvalidReasons(ValueError):
    """The file of what can't be caught cannot be used."""


def read_uncaught(path: Path, names: Iterable[str]) -> dict[str, str]:
    """Why each generated store that is not caught cannot be.

    Raises:
        InvalidReasons: an entry has no reason, or there is no such store.
    """
    table: dict[str, str] = tomllib.loads(path.read_text())["uncaught"]
    there = set(names)
    for name, reason in table.items():
        if not isinstance(reason, str) or not reason.strip():
            raise InvalidReasons(f"{path}: {name} has no reason; say why no test can catch it")
        if name not in there:
            raise InvalidReasons(f"{path}: no generated store is named {name} (any more); correct or remove the entry")
    return table


def zoo_score(share: Share) -> Score:
    """The stores that were written by hand."""
    return _score("broken stores of the zoo", {store.__name__: store for store in FAULTS}, {}, share)


def generated_score(share: Share) -> Score:
    """The stores that were made by rule."""
    return _score("generated faults", GENERATED, read_uncaught(UNCAUGHT, GENERATED), share)


def _score(title: str, stores: Mapping[str, type[PlainStore]], reasons: Mapping[str, str], share: Share) -> Score:
    score = Score(title)
    chosen = share.of(stores)
    for base in (PlainStore, FiledStore):
        names = [name for name in chosen if issubclass(stores[name], FiledStore) is (base is FiledStore)]
        share.judge(score, _case(base.__name__), map(_case, names), reasons)
    return score


def _case(kind: str) -> Case:
    return Case(kind, lambda folder: ZooHarness(kind, str(folder)))


def mutants_score(share: Share, store: MutatedStore = MEMORY) -> Score:
    """The mutants of a store of ours."""
    score = Score(f"mutants of {store.package}")
    mutants = {store.case(mutant).name: mutant for mutant in store.mutants()}
    reasons = read_explanations(EQUIVALENT, store.package, mutants.values())
    explained = {name for name, mutant in mutants.items() if mutant.key in reasons}
    share.judge(score, store.case(), (store.case(mutants[name]) for name in share.of(mutants)), explained)
    return score
