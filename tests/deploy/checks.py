"""What Kubernetes' schema does not see: each check yields a sentence for everything that is wrong."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from deploy.manifests import ROOT, Manifest, containers, in_bytes, named, ours, template, workloads
from kharvest.server import ServerConfig
from kharvest.server._serving import LIVENESS, SERVICES
from kharvest.spi import InvalidValue

Check = Callable[[Sequence[Manifest]], Iterator[str]]

# The schema takes any text for these. Values: the API reference of Kubernetes 1.29 and newer.
ENUMERATIONS: Mapping[str, frozenset[str]] = {
    "protocol": frozenset({"TCP", "UDP", "SCTP"}),
    "restartPolicy": frozenset({"Always", "OnFailure", "Never"}),
    "imagePullPolicy": frozenset({"Always", "IfNotPresent", "Never"}),
    "accessModes": frozenset({"ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"}),
    "policyTypes": frozenset({"Ingress", "Egress"}),
    "whenUnsatisfiable": frozenset({"DoNotSchedule", "ScheduleAnyway"}),
    "unhealthyPodEvictionPolicy": frozenset({"IfHealthyBudget", "AlwaysAllow"}),
    "fsGroupChangePolicy": frozenset({"OnRootMismatch", "Always"}),
    "appProtocol": frozenset({"kubernetes.io/h2c", "kubernetes.io/ws", "kubernetes.io/wss"}),
    "pod-security.kubernetes.io/enforce": frozenset({"restricted"}),
    "pod-security.kubernetes.io/warn": frozenset({"restricted"}),
}
TYPES: Mapping[str, frozenset[str]] = {
    "strategy": frozenset({"Recreate", "RollingUpdate"}),
    "seccompProfile": frozenset({"RuntimeDefault"}),
    "Service": frozenset({"ClusterIP"}),
}
# What an operator makes; docs/how-to/deploy-the-server.md says so.
MADE_BY_HAND = {("Secret", "kharvest-store", "url")}
# Fields that volumes of the restricted profile may have.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def enumerations(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Words that Kubernetes knows."""
    for manifest in manifests:
        for path, value in _walk(manifest, (manifest["kind"],)):
            parent, field = path[-2], path[-1]
            allowed = TYPES.get(parent) if field == "type" else ENUMERATIONS.get(field)
            for one in value if isinstance(value, list) else [value]:
                if allowed is not None and one not in allowed:
                    yield f"{named(manifest)}: {'.'.join(path[1:])}: {one!r} is none of {sorted(allowed)}"


def _walk(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All fields below a value, with their paths; a list's items have the list's path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key), inner
            yield from _walk(inner, (*path, key))
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner, path)


