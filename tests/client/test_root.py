"""Files that are at home elsewhere, and mounted here, are announced by the paths they have at home."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import Pod, ServerThread

from kharvest.client import ClientConfig, ConfigurationError, harvest_once


def test_a_file_below_the_root_is_announced_as_if_the_root_were_slash(
    harvest_server: ServerThread, tmp_path: Path, pod_name: str
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/app.conf").write_bytes(b"mounted")
    config = ClientConfig(
        server=harvest_server.address, pod=pod_name, root=str(tmp_path), paths=(str(tmp_path / "etc/app.conf"),)
    )
    assert harvest_once(config, 30).acknowledged == 1
    with Pod(harvest_server.address) as reader:
        (reference,) = reader.references(pod=pod_name)
        assert reference.file.path == "/etc/app.conf"
        assert reader.content(reference.file.sha256) == b"mounted"


def test_a_path_outside_of_the_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not below the root"):
        ClientConfig(server="here:1", pod="p", root=str(tmp_path), paths=(f"{tmp_path}-beside/file",))
