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
            "_agreeing",
            "_agreement",
            "_appending",
            "_batching",
            "_bounding",
            "_calling",
            "_claiming",
            "_closing",
            "_collected",
            "_combining",
            "_contending",
            "_content_calls",
            "_content_failures",
            "_content_lists",
            "_content_races",
            "_crowding",
            "_cursors",
            "_distinguishing",
            "_forgetting",
            "_forks",
            "_glimpsing",
            "_given",
            "_halfway",
            "_holding",
            "_interest",
            "_kept",
            "_killing",
            "_leasing",
            "_lengths",
            "_likeness",
            "_meeting",
            "_opening",
            "_own_thread",
            "_paging",
            "_pointing",
            "_putting",
            "_querying",
            "_reading",
            "_recording",
            "_refusing",
            "_rounds",
            "_rereading",
            "_seeing",
            "_sequences",
            "_sharing",
            "_successors",
            "_summarising",
            "_surviving",
            "_thousands",
            "_timelines",
            "_timing",
            "_walking",
            "_watching",
            "_weights",
        )
    )
)

from kharvest_conformance.suite._whole import SUITE_TESTS, Suite  # noqa: E402  # see above

__all__ = ["SUITE_TESTS", "Suite"]
