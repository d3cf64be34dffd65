"""All stores of the zoo, by name."""

from __future__ import annotations

from kharvest_zoo.faults import FAULTS
from kharvest_zoo.filed import FiledStore
from kharvest_zoo.generated import GENERATED
from kharvest_zoo.odd import ODD
from kharvest_zoo.plain import PlainStore

CORRECT = {"PlainStore": PlainStore, "FiledStore": FiledStore}
KINDS: dict[str, type[PlainStore]] = CORRECT | ODD | {store.__name__: store for store in FAULTS} | GENERATED
