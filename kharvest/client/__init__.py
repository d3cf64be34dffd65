"""The client beside the application: it watches files and announces what they hold to a server.

What is public is in `__all__`; every module of this package is private. `config` has the
settings, `watch` what happens to files, `send` what the server knows, and the `Harvester` joins them.

It imports grpc, protobuf and the standard library, and watchdog when it watches; no store, registry or server: every
pod pays for what a sidecar imports.
"""

from kharvest.client._client import Client
from kharvest.client._config.client_config import SETTINGS, ClientConfig, Setting
from kharvest.client._config.kinds import Shape
from kharvest.client._config.loading import ConfigSource, Settings
from kharvest.client._config.rules import Rule, directory_rule, glob_rule, path_rule
from kharvest.client._errors import ClientError, ConfigurationError, ForkedError
from kharvest.client._health import Health
from kharvest.client._once import GivenUp, Summary, harvest_once
from kharvest.client._status import Problem, Status
from kharvest.client._watch.search import find_files

__all__ = [
    "SETTINGS",
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
    "Setting",
    "Settings",
    "Shape",
    "Status",
    "Summary",
    "directory_rule",
    "find_files",
    "glob_rule",
    "harvest_once",
    "path_rule",
]
