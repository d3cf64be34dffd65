"""What the how-tos say of deploy/ is so."""

from __future__ import annotations

import re
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from deploy import checks
from deploy.manifests import DEPLOY, ROOT, ours, render

PAGES = [
    ROOT / "docs" / page
    for page in (
        "how-to/deploy-the-server.md",
        "how-to/run-a-sidecar.md",
        "how-to/harvest-a-job.md",
        "explanation/daemonset.md",
    )
]


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_the_files_that_a_page_names_are_here(page: Path) -> None:
    for name in re.findall(r"\b((?:deploy|tests|benchmarks)/[\w./-]*\w)", page.read_text()):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_the_yaml_of_a_page_is_yaml(page: Path) -> None:
    for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        assert yaml.safe_load(block)


def test_the_example_of_the_sidecar_s_page_is_the_one_in_the_tree() -> None:
    text = (ROOT / "docs/how-to/run-a-sidecar.md").read_text()
    for file in ("watched.yaml", "client.yaml"):
        (block,) = re.findall(rf"^```yaml\n# {file}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        assert yaml.safe_load(block) == yaml.safe_load((DEPLOY / "examples/web" / file).read_text())


def test_the_job_of_the_page_is_one_that_kubernetes_and_our_checks_take() -> None:
    text = (ROOT / "docs/how-to/harvest-a-job.md").read_text()
    job = yaml.safe_load(re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[-1])
    kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)
    for check in (checks.enumerations, checks.mounts, checks.arguments, checks.environment):
        assert list(check([job])) == []
    for check in (checks.restricted_pods, checks.restricted_containers):
        assert list(check([job])) == []


def test_the_sidecar_without_kustomize_is_one_that_kubernetes_and_our_checks_take() -> None:
    text = (ROOT / "docs/how-to/run-a-sidecar.md").read_text()
    spec = yaml.safe_load(re.findall(r"^```yaml\n(spec:.*?)^```", text, re.MULTILINE | re.DOTALL)[0])["spec"]
    spec["containers"] = [{"name": "app", "image": "app"}]
    spec["volumes"].append({"name": "config", "emptyDir": {}})
    labels = {"app.kubernetes.io/name": "app"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "app", "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }
    kubernetes_validate.validate(deployment, kubernetes_validate.latest_version(), strict=True)
    ((_, container),) = ours([deployment])
    ((_, component),) = ours(render(DEPLOY / "examples/web"))
    for field in ("resources", "securityContext", "restartPolicy"):
        assert container[field] == component[field]
    for check in (checks.enumerations, checks.arguments, checks.environment, checks.sidecars, checks.mounts):
        assert list(check([deployment])) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "overlay"),
    [
        ("deploy-the-server", "server/sqlite"),
        ("deploy-the-server", "examples/sqlite-original-names"),
        ("run-a-sidecar", "examples/web"),
    ],
)
def test_the_pages_tell_the_memory_that_the_manifests_ask_for(page: str, overlay: str) -> None:
    text = (ROOT / f"docs/how-to/{page}.md").read_text()
    ((_, container),) = ours(render(DEPLOY / overlay))
    for kind in ("requests", "limits"):
        number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", container["resources"][kind]["memory"]).groups()  # type: ignore[union-attr]
        assert f"{number} {unit}B" in text
