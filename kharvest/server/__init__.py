"""The server: `Server(ServerConfig(store=...))`. See `serving` for how its parts fit together."""

from kharvest.server._config import ServerConfig
from kharvest.server._serving import CannotListen, Server

__all__ = ["CannotListen", "Server", "ServerConfig"]
