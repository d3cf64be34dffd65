"""Settings: from where they come, who wins, and how an error tells where it stands."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kharvest.client import ClientConfig, ConfigurationError, Settings
from kharvest.client._config.kinds import parse_size

YAML = """\
server: kharvest:50051
namespace: shop
pod: web-1
metadata:
  app: web
  version: 1.10
files:
  - /etc/app/app.conf
  - glob: /etc/app/**/*.yaml
    exclude: [secret-*, /etc/app/tmp/**]
    max_bytes: 1Mi
    settle_seconds: 2
  - directory: /var/dumps
exclude: "*.swp"
max_bytes: 5G
settle_seconds: 0.25
"""


def load(
    directory: Path, told: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None, **files: str
) -> ClientConfig:
    """The configuration in a directory whose files are named by these keys, with `_` for the dot."""
    for name, content in files.items():
        (directory / name.replace("_", ".")).write_text(content)
    config = next((str(directory / name) for name in ("k.yaml", "k.conf") if (directory / name).exists()), None)
    environment = {"POD_NAME": "downward", **(environment or {})}
    return Settings(
        told or {}, config_file=config, environment=environment, podinfo_directory=str(directory / "podinfo")
    ).load()


def test_everything_can_be_written_in_yaml(tmp_path: Path) -> None:
    config = load(tmp_path, k_yaml=YAML)
    assert (config.server, config.namespace, config.pod) == ("kharvest:50051", "shop", "web-1")
    assert config.metadata == {"app": "web", "version": "1.10"}
    assert config.settle_seconds == 0.25
    path, glob, directory = config.all_rules()
    assert (path.root, path.is_path, path.exclude, path.max_bytes) == ("/etc/app/app.conf", True, (), 5 * 10**9)
    assert (glob.root, glob.segments) == ("/etc/app", ("**", "*.yaml"))
    assert glob.exclude == ("secret-*", "/etc/app/tmp/**", "*.swp")
    assert (glob.max_bytes, glob.settle_seconds) == (1 << 20, 2)
    assert (directory.root, directory.segments, directory.exclude) == ("/var/dumps", ("**", "*"), ("*.swp",))


def test_what_is_told_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    environment = {
        "KHARVEST_SERVER": "environment:1",
        "KHARVEST_POD": "environment",
        "KHARVEST_METADATA": "app=environment,from=environment",
        "KHARVEST_PATHS": "/b:/c",
        "KHARVEST_SETTLE_SECONDS": "7",
    }
    told = {"server": "told:1", "metadata": {"from": "told"}, "paths": ("/a",), "namespace": None}
    config = load(tmp_path, told, environment, k_yaml=YAML)
    assert (config.server, config.pod, config.namespace) == ("told:1", "environment", "shop")
    assert config.metadata == {"app": "environment", "version": "1.10", "from": "told"}
    assert config.paths == ("/a", "/b", "/c")
    assert config.settle_seconds == 7


def test_the_downward_api_tells_who_we_are(tmp_path: Path) -> None:
    podinfo = tmp_path / "podinfo"
    podinfo.mkdir()
    (podinfo / "labels").write_text('app="web"\ntier="a \\"quoted\\" \\u00fc\\n"\n')
    (podinfo / "annotations").write_text('wanted="yes"\nunwanted="no"\n')
    environment = {"POD_NAMESPACE": "shop", "POD_UID": "0d1c", "NODE_NAME": "node-7", "KHARVEST_ANNOTATIONS": "wanted"}
    config = load(tmp_path, environment=environment)
    assert (config.pod, config.namespace, config.uid) == ("downward", "shop", "0d1c")
    assert config.metadata == {"app": "web", "tier": 'a "quoted" ü\n', "wanted": "yes", "node": "node-7"}
    assert load(tmp_path, {"labels": ("app",)}).metadata == {"app": "web"}


def test_the_names_of_the_original_client_s_environment_are_known_too(tmp_path: Path) -> None:
    settings = Settings({}, environment={"PODNAME": "old", "NAMESPACE": "ns"}, podinfo_directory=str(tmp_path))
    assert (settings.load().pod, settings.load().namespace) == ("old", "ns")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("servr: x", "1: servr: there is no such setting; do you mean 'server'?"),
        ("files: [/a]\nserver: [a, b]", "2: server: it is not text; write one value"),
        ("files:\n  - /a\n  - relative/b", "3: files[1]: 'relative/b' is relative; give it from the root"),
        ("files:\n  - glob: /a/plain", "2: files[0]: '/a/plain' has no *, ? or [; give it as a path"),
        ("files:\n  - glob: /a/*\n    directory: /b", "3: files[0].directory: glob is given too"),
        ("files:\n  - exclude: x", "2: files[0]: it names no files; give one of path, glob, directory"),
        ("files:\n  - glob: /a/*\n    max_bytes: ten", "3: files[0].max_bytes: 'ten' is not a size"),
        ("files:\n  - glob: /a/*\n    exclude: a/b", "2: files[0]: 'a/b' is a relative path; begin it with /"),
        (
            "files:\n  - path: /a\n    excldue: x",
            "3: files[0].excldue: there is no such setting; do you mean 'exclude'?",
        ),
        ("pod: a\npod: b", "2: pod: it is given twice; keep one of them"),
        ("metadata: [a]", "1: metadata: it is not a mapping"),
        ("metadata:\n  a: {}", "2: metadata.a: it is not text"),
        ("settle_seconds: soon", "1: settle_seconds: 'soon' is not a number; give seconds"),
        ("pod: a\nsettle_seconds: -1", "2: settle_seconds: -1.0 is out of range; give 0 or more"),
        ("pod: a\nrescan_seconds: nan", "2: rescan_seconds: 'nan' is not a number"),
        ("- a", "1: document: it is not a mapping"),
        ("a: [", "write valid YAML"),
        ("a: \x01", "write valid YAML"),
    ],
)
def test_an_error_tells_file_line_and_field(tmp_path: Path, written: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(tmp_path, k_yaml=written)
    message = str(raised.value)
    assert message.startswith(f"{tmp_path}/k.yaml")
    assert said in message


def test_an_error_of_what_was_told_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(tmp_path, {"settle_seconds": -1}, k_yaml="settle_seconds: 1")
    assert str(raised.value).startswith("settle_seconds: -1")
    with pytest.raises(ConfigurationError, match="KHARVEST_POLL_SECONDS: 'x' is not a number; give seconds"):
        load(tmp_path, environment={"KHARVEST_POLL_SECONDS": "x"})
    with pytest.raises(ConfigurationError, match="KHARVEST_METADATA: 'x' is not KEY=VALUE"):
        load(tmp_path, environment={"KHARVEST_METADATA": "x"})


def test_the_original_format_is_a_path_per_line(tmp_path: Path) -> None:
    assert load(tmp_path, k_conf="# c\n\n /a b \n/c\n").paths == ("/a b", "/c")
    with pytest.raises(ConfigurationError) as raised:
        load(tmp_path, k_conf="/a\nb\n")
    assert str(raised.value) == f"{tmp_path}/k.conf:2: 'b' is not a full path; give it from the root"


def test_without_pyyaml_it_is_said_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "k.yaml").write_text("pod: a")
    program = (
        "import sys; sys.modules['yaml'] = None\n"  # as if it were not installed
        "from kharvest.client import Settings\n"
        f"Settings({{}}, config_file='{tmp_path}/k.yaml', environment={{}}).load()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert "k.yaml: reading YAML needs PyYAML; pip install PyYAML" in done.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('last-applied="' + "x" * 60_000 + '"', "its value: 60000 bytes"),
        (f'{"k" * 318}="v"', "its key: 318 bytes"),
        ('nul="a\\x00b"', "holds a NUL"),
        ('surrogate="\\ud800"', "is not valid Unicode"),
        ("bad", 'it is not KEY="VALUE"'),
        ('half="no end', 'it is not KEY="VALUE"'),
        ("number=1", 'it is not KEY="VALUE"'),
        (f"deep={'[' * 5000}", 'it is not KEY="VALUE"'),
    ],
)
@pytest.mark.parametrize("name", ["labels", "annotations"])
def test_what_cannot_be_metadata_of_the_downward_api_is_left_out_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, line: str, said: str
) -> None:
    (tmp_path / name).write_text(f'good="1"\n{line}\nempty=""\nlines="one\\ntwo"\nunicode="gr\\u00fc\u2028"\n')
    settings = Settings({name: ("*",)}, environment={"POD_NAME": "p"}, podinfo_directory=str(tmp_path))
    for _ in range(2):  # it is loaded whenever a file of it may have changed
        metadata = settings.load().metadata
    assert metadata == {"good": "1", "empty": "", "lines": "one\ntwo", "unicode": "grü\u2028"}
    [message] = [record.getMessage() for record in caplog.records]
    assert message.startswith(f"{tmp_path}/{name}:2: ")
    assert said in message
    assert len(message) < 500


def test_what_is_beyond_64_pairs_of_the_downward_api_is_left_out_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "labels").write_text("".join(f'label-{number:02}="x"\n' for number in range(60)))
    (tmp_path / "annotations").write_text("".join(f'note-{number:02}="x"\n' for number in range(5)))
    told = {"metadata": {"app": "web", "note-04": "mine"}, "annotations": ("*",)}
    metadata = (
        Settings(told, environment={"POD_NAME": "p", "NODE_NAME": "n"}, podinfo_directory=str(tmp_path)).load().metadata
    )
    assert len(metadata) == 64
    assert {"app", "node", "label-59", "note-00"} <= metadata.keys()
    assert metadata["note-04"] == "mine"
    [message] = [record.getMessage() for record in caplog.records]
    assert message == f"{tmp_path}/annotations: there is room for 64 pairs; left out: note-01, note-02, note-03"


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("10", 10), ("1.5k", 1500), ("10Mi", 10 << 20), ("2 GiB", 2 << 30)]
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size
