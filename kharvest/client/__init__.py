"""The client beside the application: watches files and brings what they hold to a server.

Imports grpc, protobuf and the standard library, and watchdog once it watches; no store, registry or server. What a
sidecar imports is paid for in every pod.
"""

from kharvest.client.client import Client
from kharvest.client.config import ClientConfig
from kharvest.client.errors import ClientError, ConfigurationError, ForkedError
from kharvest.client.once import Summary, harvest_once
from kharvest.client.status import Problem, Status

__all__ = [
    "Client",
    "ClientConfig",
    "ClientError",
    "ConfigurationError",
    "ForkedError",
    "Problem",
    "Status",
    "Summary",
    "harvest_once",
]
