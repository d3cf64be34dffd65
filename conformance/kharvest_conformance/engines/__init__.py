"""Tells the author of an engine for `kharvest.records` what is wrong with it, in the engine's own words.

An author's test file::

    class TestMyEngine(EngineSuite):
        @pytest.fixture
        def harness(self) -> EngineHarness:
            return MyEngineHarness()

An engine that passes makes a store that keeps the contract of `kharvest.spi` for references, files and claims. The
suite of stores has the last word: it also tests the half that holds contents.
"""

import pytest

# Before they are imported: or the asserts of an installed package fail without a word.
pytest.register_assert_rewrite(
    *(f"{__name__}.{module}" for module in ("_committing", "_handles", "_limits", "_reading", "_viewing"))
)

from kharvest_conformance.engines._harness import EngineHarness  # noqa: E402  # see above
from kharvest_conformance.engines._whole import ENGINE_TESTS, EngineSuite  # noqa: E402

__all__ = ["ENGINE_TESTS", "EngineHarness", "EngineSuite"]
