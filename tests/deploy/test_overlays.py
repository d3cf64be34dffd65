"""Every overlay renders to objects that Kubernetes takes, that fit each other, and that fit our command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from deploy import checks
from deploy.manifests import (
    DEPLOY,
    OVERLAYS,
    Manifest,
    containers,
    ours,
    render,
    template,
    workloads,
)
from kharvest.server._serving import LIVENESS

# Native sidecars are on by default since 1.29.
VERSIONS = ("1.29", kubernetes_validate.latest_version())


@pytest.fixture(scope="module", params=OVERLAYS, ids=[str(overlay.relative_to(DEPLOY)) for overlay in OVERLAYS])
def overlay(request: pytest.FixtureRequest) -> list[Manifest]:
    """The objects of an overlay."""
    return render(request.param)


@pytest.fixture(scope="module")
def rendered() -> dict[str, list[Manifest]]:
    """The objects of all overlays, by the overlay's name."""
    return {overlay.name: render(overlay) for overlay in OVERLAYS}


def test_every_overlay_is_here() -> None:
    """A folder that renders by itself, other than a base or a component, is tested."""
    kinds = {path.parent: yaml.safe_load(path.read_text())["kind"] for path in DEPLOY.rglob("kustomization.yaml")}
    overlays = {folder for folder, kind in kinds.items() if kind == "Kustomization" and folder.name != "base"}
    assert overlays == set(OVERLAYS)


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_the_schema_takes_it(overlay: list[Manifest], version: str) -> None:
    for manifest in overlay:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.slow
@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: str(check.__name__))
def test_nothing_is_amiss(overlay: list[Manifest], check: checks.Check) -> None:
    assert list(check(overlay)) == []


def only(manifests: list[Manifest], kind: str) -> Any:
    return next(one for one in manifests if one["kind"] == kind)


def container(manifests: list[Manifest]) -> Any:
    """The one container of ours."""
    ((_, found),) = ours(manifests)
    return found


def pods(manifests: list[Manifest]) -> Any:
    """What the pods of the one workload are."""
    (workload,) = workloads(manifests)
    return template(workload)["spec"]


