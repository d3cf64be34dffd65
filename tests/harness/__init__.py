"""What tests share: real servers, in this process or in another, and pods that speak the wire without our client."""

from harness.pods import LegacyPod, Pod, announced, content_of, removal
from harness.servers import ServerProcess, ServerThread

__all__ = ["LegacyPod", "Pod", "ServerProcess", "ServerThread", "announced", "content_of", "removal"]
