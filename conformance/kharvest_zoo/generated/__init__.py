"""Stores that are broken by rule: each kind of fault for each method, argument, field and answer it can be in."""

from kharvest_zoo.generated import answers, batches, caches, failures, lasting, numbers, restrictions, strings
from kharvest_zoo.generated.table import GENERATED

__all__ = ["GENERATED", "answers", "batches", "caches", "failures", "lasting", "numbers", "restrictions", "strings"]
