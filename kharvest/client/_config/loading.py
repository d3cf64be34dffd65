"""One configuration from a file, the environment and the command line."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from kharvest.client._config import pod_info
from kharvest.client._config.client_config import SETTINGS, ClientConfig
from kharvest.client._config.kinds import Shape, StrPath, unknown
from kharvest.client._errors import ConfigurationError
from kharvest.wire.address import DEFAULT_SERVER

logger = logging.getLogger(__name__)

_YAML = (".yaml", ".yml")
_KNOWN = {setting.name: setting for setting in SETTINGS}


class ConfigSource(Protocol):
    """Loads a configuration, again whenever one of its files has changed."""

    @property
    def files(self) -> Collection[str]:
        """The absolute paths of the files that `load` reads. They need not exist."""

    def load(self) -> ClientConfig:
        """Return the configuration as it is now.

        Raises:
            ConfigurationError: it cannot be used.
        """


class Settings:
    """A `ConfigSource` that puts together what several places give.

    Values that are given directly win over the environment (`KHARVEST_SERVER`, …), that over the configuration file,
    that over the downward API and the defaults. Metadata is merged key by key in that order. Paths are put together.

    Args:
        given: values by the names of `ClientConfig`'s fields, and `labels` and `annotations`: the keys that are taken
            from the downward API's files, `*` for all. None is ignored.
        config_file: the configuration file: YAML if it is named `.yaml` or `.yml`, else a path per line.
        environment: the environment; that of the process if None.
        podinfo_directory: where the downward API's volume is mounted.

    Raises:
        ConfigurationError: a given value is unknown, or of the wrong type.
    """

    def __init__(
        self,
        given: Mapping[str, Any],
        *,
        config_file: StrPath | None = None,
        environment: Mapping[str, str] | None = None,
        podinfo_directory: StrPath = pod_info.DIRECTORY,
    ) -> None:
        self._given = {name: _checked(name, value) for name, value in given.items() if value is not None}
        # The default is not in the signature: `help` would print what is in the environment, secrets too.
        self._environment = os.environ if environment is None else environment
        file = config_file or self._environment.get("KHARVEST_CONFIG")
        self._file = None if file is None else Path(file).absolute()
        self._podinfo = Path(podinfo_directory)
        self._warned: set[str] = set()  # of what is left out, for it is loaded again and again

    @property
    def config_file(self) -> str | None:
        """The configuration file, if there is one."""
        return None if self._file is None else str(self._file)

    @property
    def files(self) -> tuple[str, ...]:
        """The files that a change of the configuration comes from."""
        podinfo_files = (str(self._podinfo / name) for name in ("labels", "annotations"))
        return (*(() if self._file is None else (str(self._file),)), *podinfo_files)

    def load(self) -> ClientConfig:
        """Return the configuration as it is now.

        Raises:
            ConfigurationError: something in it cannot be used; the message names the place.
        """
        written, lines = self._read_file()
        environment = self._read_environment()
        sources = (written, environment, self._given)
        merged = {**self._defaults(), **written, **environment, **self._given}
        chosen = {key: value for source in sources for key, value in source.get("metadata", {}).items()}
        merged["metadata"] = self._metadata(chosen, labels=merged.pop("labels"), annotations=merged.pop("annotations"))
        merged["paths"] = tuple(path for source in reversed(sources) for path in source.get("paths", ()))
        merged["rules"] = tuple(
            replace(
                rule,
                exclude=() if rule.is_path else (*rule.exclude, *merged.get("exclude", ())),
                max_bytes=merged.get("max_bytes") if rule.max_bytes is None else rule.max_bytes,
            )
            for rule in merged.get("rules", ())
        )
        try:
            return ClientConfig(**merged)
        except ConfigurationError as error:
            is_written = error.field not in self._given and error.field not in environment
            where = lines.get(error.field.split(" ")[0]) if is_written else None
            if where is None:
                raise
            raise ConfigurationError(f"{where}: {error.field}", error.problem, error.remedy) from error

    def _defaults(self) -> dict[str, Any]:
        get = self._environment.get
        return {
            "server": DEFAULT_SERVER,
            "namespace": get("POD_NAMESPACE") or get("NAMESPACE") or "default",
            "pod": get("POD_NAME") or get("PODNAME") or socket.gethostname(),
            "uid": get("POD_UID") or "",
            "labels": (pod_info.ALL,),
            "annotations": (),
        }

    def _read_file(self) -> tuple[dict[str, Any], dict[str, str]]:
        """The settings in the configuration file, and the line of each."""
        if self._file is None:
            return {}, {}
        if self._file.suffix not in _YAML:
            return {"paths": _read_paths(self._file)}, {}
        try:
            from kharvest.client._config.yaml_file import read_yaml  # noqa: PLC0415  # only who uses it pays for it
        except ModuleNotFoundError as error:
            if error.name != "yaml":
                raise
            remedy = "pip install PyYAML, or list the paths in a file that is not named .yaml"
            raise ConfigurationError(str(self._file), "reading YAML needs PyYAML", remedy) from error
        return read_yaml(self._file)

    def _read_environment(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for setting in SETTINGS:
            text = self._environment.get(setting.variable)
            if text:
                try:
                    found[setting.name] = setting.kind.parse_variable(text)
                except ValueError as error:
                    problem, _, remedy = str(error).partition("; ")
                    raise ConfigurationError(setting.variable, problem, remedy or "correct or unset it") from error
        return found

    def _metadata(self, chosen: Mapping[str, str], **keys: Collection[str]) -> dict[str, str]:
        """The chosen pairs, and as many of the downward API as there is room for: of each file those with its keys."""
        metadata = dict(chosen)
        node = self._environment.get("NODE_NAME")
        left_out = pod_info.add_pairs(metadata, {"node": node} if node else {}, "NODE_NAME")
        for name in ("labels", "annotations"):
            file = self._podinfo / name
            pairs, unusable = pod_info.read_pairs(file, keys[name])
            left_out += unusable + pod_info.add_pairs(metadata, pairs, file)
        for message in left_out:
            if message not in self._warned:
                logger.warning("%s", message)
        self._warned = set(left_out)
        return metadata


def _read_paths(file: Path) -> tuple[str, ...]:
    """The paths of a file in the original format: one per line; blank lines and `#` comments are ignored."""
    try:
        lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise ConfigurationError(str(file), error.strerror or str(error), "name a file that can be read") from error
    paths = []
    for number, line in enumerate(lines, 1):
        path = line.strip()
        if path and not path.startswith("#"):
            if not path.startswith("/") or "\0" in path:
                raise ConfigurationError(f"{file}:{number}", f"{path!r} is not a full path", "give it from the root")
            paths.append(path)
    return tuple(paths)


def _checked(name: str, value: Any) -> Any:
    """A given value, as what it is to be merged with."""
    if name not in _KNOWN:
        raise unknown(name, name, _KNOWN)
    kind = _KNOWN[name].kind
    return value if kind.shape is Shape.ONE else kind.check(name, value)  # a single one is checked when all are known
