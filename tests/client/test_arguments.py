"""What a program gives is taken as it was meant, or refused with the name of the argument."""

from __future__ import annotations

import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import kharvest
from kharvest.client import ClientConfig, ConfigurationError, Settings, directory_rule, glob_rule, path_rule


def config(**given: Any) -> ClientConfig:
    return ClientConfig(**{"server": "localhost", "pod": "web-1", **given})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"paths": "/etc/hosts"}, r"paths: '/etc/hosts' is one, and several belong here; give \('/etc/hosts',\)"),
        ({"paths": Path("/etc/hosts")}, "paths: .* is one"),
        ({"paths": b"/etc/hosts"}, "paths: .* is one"),
        ({"paths": None}, "paths: None is of type NoneType"),
        ({"paths": {"/etc/hosts": 1}}, "paths: .* of type dict"),
        ({"paths": [b"/etc/hosts"]}, r"paths\[0\]: b'/etc/hosts' is of type bytes"),
        ({"paths": ["/a", 5]}, r"paths\[1\]: 5 is of type int"),
        ({"globs": "/etc/*"}, "globs: '/etc/\\*' is one"),
        ({"directories": "/etc"}, "directories: '/etc' is one"),
        ({"exclude": "*.log"}, "exclude: '\\*.log' is one"),
        ({"exclude": [None]}, r"exclude\[0\]: None"),
        ({"root": 5}, "root: 5 is of type int"),
        ({"root": b"/"}, "root: b'/' is of type bytes"),
        ({"server": b"localhost"}, "server: b'localhost' is of type bytes"),
        ({"server": None}, "server: None"),
        ({"pod": 5}, "pod: 5 is of type int"),
        ({"namespace": b"shop"}, "namespace: b'shop' is of type bytes"),
        ({"metadata": {"n": 1}}, "metadata 'n': 1 is of type int"),
        ({"metadata": {1: "n"}}, "metadata key: 1 is of type int"),
        ({"metadata": "app=web"}, "metadata: 'app=web' is of type str"),
        ({"metadata": ["app"]}, "metadata: .* of type list"),
        ({"max_bytes": "10Mi"}, "max_bytes: '10Mi' is of type str"),
        ({"max_bytes": 0.5}, "max_bytes: 0.5 is of type float"),
        ({"settle_seconds": "1"}, "settle_seconds: '1' is of type str"),
        ({"rescan_seconds": None}, "rescan_seconds: None"),
        ({"rescan_seconds": float("nan")}, "rescan_seconds: nan is out of range"),
        ({"poll_seconds": True}, "poll_seconds: True is of type bool"),
        ({"rules": path_rule("/etc/hosts")}, "rules: .* of type Rule"),
        ({"rules": ("/etc/hosts",)}, r"rules\[0\]: '/etc/hosts' is of type str"),
    ],
)
def test_an_argument_of_the_wrong_type_is_refused_by_its_name(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        config(**given)


def test_an_unknown_argument_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="pahts"):
        config(pahts=())


def test_paths_may_be_of_any_kind_and_in_any_collection(tmp_path: Path) -> None:
    expected = config(paths=("/a", "/b"), globs=("/c/*",), directories=("/d",), exclude=("*.log",))
    assert (
        config(paths=[Path("/a"), "/b"], globs=[Path("/c/*")], directories=iter([Path("/d")]), exclude=["*.log"])
        == expected
    )
    assert config(root=tmp_path).root == str(tmp_path)
    with os.scandir(tmp_path.parent) as entries:
        assert str(tmp_path) in config(directories=entries).directories


@pytest.mark.parametrize(
    ("make", "given", "said"),
    [
        (path_rule, {"path": 5}, "path: 5"),
        (directory_rule, {"path": "/d", "exclude": "*.log"}, "exclude: .* is one"),
        (glob_rule, {"glob": "/d/*", "exclude": "*.log"}, "exclude: .* is one"),
        (glob_rule, {"glob": b"/d/*"}, "glob: b'/d/"),
    ],
)
def test_so_it_is_for_rules(make: Any, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make(**given)
    assert directory_rule(Path("/d")) == directory_rule("/d")
    assert path_rule(Path("/d")) == path_rule("/d")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"servr": "x"}, "servr: there is no such setting; do you mean 'server'?"),
        ({"paths": "/etc/hosts"}, "paths: '/etc/hosts' is one"),
        ({"globs": "/etc/*"}, "globs: .* is one"),
        ({"labels": "app"}, "labels: 'app' is one"),
        ({"annotations": "app"}, "annotations: 'app' is one"),
        ({"metadata": "app=web"}, "metadata: 'app=web' is of type str"),
        ({"metadata": {"n": 1}}, "metadata 'n': 1"),
    ],
)
def test_so_it_is_for_settings(tmp_path: Path, told: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Settings(told, environment={}, podinfo_directory=tmp_path).load()


def test_settings_take_paths_of_any_kind(tmp_path: Path) -> None:
    (tmp_path / "k.conf").write_text("/etc/hosts\n")
    settings = Settings(
        {"paths": [Path("/a")]}, config_file=tmp_path / "k.conf", environment={}, podinfo_directory=tmp_path
    )
    assert settings.load().paths == ("/a", "/etc/hosts")


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"directories": ["/etc"]}, "/host/etc"),
        ({"paths": ["/etc/hosts"]}, "/host/etc/hosts"),
        ({"globs": ["/etc/*"]}, "/host/etc/\\*"),
    ],
)
def test_a_path_outside_the_root_is_told_where_it_is_below_it(given: dict[str, Any], where: str) -> None:
    said = f"is not below the root '/host'; give it as it is mounted here: {where}$"
    with pytest.raises(ConfigurationError, match=said):
        config(root="/host", **given)


SECRET = "hunter2-in-the-environment"


@pytest.mark.slow
def test_no_help_shows_what_is_in_the_environment() -> None:
    """Every module of ours is documented by pydoc, and every command by --help, in a process with secrets around it."""
    variables = (
        "KHARVEST_SERVER",
        "KHARVEST_STORE",
        "KHARVEST_CONTENTS",
        "KHARVEST_LISTEN",
        "KHARVEST_PROXY",
        "PASSWORD",
    )
    names = [
        module.name for module in pkgutil.walk_packages(kharvest.__path__, "kharvest.") if "__main__" not in module.name
    ]
    code = f"""
import importlib, pydoc
from kharvest.cli.main import COMMANDS, run
for name in {names}:
    print(pydoc.plain(pydoc.render_doc(importlib.import_module(name))))
for command in COMMANDS:
    run([command, "--help"])
"""
    environment = {**os.environ, **dict.fromkeys(variables, SECRET)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert "class Settings" in run.stdout
    assert "--contents" in run.stdout
    assert SECRET not in run.stdout + run.stderr
    assert inspect.signature(Settings).parameters["environment"].default is None
