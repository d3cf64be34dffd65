"""Real servers for stores: databases and object stores, each a process that tests may stop and start."""

from harness.real.fixtures import RealServers
from harness.real.kinds import GIVEN, OWN
from harness.real.server import RealServer

__all__ = ["GIVEN", "OWN", "RealServer", "RealServers"]
