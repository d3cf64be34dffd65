"""Every call that the protocols name is answered: what a servicer leaves to the generated class raises."""

from __future__ import annotations

import pytest

from kharvest.server._harvest import HarvestService
from kharvest.server._legacy import LegacyHarvestService, LegacyUserService
from kharvest.server._query import QueryService


@pytest.mark.parametrize("service", [HarvestService, QueryService, LegacyHarvestService, LegacyUserService])
def test_no_call_is_left_to_the_generated_class(service: type) -> None:
    (generated,) = service.__bases__
    calls = {name for name in vars(generated) if not name.startswith("_")}
    assert calls
    assert calls <= vars(service).keys()
