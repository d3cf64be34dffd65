"""The user API in Python: ask a server what pods hold and held.

with QueryClient("127.0.0.1:50051") as client:
    for reference in client.references(namespace="shop", latest=True):
        print(reference.pod, reference.path, reference.observed_at)
"""

from kharvest.query.client import QueryClient
from kharvest.query.errors import QueryFailed, ServerUnavailable
from kharvest.query.filters import Filter, check_glob, check_name, check_path
from kharvest.query.times import Time, format_time, time_ns
from kharvest.query.values import FoundFile, FoundReference

__all__ = [
    "Filter",
    "FoundFile",
    "FoundReference",
    "QueryClient",
    "QueryFailed",
    "ServerUnavailable",
    "Time",
    "check_glob",
    "check_name",
    "check_path",
    "format_time",
    "time_ns",
]
