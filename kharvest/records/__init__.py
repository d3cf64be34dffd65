"""The record layer: the references half of a store, written once over an ordered map of keys to values.

Whoever has such a map writes an `Engine` for it, and `RecordStore` makes a `ReferenceStore` of that.
Imports the standard library and `kharvest.spi` only.
"""

from kharvest.records._engine import (
    MAX_COMMIT_BYTES,
    MAX_COMMIT_ROWS,
    MAX_KEY_BYTES,
    MAX_VALUE_BYTES,
    Engine,
    Row,
    View,
)
from kharvest.records._memory import MemoryEngine
from kharvest.records._store import RecordStore

__all__ = [
    "MAX_COMMIT_BYTES",
    "MAX_COMMIT_ROWS",
    "MAX_KEY_BYTES",
    "MAX_VALUE_BYTES",
    "Engine",
    "MemoryEngine",
    "RecordStore",
    "Row",
    "View",
]
