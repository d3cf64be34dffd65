"""The manifests at work: what they render to is carried out as a kubelet would, with everything real but the kubelet.

Arguments, variables, mounts, user, read-only root and probes are the manifests'; the containers' files are this
machine's, as no container engine is needed here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from deploy.manifests import DEPLOY, Manifest, ours, render, template
from grpc_health.v1 import health_pb2, health_pb2_grpc
from harness import Pod

from cluster.mounts import in_a_pod
from cluster.network import Node, network
from cluster.processes import Process, md5, newest, until

pytestmark = pytest.mark.slow

TOLD = {
    "metadata.name": "web-5d7f8-x2x4z",
    "metadata.namespace": "shop",
    "metadata.uid": "0d1c",
    "spec.nodeName": "node-1",
}
GENERATED = b"listen: 8080\n"


def variables(container: Manifest) -> dict[str, str]:
    """A container's environment, as a kubelet makes it."""
    return {
        one["name"]: one["value"] if "value" in one else TOLD[one["valueFrom"]["fieldRef"]["fieldPath"]]
        for one in container["env"]
    }


def start(node: Node, container: Manifest, folder: Path, mounts: Mapping[str, Path], user: int) -> Process:
    """A container of ours, on these mounts, which are all that it has."""
    wanted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert wanted <= mounts.keys()
    read_only = tuple(mount["mountPath"] for mount in container["volumeMounts"] if mount.get("readOnly"))
    before = in_a_pod(folder / "mountpoints", mounts, user=user, read_only=read_only)
    return Process(node, folder / "log", *container["args"], before=tuple(before), **variables(container))


def place(folder: Path, name: str, user: int) -> Path:
    """A volume that the pod's user may write."""
    volume = folder / name
    volume.mkdir(parents=True)
    os.chown(volume, user, user)
    return volume


def live(node: Node, address: str, container: Manifest) -> str:
    """What a kubelet that looks whether the client is alive is told; it asks from another node of the network."""
    probe = container["livenessProbe"]["httpGet"]
    (port,) = (one["containerPort"] for one in container["ports"] if one["name"] == probe["port"])
    asking = (
        f"from urllib.request import urlopen as u; print(u('http://{address}:{port}{probe['path']}', timeout=5).read())"
    )
    done = subprocess.run(
        node.command(sys.executable, "-c", asking), capture_output=True, text=True, check=False, timeout=20
    )
    return done.stdout.strip() or done.stderr


def serves(address: str, probe: Manifest) -> bool:
    """What a kubelet that asks a server for its health is told."""
    with grpc.insecure_channel(f"{address}:{probe['grpc']['port']}") as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)  # its stubs do not tell its methods
        request = health_pb2.HealthCheckRequest(service=probe["grpc"].get("service", ""))
        answer = health.Check(request, timeout=20, wait_for_ready=True)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def test_a_deployment_with_the_sidecar_is_harvested_by_the_server_on_sqlite(tmp_path: Path) -> None:
    ((deployment, server_container),) = ours(render(DEPLOY / "server/sqlite"))
    web = render(DEPLOY / "examples/web")
    ((workload, client_container),) = ours(web)
    server_user = template(deployment)["spec"]["securityContext"]["runAsUser"]
    web_user = template(workload)["spec"]["securityContext"]["runAsUser"]
    tmp_path.chmod(0o755)
    with network(1) as small:
        (pod,) = small.pods
        # What the cluster's DNS would answer.
        hosts = tmp_path / "hosts"
        hosts.write_text(f"127.0.0.1 localhost\n{small.server.address} kharvest-server.kharvest.svc\n")
        store, temporary = (place(tmp_path / "server", name, server_user) for name in ("store", "temporary"))
        server_mounts = {"/var/lib/kharvest": store, "/tmp": temporary}
        generated = place(tmp_path / "web", "generated", web_user)
        configuration, podinfo, token = (tmp_path / "web" / name for name in ("configuration", "podinfo", "token"))
        for volume in (configuration, podinfo, token):
            volume.mkdir()
        (map_,) = (one for one in web if one["kind"] == "ConfigMap")
        for name, text in map_["data"].items():
            (configuration / name).write_text(text)
        labels = {**template(workload)["metadata"]["labels"], "pod-template-hash": "5d7f8"}
        (podinfo / "labels").write_text("".join(f'{key}="{value}"\n' for key, value in labels.items()))
        (podinfo / "annotations").write_text("")
        client_mounts = {
            "/etc/hosts": hosts,
            "/etc/kharvest": configuration,
            "/etc/podinfo": podinfo,
            "/var/lib/web": generated,
            "/var/run/secrets/kharvest": token,
        }
        with (
            start(small.server, server_container, tmp_path / "server", server_mounts, server_user) as server,
            start(pod, client_container, tmp_path / "web", client_mounts, web_user) as client,
        ):
            logs = (server.log, client.log)
            for probe in ("startupProbe", "livenessProbe"):
                assert serves(small.back_door, server_container[probe])
            until(lambda: serves(small.back_door, server_container["readinessProbe"]), "a ready server", *logs)
            # The application writes as its own user, a file that nobody else may read.
            (generated / "web.conf").write_bytes(GENERATED)
            os.chown(generated / "web.conf", web_user, web_user)
            (generated / "web.conf").chmod(0o600)
            with Pod(f"{small.back_door}:50051", "reader") as reader:
                right = {TOLD["metadata.name"]: md5(GENERATED)}
                until(lambda: newest(reader, "/var/lib/web/web.conf") == right, "the application's file", *logs)
                (reference,) = reader.references()
                assert reference.pod.namespace == "shop"
                assert dict(reference.metadata) == {"app.kubernetes.io/name": "web", "node": "node-1"}
                assert reader.content(reference.file.sha256) == GENERATED
            assert live(small.server, pod.address, client_container) == r"b'ok\n'"
            assert client.stop() == 0
        assert (store / "kharvest.db").stat().st_uid == server_user
