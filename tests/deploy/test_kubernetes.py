"""The Kubernetes manifests: kustomize builds them, they fit the API's schemas, and what they name is there."""

from __future__ import annotations

import base64
import os
import shutil
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from ccgateway.settings import load_settings
from ccgateway.settings.base import exposed_to
from deploy.tools import DEPLOY, succeeds, tool

FOLDER = DEPLOY / "kubernetes"
#: the oldest and the newest release that are checked; autoscaling/v2 and evictions of unhealthy pods need 1.27
RELEASES = ["1.27", "1.37"]

Manifest = dict[str, Any]


@cache
def manifests() -> tuple[Manifest, ...]:
    """What the example overlay comes to."""
    command = [path, "build"] if (path := shutil.which("kustomize")) else [tool("kubectl", "kubectl"), "kustomize"]
    return tuple(yaml.safe_load_all(succeeds(*command, FOLDER / "example")))


def of_kind(kind: str) -> list[Manifest]:
    return [one for one in manifests() if one["kind"] == kind]


def pod() -> Manifest:
    (deployment,) = of_kind("Deployment")
    template: Manifest = deployment["spec"]["template"]
    return template


def container() -> Manifest:
    (found,) = pod()["spec"]["containers"]
    one: Manifest = found
    return one


@pytest.mark.parametrize("release", RELEASES)
def test_the_manifests_fit_the_schemas_of_the_api(release: str) -> None:
    kinds = []
    for manifest in manifests():
        if manifest["apiVersion"] != "monitoring.coreos.com/v1":
            kubernetes_validate.validate(manifest, release, strict=True)
            kinds.append(manifest["kind"])
    assert {"Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "NetworkPolicy", "ConfigMap"} <= set(kinds)


def test_the_schemas_would_tell_what_is_wrong() -> None:
    (deployment,) = of_kind("Deployment")
    misspelt = {**deployment, "spec": {**deployment["spec"], "replcias": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(misspelt, RELEASES[-1], strict=True)


def test_every_selector_means_the_pods() -> None:
    labels = pod()["metadata"]["labels"].items()
    services, (budget,), (policy,) = of_kind("Service"), of_kind("PodDisruptionBudget"), of_kind("NetworkPolicy")
    (deployment,) = of_kind("Deployment")
    selectors = [service["spec"]["selector"] for service in services]
    selectors += [deployment["spec"]["selector"]["matchLabels"], budget["spec"]["selector"]["matchLabels"]]
    selectors += [policy["spec"]["podSelector"]["matchLabels"]]
    assert len(selectors) == 6 and all(selector and selector.items() <= labels for selector in selectors)


def test_the_network_policy_lets_out_to_valkey_and_not_to_the_gateway_itself() -> None:
    (policy,) = of_kind("NetworkPolicy")
    (peers,) = [rule["to"] for rule in policy["spec"]["egress"] if rule["ports"][0]["port"] == 6379]
    assert [peer["podSelector"]["matchLabels"] for peer in peers] == [{"app.kubernetes.io/name": "valkey"}]
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_ports_that_are_named_are_the_containers_and_those_of_the_settings() -> None:
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    settings = tomllib.loads((FOLDER / "example" / "ccgateway.toml").read_text())
    assert ports == {"http": settings["server"]["port"], "grpc": settings["grpc"]["port"], "metrics": settings["metrics"]["port"]}
    probes = [container()[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")]
    assert [probe["path"] for probe in probes] == ["/health/live", "/health/live", "/health/ready"]
    (policy,) = of_kind("NetworkPolicy")
    named = [port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]]
    named += [port["targetPort"] for service in of_kind("Service") for port in service["spec"]["ports"]]
    named += [probe["port"] for probe in probes]
    assert set(named) == set(ports)


def test_the_pod_waits_longer_than_the_gateway_takes_to_stop() -> None:
    server = tomllib.loads((FOLDER / "example" / "ccgateway.toml").read_text())["server"]
    assert pod()["spec"]["terminationGracePeriodSeconds"] > server["drain"] + server["grace"]
    (deployment,) = of_kind("Deployment")
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert "replicas" not in deployment["spec"], "the autoscaler's number would be overwritten by every apply"


def test_the_memory_of_the_pod_is_more_than_the_settings_let_a_process_hold() -> None:
    settings = tomllib.loads((FOLDER / "example" / "ccgateway.toml").read_text())
    held = settings["limits"]["inflight_bytes"] + settings["cache"]["memory_bytes"]
    assert container()["resources"]["limits"]["memory"] == "2Gi" and held + (512 << 20) < 2 << 30


def test_the_pod_may_do_nothing_that_it_need_not() -> None:
    spec, security = pod()["spec"], container()["securityContext"]
    assert spec["securityContext"]["runAsNonRoot"] is True and spec["automountServiceAccountToken"] is False
    assert security == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip


def test_prometheus_finds_the_port_of_the_metrics() -> None:
    (monitor,) = of_kind("ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    found = [service for service in of_kind("Service") if wanted <= service["metadata"]["labels"].items()]
    ports = [port["name"] for service in found for port in service["spec"]["ports"]]
    assert ports == [endpoint["port"] for endpoint in monitor["spec"]["endpoints"]]
    job = found[0]["metadata"]["labels"][monitor["spec"]["jobLabel"]]
    assert job == "ccgateway", "the alerts ask for that job"


def test_the_rules_for_the_operator_are_the_alerts() -> None:
    """As docs/operate/deploy.md puts them together."""
    head, alerts = FOLDER / "servicemonitor" / "prometheusrule.head.yaml", DEPLOY / "prometheus" / "alerts.yml"
    (command,) = [
        line for line in (DEPLOY.parent / "docs/operate/deploy.md").read_text().splitlines() if "prometheusrule.head.yaml" in line
    ]
    made = yaml.safe_load(succeeds("sh", "-ec", command.removesuffix(" | kubectl apply -f -"), cwd=DEPLOY.parent))
    assert made == {**yaml.safe_load(head.read_text()), "spec": yaml.safe_load(alerts.read_text())}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can lay out files as the kubelet does")
def test_the_gateway_takes_secrets_as_the_kubelet_mounts_them(tmp_path: Path) -> None:
    """Files of root, read by the group, by way of links in a folder that the group may write to."""
    (volume,) = [one["secret"] for one in pod()["spec"]["volumes"] if one["name"] == "secrets"]
    mount, data = tmp_path / "secrets", tmp_path / "secrets" / "..2026_01_01"
    data.mkdir(parents=True)
    mount.chmod(0o3777)
    group = pod()["spec"]["securityContext"]["fsGroup"]
    secret = data / "aurora.jwt"
    secret.write_text(base64.b64encode(b"token").decode())
    os.chown(secret, 0, group)
    secret.chmod(volume["defaultMode"])
    data.chmod(0o2755)
    (mount / "..data").symlink_to(data.name)
    (mount / "aurora.jwt").symlink_to("..data/aurora.jwt")
    assert exposed_to(mount / "aurora.jwt") == ""
    text = f'[sites.aurora]\nnumber = 1\nurl = "https://cc.example.org"\ntoken_file = "{mount}/aurora.jwt"\n'
    (tmp_path / "ccgateway.toml").write_text(text)
    assert load_settings(tmp_path / "ccgateway.toml").sites["aurora"].read_token() is not None
    secret.chmod(0o444)
    assert "read by everybody" in exposed_to(mount / "aurora.jwt")