def selectors(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Whatever selects pods selects some of this rendering; and a workload its own."""
    labels = {named(workload): template(workload)["metadata"].get("labels", {}) for workload in workloads(manifests)}

    def selects(selector: Mapping[str, str]) -> list[str]:
        return [name for name, held in labels.items() if selector.items() <= held.items()]

    for manifest in manifests:
        spec = manifest.get("spec", {})
        wanted: list[Mapping[str, str]] = []
        match manifest["kind"]:
            case "Service":
                wanted = [spec["selector"]]
            case "PodDisruptionBudget":
                wanted = [spec["selector"]["matchLabels"]]
            case "NetworkPolicy":
                wanted = [spec["podSelector"]["matchLabels"]]
            case "Deployment":
                wanted = [spec["selector"]["matchLabels"]]
                if named(manifest) not in selects(wanted[0]):
                    yield f"{named(manifest)}: its selector does not select its own pods"
        if manifest in [*workloads(manifests)]:
            spread = template(manifest)["spec"].get("topologySpreadConstraints", ())
            wanted += [one["labelSelector"]["matchLabels"] for one in spread]
        for selector in wanted:
            if not selects(selector):
                yield f"{named(manifest)}: {dict(selector)} selects no pod"


def mounts(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Every mount has its volume, every volume is mounted, and what volumes and variables come from exists."""
    exist = {(one["kind"], one["metadata"]["name"], key) for one in manifests for key in one.get("data", ())}
    claims = {one["metadata"]["name"] for one in manifests if one["kind"] == "PersistentVolumeClaim"}
    for workload in workloads(manifests):
        volumes = {volume["name"]: volume for volume in template(workload)["spec"].get("volumes", ())}
        mounted = set()
        for container in containers(workload):
            where = f"{named(workload)}: {container['name']}"
            paths = [mount["mountPath"] for mount in container.get("volumeMounts", ())]
            if len(set(paths)) < len(paths):
                yield f"{where}: two mounts have one path"
            for mount in container.get("volumeMounts", ()):
                mounted.add(mount["name"])
                if mount["name"] not in volumes:
                    yield f"{where}: mounts {mount['name']}, which is no volume"
            for variable in container.get("env", ()):
                key = variable.get("valueFrom", {}).get("secretKeyRef")
                if key and ("Secret", key["name"], key["key"]) not in exist | MADE_BY_HAND:
                    yield f"{where}: {variable['name']} comes from Secret/{key['name']}, which is not there"
        for name in volumes.keys() - mounted:
            yield f"{named(workload)}: volume {name} is mounted nowhere"
        for volume in volumes.values():
            if "configMap" in volume and volume["configMap"]["name"] not in {name for _, name, _ in exist}:
                yield f"{named(workload)}: ConfigMap/{volume['configMap']['name']} is not there"
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim and claim not in claims:
                yield f"{named(workload)}: PersistentVolumeClaim/{claim} is not there"


def probes(manifests: Sequence[Manifest]) -> Iterator[str]:
    """A probe asks for a port that its container has, and for a service whose health is told there."""
    for workload in workloads(manifests):
        for container in containers(workload):
            known = _ports(container)
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                for way in ("grpc", "httpGet", "tcpSocket"):
                    port = container.get(kind, {}).get(way, {}).get("port")
                    if port is not None and port not in {*known, *known.values()}:
                        yield f"{named(workload)}: {container['name']}: {kind} asks for port {port}, which is not there"
                service = container.get(kind, {}).get("grpc", {}).get("service", "")
                if service not in ("", LIVENESS, *SERVICES):
                    yield f"{named(workload)}: {container['name']}: {kind} asks for {service!r}, which has no health"


def listening(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Our containers listen on the ports that they have, where the node and other pods reach them."""
    for workload, container in ours(manifests):
        for argument in container["args"]:
            address = re.fullmatch(r"--(?:listen|listen-original|metrics|health)=(.*):(\d+)", argument)
            if address and int(address[2]) not in _ports(container).values():
                yield f"{named(workload)}: {container['name']}: {argument} is no port of the container"
            if address and address[1]:  # 0.0.0.0 neither: the pod's address may be of IPv6
                yield f"{named(workload)}: {container['name']}: {argument} cannot be reached from outside of the pod"


def targets(manifests: Sequence[Manifest]) -> Iterator[str]:
    """What Services lead to, and what policies let in, is a port of a container."""
    known = {
        name for workload in workloads(manifests) for container in containers(workload) for name in _ports(container)
    }
    for manifest in manifests:
        match manifest["kind"]:
            case "Service":
                asked = [port["targetPort"] for port in manifest["spec"]["ports"]]
            case "NetworkPolicy":
                asked = [port["port"] for rule in manifest["spec"].get("ingress", ()) for port in rule["ports"]]
            case _:
                asked = []
        for port in set(asked) - known:
            yield f"{named(manifest)}: no container has a port {port}"


def _ports(container: Manifest) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in container.get("ports", ())}


def arguments(manifests: Sequence[Manifest]) -> Iterator[str]:
    """The real command line takes the arguments of our containers."""
    for workload, container in ours(manifests):
        command, *rest = container["args"]
        where = f"{named(workload)}: {container['name']}"
        if command != container["image"].split(":")[0].removeprefix("kharvest-"):
            yield f"{where}: the image is {container['image']}, and the command {command!r}"
            continue
        try:
            parsed = _parsed(command, rest)
            if command == "server":
                _server_config(parsed)
        except (argparse.ArgumentError, ValueError, InvalidValue) as error:
            yield f"{where}: {error}"


def _parsed(command: str, arguments: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(exit_on_error=False)
    importlib.import_module(f"kharvest.cli.{command}").configure(parser)
    return parser.parse_args(arguments)


def _server_config(parsed: argparse.Namespace) -> ServerConfig:
    """What the server makes of its arguments; its store comes from the environment."""
    given = {one.name: getattr(parsed, one.name) for one in fields(ServerConfig)}
    return ServerConfig(**{name: value for name, value in given.items() if value is not None} | {"store": "memory:"})


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise ValueError(message)


def environment(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Our containers are given variables that our code reads."""
    code = "\n".join(path.read_text() for path in (ROOT / "kharvest").rglob("*.py"))
    read = set(re.findall(r'"((?:KHARVEST|POD|NODE)_[A-Z_]+)"', code))
    for workload, container in ours(manifests):
        for variable in container.get("env", ()):
            if variable["name"] not in read:
                yield f"{named(workload)}: {container['name']}: nothing reads {variable['name']}"


def restricted_pods(manifests: Sequence[Manifest]) -> Iterator[str]:
    """The restricted profile of the Pod Security Standards, and no token for the cluster's API."""
    for workload in workloads(manifests):
        spec = template(workload)["spec"]
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(field):
                yield f"{named(workload)}: {field}"
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{named(workload)}: a token for the cluster's API is mounted"
        for volume in spec.get("volumes", ()):
            if not volume.keys() - {"name"} <= VOLUMES:
                yield f"{named(workload)}: volume {volume['name']} is none that is allowed"


def restricted_containers(manifests: Sequence[Manifest]) -> Iterator[str]:
    """The restricted profile of the Pod Security Standards, and a root file system that is only read."""
    for workload in workloads(manifests):
        for container in containers(workload):
            own = container.get("securityContext", {})
            both = {**template(workload)["spec"].get("securityContext", {}), **own}
            holds = {
                "privileges can escalate": own.get("allowPrivilegeEscalation") is False,
                "is privileged": not own.get("privileged"),
                "capabilities are not dropped": own.get("capabilities") == {"drop": ["ALL"]},
                "may run as root": both.get("runAsNonRoot") is True and both.get("runAsUser") != 0,
                "system calls are not restricted": both.get("seccompProfile") == {"type": "RuntimeDefault"},
                "the root file system can be written": own.get("readOnlyRootFilesystem") is True,
                "takes a port of the node": not any("hostPort" in port for port in container.get("ports", ())),
            }
            for problem in (problem for problem, held in holds.items() if not held):
                yield f"{named(workload)}: {container['name']}: {problem}"


def stopping(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Kubernetes waits longer than our containers take to stop."""
    for workload, container in ours(manifests):
        allowed = template(workload)["spec"].get("terminationGracePeriodSeconds", 30)
        taken = next((float(a.split("=")[1]) for a in container["args"] if a.startswith("--grace-seconds=")), 10.0)
        if allowed < taken + 5:
            yield f"{named(workload)}: {container['name']} may take {taken:g} s to stop, and is given {allowed} s"


def resources(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Every container asks for what it needs, and its memory ends somewhere."""
    for workload in workloads(manifests):
        for container in containers(workload):
            asked = container.get("resources", {})
            if not {"cpu", "memory"} <= asked.get("requests", {}).keys() or "memory" not in asked.get("limits", {}):
                yield f"{named(workload)}: {container['name']}: resources are not told"


def memory(manifests: Sequence[Manifest]) -> Iterator[str]:
    """What callers can make a server hold is half of its limit: the rest is for caches, threads and the allocator."""
    for workload, container in ours(manifests):
        command, *rest = container["args"]
        limit = container.get("resources", {}).get("limits", {}).get("memory")
        if command != "server" or limit is None:
            continue
        held = _server_config(_parsed(command, rest)).max_memory_bytes
        if 2 * held > in_bytes(limit):
            yield f"{named(workload)}: {container['name']}: may hold {held} bytes for callers, and is given {limit}"


def labelled(manifests: Sequence[Manifest]) -> Iterator[str]:
    """What is ours carries Kubernetes' recommended labels."""
    for manifest in manifests:
        labels = manifest["metadata"].get("labels", {})
        if manifest["kind"] not in ("Namespace", "ConfigMap") and "app.kubernetes.io/name" not in labels:
            yield f"{named(manifest)}: no app.kubernetes.io/name"


def sidecars(manifests: Sequence[Manifest]) -> Iterator[str]:
    """A client starts before the application, outlives it, and never takes its pod's traffic."""
    for workload, container in ours(manifests):
        if container["args"][0] != "client":
            continue
        where = f"{named(workload)}: {container['name']}"
        if container not in template(workload)["spec"].get("initContainers", ()):
            yield f"{where}: is no init container"
        if container.get("restartPolicy") != "Always":
            yield f"{where}: is no sidecar: the application would wait for it to end"
        for probe in ("readinessProbe", "startupProbe"):
            if probe in container:
                yield f"{where}: its {probe} holds up the application"


CHECKS: tuple[Check, ...] = (
    enumerations,
    selectors,
    mounts,
    probes,
    listening,
    targets,
    arguments,
    environment,
    restricted_pods,
    restricted_containers,
    stopping,
    resources,
    memory,
    labelled,
    sidecars,
)
