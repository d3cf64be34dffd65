"""The in-memory store of kharvest, for tests and demonstrations.

It is opened by its URL, with `kharvest.registry`, which finds `plugin`. All modules are private.
"""

__all__: list[str] = []
