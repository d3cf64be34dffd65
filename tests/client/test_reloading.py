"""A change of the configuration, or of what the downward API tells, takes effect without a restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Pod, ServerThread

from client.watched import PATIENCE_SECONDS, Volume, md5, until
from kharvest.client import Client, Settings


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "files"
    path.mkdir()
    for name in ("one", "two", "three.log"):
        (path / name).write_text(name)
    (tmp_path / "podinfo").mkdir()
    return path


class Configured:
    """A client with a configuration file and the downward API's files."""

    def __init__(self, server: str, directory: Path, pod: str) -> None:
        self.directory = directory
        self.file = directory.parent / "kharvest.yaml"
        self.labels = directory.parent / "podinfo/labels"
        self.write(f"files: [{directory}/one]")
        told = {"server": server, "pod": pod, "settle_seconds": 0.1, "rescan_seconds": 600.0}
        podinfo = str(self.labels.parent)
        self.client = Client(Settings(told, config_file=str(self.file), environment={}, podinfo_directory=podinfo))
        self._pod = pod
        self.reader = Pod(server)

    def write(self, text: str) -> None:
        """Replace the configuration as editors and kubelets do."""
        temporary = self.file.with_suffix(".tmp")
        temporary.write_text(text)
        temporary.replace(self.file)

    def newest(self) -> dict[str, tuple[bytes, dict[str, str]]]:
        """MD5 and metadata of the newest version of every file, by its name."""
        references = self.reader.references(pod=self._pod, latest=True)
        return {Path(one.file.path).name: (one.file.md5, dict(one.metadata)) for one in references}

    def wait_for(self, **metadata_of: dict[str, str]) -> None:
        """Until exactly these files are known, with this metadata."""
        wanted = {
            name.replace("_", "."): (md5(name.replace("_", ".").encode()), pairs) for name, pairs in metadata_of.items()
        }
        until(lambda: self.newest() == wanted, f"{wanted}, not {self.newest()}")


@pytest.fixture
def configured(harvest_server: ServerThread, directory: Path, pod_name: str) -> Iterator[Configured]:
    running = Configured(harvest_server.address, directory, pod_name)
    with running.client, running.reader:
        running.wait_for(one={})
        yield running
        assert running.client.status().faults == 0


def test_added_removed_and_changed_rules_take_effect(configured: Configured) -> None:
    directory = configured.directory
    configured.write(f"files: [{directory}/two, {{glob: '{directory}/*', exclude: '*.log'}}]")
    configured.wait_for(one={}, two={})
    configured.write(f"files: [{{glob: '{directory}/*.log'}}]")
    configured.wait_for(one={}, two={}, three_log={})
    until(lambda: configured.client.status().watched == 1, "the other rules to end")
    (directory / "one").write_text("not watched any more")
    (directory / "three.log").unlink()
    assert configured.client.flush(PATIENCE_SECONDS)
    newest = configured.newest()
    assert newest["one"][0] == md5(b"one")  # and that a file is not watched any more is no removal
    assert newest["three.log"][0] == bytes(16)


def test_changed_metadata_is_recorded_of_every_current_file(configured: Configured) -> None:
    configured.write(f"files: [{configured.directory}/one, {configured.directory}/two]\nmetadata: {{app: web}}")
    configured.wait_for(one={"app": "web"}, two={"app": "web"})
    configured.labels.write_text('tier="front"\n')
    configured.wait_for(one={"app": "web", "tier": "front"}, two={"app": "web", "tier": "front"})
    configured.labels.write_text('tier="back"\n')
    configured.wait_for(one={"app": "web", "tier": "back"}, two={"app": "web", "tier": "back"})


def test_labels_that_the_kubelet_swaps_in_are_recorded(configured: Configured) -> None:
    volume = Volume(configured.labels.parent, labels='tier="front"\n', annotations="")
    configured.wait_for(one={"tier": "front"})
    for number in range(3):
        volume.swap(labels=f'tier="{number}"\n', annotations="")
        configured.wait_for(one={"tier": str(number)})


def test_a_broken_edit_is_reported_and_the_last_good_configuration_stays(
    configured: Configured, caplog: pytest.LogCaptureFixture
) -> None:
    configured.write("files: [/a\n")
    until(lambda: configured.client.status().misconfigured is not None, "the report")
    assert "kharvest.yaml:" in (configured.client.status().misconfigured or "")
    assert [record.message for record in caplog.records if "last good configuration" in record.message]
    (configured.directory / "one").write_text("changed")
    until(lambda: configured.newest()["one"][0] == md5(b"changed"), "the file to be watched still")
    configured.write(f"files: [{configured.directory}/two]")
    until(lambda: "two" in configured.newest(), "the corrected configuration")
    assert configured.client.status().misconfigured is None


def test_a_configuration_file_that_goes_away_changes_nothing(configured: Configured) -> None:
    configured.file.unlink()
    until(lambda: configured.client.status().misconfigured is not None, "the report")
    configured.write(f"files: [{configured.directory}/two]")
    until(lambda: "two" in configured.newest(), "the new file")


def test_what_cannot_change_while_it_runs_is_kept(configured: Configured, caplog: pytest.LogCaptureFixture) -> None:
    configured.write(f"files: [{configured.directory}/two]\nnamespace: other")
    configured.wait_for(one={}, two={})
    assert [record.message for record in caplog.records if "takes effect with the next start" in record.message]
