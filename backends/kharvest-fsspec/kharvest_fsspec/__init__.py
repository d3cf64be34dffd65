"""The store of kharvest on object storage and file systems, through fsspec.

It is opened by its URL, with `kharvest.registry`, which finds `plugin`. All modules are private.
"""

__all__: list[str] = []
