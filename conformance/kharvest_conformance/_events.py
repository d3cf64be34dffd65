"""How often what matters happens in random sequences: a random test that never gets there proves nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Events:
    """What happened in the random sequences of one run.

    Attributes:
        runs: how many sequences there were.
        happened: how often each event happened in all.
        in_runs: in how many of the sequences each happened.
    """

    runs: int = 0
    happened: Counter[str] = field(default_factory=Counter)
    in_runs: Counter[str] = field(default_factory=Counter)

    def add(self, seen: Counter[str]) -> None:
        """Count what happened in one sequence, if anything did."""
        self.runs += bool(seen)
        self.happened.update(seen)
        self.in_runs.update(seen.keys())

    def merge(self, other: Events) -> None:
        """Add what happened in a part of the run."""
        self.runs += other.runs
        self.happened.update(other.happened)
        self.in_runs.update(other.in_runs)

    def share(self, event: str) -> float:
        """In what part of the sequences it happened, 0 to 1."""
        return self.in_runs[event] / max(1, self.runs)

    def lines(self) -> Iterator[str]:
        """For people: the rarest first."""
        if self.runs:
            yield f"  events in {self.runs} random sequences (share of the sequences, number in all, event):"
        for event, runs in sorted(self.in_runs.items(), key=lambda item: (item[1], item[0])):
            yield f"    {100 * runs // self.runs:3} % {self.happened[event]:6}  {event}"

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "runs": self.runs,
            "events": {
                name: {"runs": self.in_runs[name], "times": self.happened[name]} for name in sorted(self.happened)
            },
        }
