"""Settings from a file, the environment and the command line, made into one configuration."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from kharvest.client import podinfo
from kharvest.client.config import ClientConfig
from kharvest.client.errors import ConfigurationError
from kharvest.client.sizes import parse_size

DEFAULT_SERVER = "127.0.0.1:50051"
_YAML = (".yaml", ".yml")
_FIELDS = {field.name for field in fields(ClientConfig)}
_NUMBERS = (
    "settle_seconds",
    "settle_max_seconds",
    "rescan_seconds",
    "poll_seconds",
    "reannounce_seconds",
    "spread_seconds",
    "grace_seconds",
)


class Settings:
    """A source of configuration (see `kharvest.client.source`).

    What was told directly wins over the environment (`KHARVEST_SERVER`, …), that over the configuration file, that over
    the downward API and the defaults. Metadata is merged key by key in that order. Paths are put together.

    Args:
        told: values by the names of `ClientConfig`'s fields, and `labels` and `annotations`: the keys that are taken
            from the downward API's files, `*` for all. Where one is None it was not told.
        config_file: the configuration file: YAML if it is named `.yaml` or `.yml`, else a path per line.
        environment: the environment.
        podinfo_directory: where the downward API's volume is mounted.
    """

    def __init__(
        self,
        told: Mapping[str, Any],
        *,
        config_file: str | None = None,
        environment: Mapping[str, str] = os.environ,
        podinfo_directory: str = podinfo.DIRECTORY,
    ) -> None:
        self._told = {name: value for name, value in told.items() if value is not None}
        self._environment = environment
        file = config_file or environment.get("KHARVEST_CONFIG")
        self._file = None if file is None else Path(file).absolute()
        self._podinfo = Path(podinfo_directory)

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
        """The configuration as it is now.

        Raises:
            ConfigurationError: something in it cannot be used; the message tells where it stands.
        """
        written, lines = self._written()
        environment = self._from_environment()
        merged = {**self._defaults(), **written, **environment, **self._told}
        merged["metadata"] = {
            **self._metadata(merged),
            **written.get("metadata", {}),
            **environment.get("metadata", {}),
            **self._told.get("metadata", {}),
        }
        merged["paths"] = (*self._told.get("paths", ()), *environment.get("paths", ()), *written.get("paths", ()))
        merged["rules"] = tuple(
            replace(
                rule,
                exclude=() if rule.is_path else (*rule.exclude, *merged.get("exclude", ())),
                max_bytes=merged.get("max_bytes") if rule.max_bytes is None else rule.max_bytes,
            )
            for rule in written.get("files", ())
        )
        try:
            return ClientConfig(**{name: value for name, value in merged.items() if name in _FIELDS})
        except ConfigurationError as error:
            told_elsewhere = error.field in self._told or error.field in environment
            where = None if told_elsewhere else lines.get(error.field.split(" ")[0])
            if where is None:
                raise
            raise ConfigurationError(f"{where}: {error.field}", error.problem, error.remedy) from error

    def _defaults(self) -> dict[str, Any]:
        get = self._environment.get
        return {
            "server": DEFAULT_SERVER,
            "namespace": get("POD_NAMESPACE") or get("NAMESPACE") or "default",
            "pod": get("POD_NAME") or get("PODNAME") or socket.gethostname(),
            "labels": (podinfo.ALL,),
            "annotations": (),
        }

    def _written(self) -> tuple[dict[str, Any], dict[str, str]]:
        if self._file is None:
            return {}, {}
        if self._file.suffix in _YAML:
            try:
                from kharvest.client.yamlfile import read_yaml  # noqa: PLC0415  # nobody else shall pay for it
            except ModuleNotFoundError as error:
                if error.name != "yaml":
                    raise
                remedy = "pip install PyYAML, or list the paths in a file that is not named .yaml"
                raise ConfigurationError(str(self._file), "reading YAML needs PyYAML", remedy) from error
            return read_yaml(self._file)
        return {"paths": self._listed(self._file)}, {}

    def _listed(self, file: Path) -> tuple[str, ...]:
        """The paths of a file in the original format: one a line; blank lines and `#` comments are nothing."""
        try:
            lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except OSError as error:
            raise ConfigurationError(str(file), error.strerror or str(error), "name a file that can be read") from error
        paths = []
        for number, line in enumerate(lines, 1):
            path = line.strip()
            if path and not path.startswith("#"):
                if not path.startswith("/") or "\0" in path:
                    raise ConfigurationError(f"{file}:{number}", f"{path!r} is no full path", "give it from the root")
                paths.append(path)
        return tuple(paths)

    def _metadata(self, merged: Mapping[str, Any]) -> dict[str, str]:
        """What the downward API tells of the pod."""
        node = self._environment.get("NODE_NAME")
        return {
            **({"node": node} if node else {}),
            **podinfo.read_pairs(self._podinfo / "annotations", merged["annotations"]),
            **podinfo.read_pairs(self._podinfo / "labels", merged["labels"]),
        }

    def _from_environment(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, convert in _VARIABLES.items():
            variable = f"KHARVEST_{name.upper()}"
            text = self._environment.get(variable)
            if text:
                try:
                    found[name] = convert(text)
                except ValueError as error:
                    raise ConfigurationError(variable, str(error), "correct or unset it") from error
        return found


def _pairs(text: str) -> dict[str, str]:
    pairs = {}
    for item in text.split(","):
        key, equals, value = item.partition("=")
        if not equals:
            raise ValueError(f"{item!r} is not KEY=VALUE")
        pairs[key] = value
    return pairs


def _keys(text: str) -> tuple[str, ...]:
    return tuple(key.strip() for key in text.split(",") if key.strip())


def _paths(text: str) -> tuple[str, ...]:
    return tuple(path for path in text.split(":") if path)


_VARIABLES: dict[str, Callable[[str], Any]] = {
    "server": str,
    "namespace": str,
    "pod": str,
    "root": str,
    "metadata": _pairs,
    "labels": _keys,
    "annotations": _keys,
    "paths": _paths,
    "globs": _paths,
    "directories": _paths,
    "exclude": _paths,
    "max_bytes": parse_size,
    **dict.fromkeys(_NUMBERS, float),
}
