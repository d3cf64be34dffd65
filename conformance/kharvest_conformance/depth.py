"""How far the random tests go, and from which seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from hypothesis.strategies import SearchStrategy

STEPS = 30


@dataclass(frozen=True, slots=True)
class Depth:
    """`examples` random examples for each random test, drawn from `seed`."""

    examples: int
    seed: int

    def settings(self, share: int = 1) -> hypothesis.settings:
        """What Hypothesis is told: one `share`-th of the examples, but one at least."""
        return hypothesis.settings(
            max_examples=max(1, self.examples // share),
            stateful_step_count=STEPS,
            database=None,  # a verdict must not depend on what an earlier run left behind
            deadline=None,  # a slow store may be right
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
            phases=[Phase.generate, Phase.shrink],
            report_multiple_bugs=False,
            print_blob=False,
        )

    def given(
        self, share: int = 1, **values: SearchStrategy[object]
    ) -> Callable[[Callable[..., None]], Callable[[], None]]:
        """Run a function with random values.

        It is applied to a function inside of a test, never to a test: a `@given` method that two test classes inherit
        trips `HealthCheck.differing_executors`.
        """

        def decorate(check: Callable[..., None]) -> Callable[[], None]:
            return hypothesis.seed(self.seed)(self.settings(share)(hypothesis.given(**values)(check)))

        return decorate

    def run(self, machine: type[RuleBasedStateMachine]) -> None:
        """Run a state machine. The settings are passed here, since a machine does not inherit those of its base."""
        run_state_machine_as_test(hypothesis.seed(self.seed)(machine), settings=self.settings())
