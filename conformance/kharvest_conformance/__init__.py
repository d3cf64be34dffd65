"""Tells the author of a kharvest store whether it keeps the contract of `kharvest.spi`.

The tests are the methods of `kharvest_conformance.suite.Suite`. Three doors lead to the same tests:

- `kharvest conformance URL`,
- `pytest --pyargs kharvest_conformance --kharvest-store URL`,
- a subclass of `Suite` in an author's own test file, with a fixture `harness`.

This package itself loads neither pytest nor Hypothesis: the processes that the suite starts and kills import it.
"""

from kharvest_conformance.harness import Harness

__version__ = "0.1.0"
__all__ = ["Harness", "__version__"]
