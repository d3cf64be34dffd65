"""The client beside the application: watches files and brings what they hold to a server.

Imports grpc, protobuf and the standard library, and watchdog once it watches; no store, registry or server. What a
sidecar imports is paid for in every pod.
"""

from kharvest.client.client import Client
from kharvest.client.config import ClientConfig
from kharvest.client.errors import ClientError, ConfigurationError, ForkedError
from kharvest.client.health import Health
from kharvest.client.once import GivenUp, Summary, harvest_once
from kharvest.client.rules import Rule, directory_rule, glob_rule, path_rule
from kharvest.client.settings import Settings
from kharvest.client.source import ConfigSource
from kharvest.client.status import Problem, Status

__all__ = [
    "Client",
    "ClientConfig",
    "ClientError",
    "ConfigSource",
    "ConfigurationError",
    "ForkedError",
    "GivenUp",
    "Health",
    "Problem",
    "Rule",
    "Settings",
    "Status",
    "Summary",
    "directory_rule",
    "glob_rule",
    "harvest_once",
    "path_rule",
]
