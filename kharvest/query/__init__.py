"""The user API in Python: ask a server what pods hold and held.

with QueryClient("127.0.0.1:50051") as client:
    for reference in client.references(namespace="shop", latest=True):
        print(reference.pod, reference.path, reference.observed_at)
"""

from kharvest.query._client import QueryClient
from kharvest.query._errors import QueryFailed, ServerUnavailable
from kharvest.query._filters import Filter, check_glob, check_name, check_path
from kharvest.query._times import Time, format_time, time_ns
from kharvest.query._values import FoundFile, FoundReference

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
