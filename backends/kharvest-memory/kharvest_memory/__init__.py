"""The in-memory store of kharvest, for tests and demonstrations."""
