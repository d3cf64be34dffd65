"""The MongoDB store of kharvest, through PyMongo.

It is opened by its URL, with `kharvest.registry`, which finds `plugin`. All modules are private.
"""

__all__: list[str] = []
