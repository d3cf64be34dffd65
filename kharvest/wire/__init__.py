"""The wire: its messages and services, generated from `proto/`, and how a server is reached.

`v2` is ours, `legacy` the original protocol.
"""

__all__: list[str] = []
