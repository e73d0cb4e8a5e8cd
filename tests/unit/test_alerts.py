"""Alerts, dashboard and documents name the same things."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from credfresh.metrics.exposition import render
from views import figures, view

ROOT = Path(__file__).parents[2]
RULES: list[dict[str, Any]] = yaml.safe_load(
    (ROOT / "config" / "prometheus" / "alerts.yml").read_text("utf-8")
)["groups"][0]["rules"]
TRIED = (ROOT / "tests" / "alerts.test.yml").read_text("utf-8")
PAGE = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
DASHBOARD = (ROOT / "config" / "grafana" / "credfresh.json").read_text("utf-8")
OURS = re.compile(r"credfresh_[a-z_]+")


def exposed() -> set[str]:
    """Return the names of all metrics, as they are served."""
    return set(re.findall(r"(?m)^(credfresh_[a-z_]+)", render(view(figures())).decode()))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_is_tested_and_explained(rule: dict[str, Any]) -> None:
    """Each has a section that its runbook names, and tests that see it fire and stay silent."""
    name = rule["alert"]

    assert f"docs/monitoring.md#{name.lower()}" == rule["annotations"]["runbook"]
    assert f"\n### {name}\n" in PAGE
    assert rule["labels"]["severity"] in {"critical", "warning"}
    fires = re.compile(rf"alertname: {name}\n\s+exp_alerts:\n\s+- exp_labels")
    assert fires.search(TRIED), "no test sees it fire"
    assert re.search(rf"eval_time: \w+, alertname: {name}}}", TRIED), "no test sees it silent"


def test_no_alert_is_explained_that_does_not_exist() -> None:
    """docs/monitoring.md has a section for each of these rules, in their order, and no other."""
    assert [rule["alert"] for rule in RULES] == re.findall(r"(?m)^### (Credfresh\w+)$", PAGE)


@pytest.mark.parametrize(
    "text", [DASHBOARD, str(RULES), TRIED], ids=["dashboard", "rules", "tests"]
)
def test_alerts_and_dashboard_query_only_metrics_that_exist(text: str) -> None:
    """Dashboard, rules and tests do not wait for a metric that was renamed."""
    assert set(OURS.findall(text)) <= exposed()


def test_the_page_lists_every_metric_and_no_other() -> None:
    """The table has each metric that is served; those of the process share one row."""
    listed = set(re.findall(r"(?m)^\| `(credfresh_[a-z_]+)\*?`", PAGE))

    assert {n for n in exposed() if not n.startswith("credfresh_process_")} == listed - {
        "credfresh_process_"
    }
    assert "credfresh_process_" in listed


def test_the_dashboard_shows_the_figures_of_each_profile() -> None:
    """The times of each profile are on it, and every panel has an id and a description."""
    for name in ("expiration", "renewal", "last_success"):
        assert f"credfresh_credential_{name}_timestamp_seconds" in DASHBOARD
    panels = json.loads(DASHBOARD)["panels"]
    assert len(panels) == len({panel["id"] for panel in panels})
    assert all(panel["description"] for panel in panels)
