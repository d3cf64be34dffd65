"""The server: `Server(ServerConfig(store=...))`. See `serving` for how its parts fit together."""

from kharvest.server.config import ServerConfig
from kharvest.server.serving import CannotListen, Server

__all__ = ["CannotListen", "Server", "ServerConfig"]
