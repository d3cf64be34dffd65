"""What the suite's scenes are for, they do: a store that ignores a part of a question is seen by its answer."""

from __future__ import annotations

import pytest

from kharvest.spi import Query
from kharvest_conformance._model import matching
from kharvest_conformance.suite._combining import combined, scene


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_restriction_of_each_combination_makes_a_difference(count: int) -> None:
    references = sorted(set(scene()), key=lambda one: one.observed_at_ns)
    without_effect = [
        (restrictions, left_out)
        for restrictions in combined(count)
        for left_out in restrictions
        if set(matching(references, Query(**restrictions)))
        == set(matching(references, Query(**{name: one for name, one in restrictions.items() if name != left_out})))
    ]
    assert without_effect == []
