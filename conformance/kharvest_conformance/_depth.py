"""How far the random tests go, and from which seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from hypothesis.strategies import SearchStrategy

from kharvest_conformance._events import Events

STEPS = 45

_ROUND = 8
"""How many random examples are drawn from one seed.

Hypothesis tries the simplest example of all first, and from the eleventh on it mostly varies those before. Nine at a
time are the simplest and eight that have nothing in common. A deep run also keeps less in memory so.
"""


@dataclass(frozen=True, slots=True)
class Depth:
    """`examples` random examples for each random test, drawn from `seed`. What happens in them goes to `events`."""

    examples: int
    seed: int
    events: Events = field(default_factory=Events, compare=False)

    def rounds(self, share: int = 1) -> Iterator[tuple[int, hypothesis.settings]]:
        """What Hypothesis is told, round by round: a seed, and settings for a part of the examples.

        One `share`-th of them are drawn, but one at least.
        """
        left = max(1, self.examples // share)
        for number in range(-(-left // _ROUND)):
            settings = hypothesis.settings(
                max_examples=min(left - number * _ROUND, _ROUND) + 1,
                stateful_step_count=STEPS,
                database=None,  # a verdict must not depend on what an earlier run left behind
                deadline=None,  # a slow store may be right
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
                phases=[Phase.generate, Phase.shrink],
                report_multiple_bugs=False,
                print_blob=False,
            )
            yield self.seed + number * 2**32, settings

    def given(
        self, share: int = 1, **values: SearchStrategy[object]
    ) -> Callable[[Callable[..., None]], Callable[[], None]]:
        """Run a function with random values.

        It is applied to a function inside of a test, never to a test: a `@given` method that two test classes inherit
        trips `HealthCheck.differing_executors`.
        """

        def decorate(check: Callable[..., None]) -> Callable[[], None]:
            def run() -> None:
                for seed, settings in self.rounds(share):
                    hypothesis.seed(seed)(settings(hypothesis.given(**values)(check)))()

            return run

        return decorate

    def run(self, machine: type[RuleBasedStateMachine]) -> None:
        """Run a state machine. The settings are passed here, since a machine does not inherit those of its base."""
        for seed, settings in self.rounds():
            run_state_machine_as_test(hypothesis.seed(seed)(machine), settings=settings)
