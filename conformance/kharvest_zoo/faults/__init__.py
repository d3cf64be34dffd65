"""Stores with one fault each, such as a tired engineer writes."""

from kharvest_zoo.fault import CAUGHT_BY
from kharvest_zoo.faults import claims, contents, lasting, pages, queries, records

FAULTS = tuple(CAUGHT_BY)

__all__ = ["FAULTS", "claims", "contents", "lasting", "pages", "queries", "records"]
