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
            "agreeing",
            "agreement",
            "appending",
            "batching",
            "bounding",
            "calling",
            "claiming",
            "closing",
            "collected",
            "combining",
            "contending",
            "content_calls",
            "content_failures",
            "content_lists",
            "content_races",
            "crowding",
            "cursors",
            "distinguishing",
            "forgetting",
            "forks",
            "glimpsing",
            "given",
            "halfway",
            "holding",
            "interest",
            "kept",
            "killing",
            "leasing",
            "lengths",
            "likeness",
            "meeting",
            "opening",
            "own_thread",
            "paging",
            "pointing",
            "putting",
            "querying",
            "reading",
            "recording",
            "refusing",
            "rounds",
            "rereading",
            "seeing",
            "sequences",
            "sharing",
            "summarising",
            "surviving",
            "thousands",
            "timelines",
            "timing",
            "walking",
            "watching",
            "weights",
        )
    )
)

from kharvest_conformance.suite.whole import SUITE_TESTS, Suite  # noqa: E402  # see above

__all__ = ["SUITE_TESTS", "Suite"]