# Each check, and something it must see: overlay, check, what a tired engineer does, a part of what is said of it.
FAULTS: list[tuple[str, checks.Check, Callable[[list[Manifest]], Any], str]] = [
    ("web", checks.enumerations, lambda all_: container(all_).update(restartPolicy="always"), "'always'"),
    (
        "sqlite",
        checks.enumerations,
        lambda all_: only(all_, "Deployment")["spec"].update(strategy={"type": "X"}),
        "'X'",
    ),
    (
        "postgresql",
        checks.enumerations,
        lambda all_: only(all_, "PodDisruptionBudget")["spec"].update(unhealthyPodEvictionPolicy="Allow"),
        "'Allow'",
    ),
    ("sqlite", checks.selectors, lambda all_: only(all_, "Service")["spec"]["selector"].update(a="b"), "no pod"),
    (
        "sqlite",
        checks.selectors,
        lambda all_: only(all_, "Deployment")["spec"]["template"]["metadata"].update(labels={}),
        "its own pods",
    ),
    (
        "postgresql",
        checks.selectors,
        lambda all_: pods(all_)["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"].update(a="b"),
        "no pod",
    ),
    ("sqlite", checks.mounts, lambda all_: pods(all_)["volumes"].pop(0), "no volume"),
    ("sqlite", checks.mounts, lambda all_: all_.remove(only(all_, "PersistentVolumeClaim")), "is not there"),
    ("web", checks.mounts, lambda all_: container(all_)["volumeMounts"].pop(), "mounted nowhere"),
    ("web", checks.mounts, lambda all_: all_.remove(only(all_, "ConfigMap")), "is not there"),
    (
        "postgresql",
        checks.mounts,
        lambda all_: container(all_)["env"][0]["valueFrom"]["secretKeyRef"].update(key="URL"),
        "is not there",
    ),
    ("sqlite", checks.probes, lambda all_: container(all_)["readinessProbe"]["grpc"].update(port=50052), "50052"),
    (
        "sqlite",
        checks.probes,
        lambda all_: container(all_)["livenessProbe"]["grpc"].update(service="livenes"),
        "'livenes'",
    ),
    (
        "sqlite",
        checks.targets,
        lambda all_: only(all_, "Service")["spec"]["ports"][0].update(targetPort="http"),
        "http",
    ),
    ("sqlite", checks.listening, lambda all_: container(all_)["args"].append("--listen=0.0.0.0:1"), "no port"),
    ("sqlite", checks.listening, lambda all_: container(all_)["args"].append("--listen-original=:50052"), "no port"),
    *(
        (
            "web",
            checks.listening,
            lambda all_, host=host: container(all_)["args"].append(f"--health={host}:9465"),
            "cannot be reached",
        )
        for host in ("127.0.0.1", "0.0.0.0")
    ),
    ("sqlite", checks.arguments, lambda all_: container(all_)["args"].append("--grace=1 s"), "grace"),
    ("sqlite", checks.arguments, lambda all_: container(all_)["args"].append("--strore=x"), "--strore"),
    (
        "sqlite-original-names",
        checks.arguments,
        lambda all_: container(all_)["args"].append("--max-original-bytes=500000000"),
        "a quarter of max-memory-bytes",
    ),
    ("web", checks.arguments, lambda all_: container(all_)["args"].append("--once-more"), "--once-more"),
    ("web", checks.environment, lambda all_: container(all_)["env"][0].update(name="POD_NAMES"), "POD_NAMES"),
    (
        "web",
        checks.restricted_containers,
        lambda all_: container(all_)["securityContext"].update(readOnlyRootFilesystem=False),
        "can be written",
    ),
    (
        "web",
        checks.restricted_pods,
        lambda all_: pods(all_)["volumes"].append({"name": "h", "hostPath": {}}),
        "none that",
    ),
    ("sqlite", checks.restricted_containers, lambda all_: pods(all_)["securityContext"].update(runAsUser=0), "as root"),
    ("sqlite", checks.restricted_pods, lambda all_: pods(all_).pop("automountServiceAccountToken"), "token"),
    ("sqlite", checks.stopping, lambda all_: pods(all_).update(terminationGracePeriodSeconds=20), "20 s"),
    ("web", checks.resources, lambda all_: container(all_).pop("resources"), "resources"),
    ("sqlite", checks.memory, lambda all_: container(all_)["args"].append("--max-memory-bytes=1000000000"), "1Gi"),
    ("sqlite", checks.labelled, lambda all_: only(all_, "Service")["metadata"].pop("labels"), "no app.kubernetes.io"),
    ("web", checks.sidecars, lambda all_: container(all_).pop("restartPolicy"), "no sidecar"),
    ("web", checks.sidecars, lambda all_: container(all_).update(readinessProbe={}), "holds up"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("overlay_name", "check", "fault", "said"), FAULTS)
def test_a_fault_is_seen(
    rendered: dict[str, list[Manifest]],
    overlay_name: str,
    check: checks.Check,
    fault: Callable[[list[Manifest]], Any],
    said: str,
) -> None:
    manifests = deepcopy(rendered[overlay_name])
    fault(manifests)
    assert any(said in problem for problem in check(manifests)), list(check(manifests))


def test_every_check_is_shown_to_see_a_fault() -> None:
    assert {check for _, check, _, _ in FAULTS} == set(checks.CHECKS)


@pytest.mark.slow
def test_a_store_that_is_away_makes_the_server_unready_and_never_restarts_it(
    rendered: dict[str, list[Manifest]],
) -> None:
    for name in ("sqlite", "postgresql", "sqlite-original-names"):
        server = container(rendered[name])
        assert server["readinessProbe"]["grpc"] == {"port": 50051}
        for probe in ("startupProbe", "livenessProbe"):
            assert server[probe]["grpc"] == {"port": 50051, "service": LIVENESS}


def test_the_original_s_two_ports_lead_to_the_port_for_large_messages(rendered: dict[str, list[Manifest]]) -> None:
    services = {one["metadata"]["name"]: one for one in rendered["sqlite-original-names"] if one["kind"] == "Service"}
    assert services.keys() == {"kharvest", "kharvest-server"}
    ports = services["kharvest"]["spec"]["ports"]
    assert [(port["port"], port["targetPort"]) for port in ports] == [(50051, "original"), (50052, "original")]


def test_the_original_s_namespaces_reach_the_port_for_large_messages_and_no_other(
    rendered: dict[str, list[Manifest]],
) -> None:
    policies = {
        one["metadata"]["name"]: one for one in rendered["sqlite-original-names"] if one["kind"] == "NetworkPolicy"
    }
    (rule,) = policies["kharvest-original-clients"]["spec"]["ingress"]
    assert [port["port"] for port in rule["ports"]] == ["original"]
    assert all(
        port["port"] != "original" for one in policies["kharvest-server"]["spec"]["ingress"] for port in one["ports"]
    )


def test_postgresql_keeps_two_of_three_servers_through_a_drain(rendered: dict[str, list[Manifest]]) -> None:
    assert only(rendered["postgresql"], "Deployment")["spec"]["replicas"] == 3
    assert only(rendered["postgresql"], "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_sqlite_never_has_two_servers(rendered: dict[str, list[Manifest]]) -> None:
    spec = only(rendered["sqlite"], "Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


@pytest.mark.parametrize("name", ["web", "report"])
def test_the_real_client_takes_the_configuration_and_watches_what_the_application_writes(
    rendered: dict[str, list[Manifest]], name: str, tmp_path: Path
) -> None:
    manifests = rendered[name]
    (workload,) = workloads(manifests)
    file = tmp_path / "client.yaml"
    file.write_text(only(manifests, "ConfigMap")["data"]["client.yaml"])
    command = [sys.executable, "-m", "kharvest", "client", "--check-config", "--config", str(file)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "POD_NAME": "web-1"}, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "kharvest-server.kharvest.svc:50051" in done.stdout
    watched = {rule["directory"] for rule in yaml.safe_load(file.read_text())["files"]}
    client, application = containers(workload)
    read = {mount["mountPath"]: mount for mount in client["volumeMounts"]}
    written = {mount["mountPath"]: mount for mount in application["volumeMounts"]}
    for path in watched:
        assert path in done.stdout
        assert read[path]["name"] == written[path]["name"]
        assert read[path]["readOnly"]


def test_the_sidecar_comes_to_what_is_labelled_and_to_nothing_else(tmp_path: Path) -> None:
    bare = {"containers": [{"name": "app", "image": "app"}]}
    for kind, version in (("Deployment", "apps/v1"), ("StatefulSet", "apps/v1"), ("Job", "batch/v1")):
        for labels in ({"kharvest-client": "true"}, {}):
            name = f"{kind.lower()}-{'with' if labels else 'without'}"
            manifest = {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": labels}}
            (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({**manifest, "spec": {"template": {"spec": bare}}}))
    kustomization = {
        "resources": sorted(path.name for path in tmp_path.glob("*.yaml")),
        "components": [os.path.relpath(DEPLOY / "client/sidecar", tmp_path.resolve())],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    with_client = {workload["metadata"]["name"] for workload, _ in ours(render(tmp_path))}
    assert with_client == {"deployment-with", "statefulset-with", "job-with"}
