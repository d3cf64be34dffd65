"""The store of kharvest on object storage and file systems, through fsspec."""
