"""The messages and services on the wire, generated from `proto/`: `v2` and `legacy` (the original protocol)."""
