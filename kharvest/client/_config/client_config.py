"""The list of the client's settings: their names, kinds, defaults and documentation.

The arguments, the environment variables, the configuration file's keys and the tables of the documentation are made
from it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, get_type_hints

from kharvest.client._config import kinds
from kharvest.client._config.kinds import Kind, Shape, StrPath, check_type, several
from kharvest.client._config.rules import Rule, directory_rule, glob_rule, path_rule
from kharvest.client._errors import ConfigurationError
from kharvest.wire.address import DEFAULT_PORT, DEFAULT_SERVER

_OWN = "after its name"
_RULES = Kind(
    "",
    lambda name, given: several(name, given, lambda item_name, item: check_type(item_name, item, Rule)),
    shape=Shape.RULES,
)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        kind: how a value is written and checked.
        about: what it does, a phrase for the help and the documentation.
        default: what the value is where none is given, as text; empty if that says nothing.
        option: its option on the command line; empty if there is none.
        key: its key in the configuration file; empty if there is none.
        name: its name in a program.
    """

    kind: Kind
    about: str
    default: str = ""
    option: str = _OWN
    key: str = _OWN
    name: str = ""

    @property
    def variable(self) -> str:
        """Its environment variable; empty if there is none."""
        return "" if self.kind.shape is Shape.RULES else f"KHARVEST_{self.name.upper()}"

    def named(self, name: str, default: object = None) -> Setting:
        """The same, of this name and default value."""
        return dataclasses.replace(
            self,
            name=name,
            option=f"--{name.replace('_', '-')}" if self.option is _OWN else self.option,
            key=name if self.key is _OWN else self.key,
            default=f"{default:g}" if isinstance(default, float) else self.default,
        )


