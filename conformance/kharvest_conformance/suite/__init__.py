"""The tests. Each is a method of `Suite`, and says which words of the contract it holds.

An author's test file::

    class TestMyStore(Suite):
        @pytest.fixture
        def harness(self) -> Harness:
            return MyHarness()
"""

import pytest

# Before they are imported: or the asserts of an installed package fail without a word.
pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in (
            "claiming",
            "forgetting",
            "holding",
            "listing",
            "opening",
            "paging",
            "putting",
            "querying",
            "reading",
            "recording",
            "sequences",
            "sharing",
            "summarising",
            "surviving",
            "walks",
        )
    )
)

from kharvest_conformance.suite.whole import SUITE_TESTS, Suite  # noqa: E402  # see above

__all__ = ["SUITE_TESTS", "Suite"]
