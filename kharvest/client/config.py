"""What an embedded client is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kharvest.client.errors import ConfigurationError
from kharvest.client.limits import MAX_NAMESPACE_BYTES, MAX_POD_BYTES, check_metadata, check_text
from kharvest.client.rules import Rule, absolute, directory_rule, glob_rule, path_rule


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """Everything that a client needs to know. Checked when it is made.

    Attributes:
        server: `HOST:PORT`, or any target that gRPC understands (`unix:/run/kharvest.sock`, `dns:///…`).
        namespace, pod: who the files belong to.
        metadata: what else is to be recorded with every reference.
        paths: the files to watch. A relative path is made absolute now; the absolute path is what is announced.
        globs, directories: what else to watch: files that these globs find, and all files below these directories.
        exclude: globs of what is left out of these (see `kharvest.client.rules`).
        max_bytes: larger files are left out; None for no limit but the server's.
        rules: the same, and more in detail; they come first.
        root: the directory that stands for `/` where the files are at home: `ROOT/etc/app.conf` is announced as
            `/etc/app.conf`. For files of another container, or of the node, that are mounted here.
        settle_seconds: how long a file must rest before it is read.
        settle_max_seconds: after how long a file that never rests is read nevertheless.
        rescan_seconds: how often everything is looked at, whatever events came.
        poll_seconds: how often it is where there are no events; less often when that would cost over 1 % of a core.
        reannounce_seconds: how often everything is announced again, changed or not, lest anything stays wrong.
        spread_seconds: after a reconnect everything is announced again within this time, so that a fleet of
            clients does not return at once.
        grace_seconds: how long `close` waits for what is pending.

    Raises:
        ConfigurationError: a value cannot be used.
    """

    server: str
    pod: str
    namespace: str = "default"
    metadata: Mapping[str, str] = field(default_factory=dict)
    paths: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_bytes: int | None = None
    rules: tuple[Rule, ...] = ()
    root: str = "/"
    settle_seconds: float = 0.5
    settle_max_seconds: float = 30.0
    rescan_seconds: float = 60.0
    poll_seconds: float = 2.0
    reannounce_seconds: float = 3600.0
    spread_seconds: float = 10.0
    grace_seconds: float = 10.0

    def __post_init__(self) -> None:
        if not self.server or any(character.isspace() for character in self.server):
            raise ConfigurationError("server", f"{self.server!r} is no address", "give HOST:PORT")
        check_text("namespace", self.namespace, MAX_NAMESPACE_BYTES)
        check_text("pod", self.pod, MAX_POD_BYTES)
        if not self.pod:
            raise ConfigurationError("pod", "it is empty", "say which pod the files belong to")
        check_metadata(self.metadata)
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))
        object.__setattr__(self, "paths", tuple(dict.fromkeys(absolute(path) for path in self.paths)))
        object.__setattr__(self, "directories", tuple(absolute(path) for path in self.directories))
        object.__setattr__(self, "root", absolute(self.root))
        for rule in self.all_rules():
            if not f"{rule}/".startswith(self.root.rstrip("/") + "/"):
                raise ConfigurationError("path", f"'{rule}' is not below the root {self.root!r}", "name another root")
        for name in ("settle_seconds", "spread_seconds", "grace_seconds"):
            self._require(name, getattr(self, name) >= 0, "give 0 or more")
        for name in ("rescan_seconds", "poll_seconds", "reannounce_seconds"):
            self._require(name, getattr(self, name) > 0, "give more than 0")
        self._require(
            "settle_max_seconds", self.settle_max_seconds >= self.settle_seconds, "give settle_seconds or more"
        )

    def all_rules(self) -> tuple[Rule, ...]:
        """The rules that all of this amounts to; where several find a file, the first one counts."""
        return (
            *self.rules,
            *(path_rule(path, max_bytes=self.max_bytes) for path in self.paths),
            *(glob_rule(glob, exclude=self.exclude, max_bytes=self.max_bytes) for glob in self.globs),
            *(directory_rule(path, exclude=self.exclude, max_bytes=self.max_bytes) for path in self.directories),
        )

    def _require(self, name: str, holds: bool, remedy: str) -> None:
        if not holds:
            raise ConfigurationError(name, f"{getattr(self, name)} is out of range", remedy)