_S = Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """Everything that a client needs to know. It is checked when it is made.

    The fields are settings; `SETTINGS` documents them.

    Raises:
        ConfigurationError: a value cannot be used.
    """

    server: Annotated[
        str,
        _S(kinds.SERVER, f"the server to announce to; without a port, {DEFAULT_PORT}", DEFAULT_SERVER),
    ]
    proxy: Annotated[
        str | None,
        _S(kinds.PROXY, "the HTTP proxy to reach the server through; $http_proxy is ignored", "none"),
    ] = dataclasses.field(default=None, repr=False)  # it may hold a password
    namespace: Annotated[
        str, _S(kinds.NAMESPACE, "the namespace of the pod", "$POD_NAMESPACE, $NAMESPACE, or 'default'")
    ] = "default"
    pod: Annotated[str, _S(kinds.POD, "the pod that the files belong to", "$POD_NAME, $PODNAME, or the host's name")]
    uid: Annotated[
        str,
        _S(kinds.UID, "the pod's UID, which tells it from earlier pods of its name", "$POD_UID, or unknown"),
    ] = ""
    metadata: Annotated[
        Mapping[str, str],
        _S(kinds.METADATA, "pairs that are recorded with every reference", "`node` from $NODE_NAME"),
    ] = dataclasses.field(default_factory=dict)
    paths: Annotated[
        tuple[StrPath, ...],
        _S(kinds.FILES, "the files to watch; they need not exist yet", option="PATH", key=""),
    ] = ()
    globs: Annotated[
        tuple[StrPath, ...],
        _S(kinds.GLOBS, "watch the files that match; `**` matches any number of directories", option="--glob", key=""),
    ] = ()
    directories: Annotated[
        tuple[StrPath, ...],
        _S(kinds.DIRECTORIES, "watch all files below this directory", option="--directory", key=""),
    ] = ()
    exclude: Annotated[
        tuple[str, ...],
        _S(kinds.GLOBS, "leave out files of globs and directories by name, or with a slash by path"),
    ] = ()
    max_bytes: Annotated[
        int | None, _S(kinds.optional(kinds.SIZE), "leave out larger files, for example 10Mi", "the server's limit")
    ] = None
    rules: Annotated[tuple[Rule, ...], _S(_RULES, "what to watch, with details for each", option="", key="files")] = ()
    root: Annotated[
        str,
        _S(
            kinds.DIRECTORY,
            "announce DIR/etc/app.conf as /etc/app.conf, where another container's files are mounted",
            "/",
        ),
    ] = "/"
    confine: Annotated[
        bool,
        _S(kinds.FLAG, "follow links of named paths only further down, for volumes that others write", "false"),
    ] = False
    max_hole_bytes: Annotated[
        int, _S(kinds.SIZE, "leave out sparse files whose holes take more than this; holes are sent as zeros", "2Gi")
    ] = 2 << 30
    settle_seconds: Annotated[float, _S(kinds.SECONDS, "how long a file must rest before it is read")] = 0.5
    settle_max_seconds: Annotated[float, _S(kinds.SECONDS, "when a file that never rests is read all the same")] = 30.0
    rescan_seconds: Annotated[float, _S(kinds.INTERVAL, "how often every path is checked, whatever events came")] = 60.0
    rehash_seconds: Annotated[
        float, _S(kinds.INTERVAL, "how often every file is read again, to find changes that its times do not show")
    ] = 600.0
    poll_seconds: Annotated[float, _S(kinds.INTERVAL, "how often directories that deliver no events are checked")] = 2.0
    reannounce_seconds: Annotated[
        float, _S(kinds.INTERVAL, "how often every file is announced again, changed or not")
    ] = 3600.0
    spread_seconds: Annotated[
        float, _S(kinds.SECONDS, "over how long the announcements after a reconnect are spread")
    ] = 10.0
    grace_seconds: Annotated[
        float, _S(kinds.SECONDS, "on SIGTERM and `close`: how long to bring what is pending to the server")
    ] = 10.0

    def __post_init__(self) -> None:
        for setting in SETTINGS:
            if setting.name not in _POD_INFO:
                value = setting.kind.check(setting.name, getattr(self, setting.name))
                object.__setattr__(self, setting.name, value)
        for rule in self.all_rules():
            if not f"{rule}".startswith(self.root.rstrip("/") + "/"):
                named = str(rule).removesuffix("/**/*")  # of a directory
                remedy = f"give it as it is mounted here: {self.root}{named}"
                raise ConfigurationError("path", f"{named!r} is not below the root {self.root!r}", remedy)
        if self.settle_max_seconds < self.settle_seconds:
            problem = f"{self.settle_max_seconds} is out of range"
            raise ConfigurationError("settle_max_seconds", problem, "give settle_seconds or more")

    def all_rules(self) -> tuple[Rule, ...]:
        """The rules that all of this amounts to; where several find a file, the first one counts."""
        rules = (
            *self.rules,
            *(path_rule(path, max_bytes=self.max_bytes) for path in self.paths),
            *(glob_rule(glob, exclude=self.exclude, max_bytes=self.max_bytes) for glob in self.globs),
            *(directory_rule(path, exclude=self.exclude, max_bytes=self.max_bytes) for path in self.directories),
        )
        return tuple(dataclasses.replace(rule, system_root=self.root, confine=self.confine) for rule in rules)


_POD_INFO = {
    "labels": _S(kinds.KEYS, "take this label of /etc/podinfo/labels as metadata", "all", "--label"),
    "annotations": _S(
        kinds.KEYS, "take this annotation of /etc/podinfo/annotations as metadata", "none", "--annotation"
    ),
}
_HINTS = get_type_hints(ClientConfig, include_extras=True)

SETTINGS: tuple[Setting, ...] = (
    *(_HINTS[one.name].__metadata__[0].named(one.name, one.default) for one in fields(ClientConfig)),
    *(setting.named(name) for name, setting in _POD_INFO.items()),
)
"""Every setting: the fields of `ClientConfig`, and what `Settings` takes of the downward API."""

ClientConfig.__doc__ = "\n".join(
    (
        (ClientConfig.__doc__ or "").rstrip(),
        "\n    Attributes:",
        *(f"        {one.name}: {one.about}." for one in SETTINGS if one.name not in _POD_INFO),
    )
)
