"""Alerts and dashboards: Prometheus takes them, every metric in them is one of the gateway's, every alert has a runbook."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.tools import DEPLOY, ROOT, succeeds, tool

ALERTS = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
RUNBOOKS = (ROOT / "docs/operate/runbooks.md").read_text()
#: what Prometheus itself adds to a scrape
OF_PROMETHEUS = {"up"}
SUFFIXES = ("_bucket", "_sum", "_count")


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def documented() -> dict[str, tuple[str, set[str]]]:
    """The metrics of docs/operate/metrics.md: kind and labels."""
    page = (ROOT / "docs/operate/metrics.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \|", page, re.MULTILINE)
    assert len(rows) > 30
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def board(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def expressions(path: Path) -> Iterator[str]:
    """Of a dashboard, with values in place of its variables."""
    for panel in board(path)["panels"]:
        for target in panel.get("targets", ()):
            text = target["expr"].replace("$__rate_interval", "5m").replace("$job", "ccgateway").replace("$site", "aurora")
            assert "$" not in text, text
            yield text


def all_expressions() -> list[str]:
    return [rule["expr"] for rule in rules()] + [text for path in DASHBOARDS for text in expressions(path)]


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics of an expression, and the labels each is selected by."""
    plain = re.sub(r"\b(?:by|on|without|ignoring|group_left) \([^)]*\)", "", expression)
    for name, matchers in re.findall(
        r"\b((?:ccgateway|process)_\w+|up)\b(?:\{([^}]*)\})?", re.sub(r'"(?:ccgateway)"', '""', plain)
    ):
        yield name, set(re.findall(r"(\w+)\s*[=!]", matchers))


def test_the_alerts_are_rules_that_prometheus_takes() -> None:
    assert "10 rules found" in succeeds(tool("promtool", "prometheus"), "check", "rules", ALERTS)


def test_each_alert_fires_on_what_it_is_for_and_on_nothing_else() -> None:
    succeeds(tool("promtool", "prometheus"), "test", "rules", ALERTS.with_name("alerts_test.yml"))


def test_the_tests_of_the_alerts_see_each_of_them_fire_and_be_silent() -> None:
    tests = yaml.safe_load(ALERTS.with_name("alerts_test.yml").read_text())["tests"]
    cases = [case for one in tests for case in one["alert_rule_test"]]
    names = {rule["alert"] for rule in rules()}
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == names
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == names


def test_the_configuration_of_prometheus_is_one(tmp_path: Path) -> None:
    (tmp_path / "alerts.yml").write_text(ALERTS.read_text())
    (tmp_path / "prometheus.yml").write_text((DEPLOY / "compose" / "prometheus.yml").read_text())
    succeeds(tool("promtool", "prometheus"), "check", "config", tmp_path / "prometheus.yml")


def test_every_alert_has_a_runbook() -> None:
    headings = re.findall(r"^## (.+)$", RUNBOOKS, re.MULTILINE)
    assert [rule["annotations"]["runbook"] for rule in rules()] == [
        f"docs/operate/runbooks.md#{rule['alert'].lower()}" for rule in rules()
    ]
    assert [heading for heading in headings if heading.startswith("CCGateway")] == [rule["alert"] for rule in rules()]


def test_every_metric_of_an_alert_or_dashboard_exists_and_has_the_labels_it_is_selected_by() -> None:
    known, wrong, seen = documented(), [], set()
    for expression in all_expressions():
        for name, labels in selectors(expression):
            base = next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)
            kind, own = known.get(base if known.get(base, ("",))[0] == "histogram" else name, ("", set()))
            seen.add(name)
            if name not in OF_PROMETHEUS and (not kind or not labels <= own | {"job", "instance", "le"}):
                wrong.append((name, labels, expression))
            if kind == "counter" and not re.search(rf"(?:rate|increase)\({name}\b", expression):
                wrong.append((name, labels, "a counter is looked at as it stands"))
    assert wrong == [] and len(seen) > 30


def test_every_metric_of_the_gateway_is_shown_on_a_dashboard() -> None:
    """But the two that say nothing beside others."""
    shown = " ".join(text for path in DASHBOARDS for text in expressions(path))
    missing = {name for name in documented() if not re.search(rf"\b{name}(_bucket)?\b", shown)}
    assert missing == {"ccgateway_cache_memory_entries", "process_virtual_memory_bytes", "process_start_time_seconds"}


def test_the_expressions_of_the_dashboards_are_ones_that_prometheus_takes(tmp_path: Path) -> None:
    recorded = [{"record": f"panel:{n}", "expr": text} for n, text in enumerate(t for p in DASHBOARDS for t in expressions(p))]
    path = tmp_path / "dashboards.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": recorded}]}))
    assert f"{len(recorded)} rules found" in succeeds(tool("promtool", "prometheus"), "check", "rules", path)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_says_what_its_panels_show_and_asks_the_chosen_source(path: Path) -> None:
    found = board(path)
    panels = [panel for panel in found["panels"] if panel["type"] != "row"]
    assert found["uid"] == f"ccgateway-{path.stem}" and len(panels) > 10
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])
    assert [panel["title"] for panel in panels if len(panel["description"]) < 10] == []
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
    taken: set[tuple[int, int]] = set()
    for panel in found["panels"]:
        where = panel["gridPos"]
        cells = {(where["x"] + x, where["y"] + y) for x in range(where["w"]) for y in range(where["h"])}
        assert where["x"] + where["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells


def test_the_dashboards_are_where_compose_looks_for_them() -> None:
    compose = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
    home = compose["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (DEPLOY / "grafana" / Path(home).name).exists()
    defaults = [panel.get("fieldConfig", {}).get("defaults", {}) for path in DASHBOARDS for panel in board(path)["panels"]]
    links = [link["url"] for one in defaults for link in one.get("links", ())]
    assert links and all(link.startswith("/d/ccgateway-site?") for link in links)
