"""The alerts and the dashboard, on a real Prometheus that scrapes the real daemon."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from host import ENVIRONMENTS, Host, wait_until
from programs import free_port, needed

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "config" / "prometheus" / "alerts.yml"
DASHBOARD = json.loads((ROOT / "config" / "grafana" / "credfresh.json").read_text("utf-8"))
QUERIES = sorted(
    {
        target["expr"].replace("$instance", ".*").replace("$__rate_interval", "1m")
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    }
)


class Prometheus:
    """A Prometheus on loopback with a directory of its own."""

    def __init__(self, root: Path, target: int) -> None:
        program = needed("prometheus", "prometheus")
        self.port = free_port()
        root.mkdir()
        config = root / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            f"rule_files: [{ALERTS}]\n"
            "scrape_configs:\n"
            "  - job_name: credfresh\n"
            f"    static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n"
        )
        self._log = (root / "log").open("wb")
        self._process = subprocess.Popen(
            [
                program,
                f"--config.file={config}",
                f"--storage.tsdb.path={root / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--log.level=warn",
            ],
            stdout=self._log,
            stderr=self._log,
            stdin=subprocess.DEVNULL,
        )

    def ask(self, path: str, **query: str) -> Any:
        """Ask its API; return the data."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Run an instant query; return its result."""
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def has(self, expression: str) -> bool:
        """Say whether a query finds something; False while Prometheus is not up."""
        try:
            return bool(self.query(expression))
        except OSError:
            return False

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._log.close()


@pytest.fixture(name="prometheus")
def _prometheus(host: Host) -> Iterator[Prometheus]:
    port = free_port()
    host.configure(extra=f"metrics:\n  listen: 127.0.0.1:{port}\n")
    running = host.start("run")
    running.wait_for("daemon_ready")
    prometheus = Prometheus(host.root / "prometheus", port)
    yield prometheus
    prometheus.end()


def test_the_rules_are_valid_and_fire_when_they_should() -> None:
    """`promtool` accepts the rules and passes every case of tests/alerts.test.yml."""
    promtool = needed("promtool", "prometheus")
    for arguments in (["check", "rules", str(ALERTS)], ["test", "rules", "alerts.test.yml"]):
        run = subprocess.run(
            [promtool, *arguments],
            cwd=ROOT / "tests",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert 0 == run.returncode, run.stdout + run.stderr


def test_every_query_of_the_dashboard_finds_something(prometheus: Prometheus) -> None:
    """With three profiles each panel has data, and every rule can be evaluated."""
    # A rate needs two scrapes.
    wait_until(lambda: prometheus.has("count_over_time(credfresh_healthy[1m]) > 2"), "scrapes")

    empty = [query for query in QUERIES if not prometheus.has(query)]

    assert [] == empty
    assert len(QUERIES) >= 20
    rules = prometheus.ask("rules")["groups"][0]["rules"]
    wait_until(
        lambda: all(
            rule["health"] == "ok" for rule in prometheus.ask("rules")["groups"][0]["rules"]
        ),
        f"healthy rules: {rules}",
    )
    assert [] == prometheus.ask("alerts")["alerts"]


def test_prometheus_scrapes_the_expirations_in_the_file(prometheus: Prometheus, host: Host) -> None:
    """Prometheus has the target up, and the expiration in the file for every profile."""
    expiration = "credfresh_credential_expiration_timestamp_seconds"
    wait_until(lambda: prometheus.has(f"min({expiration}) > 0"), "a scrape")

    seen = {r["metric"]["profile"]: float(r["value"][1]) for r in prometheus.query(expiration)}

    assert set(ENVIRONMENTS) == set(seen)
    assert prometheus.has('up{job="credfresh"} == 1')
    text = host.credentials.read_text()
    for name, wall in seen.items():
        stamp = subprocess.run(
            ["date", "-u", "-d", f"@{int(wall)}", "+%Y-%m-%dT%H:%M:%SZ"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        assert f"expires={stamp}" in text.split(f"[{name}]")[1].split("[")[0]


def test_alerts_are_pending_for_a_daemon_that_lost_its_file(
    prometheus: Prometheus, host: Host
) -> None:
    """A lost file makes the alerts pending; promtool's tests say when they fire."""
    wait_until(lambda: prometheus.has("credfresh_healthy == 1"), "health")

    host.credentials.unlink()
    host.credentials.mkdir()

    wait_until(lambda: prometheus.has("credfresh_healthy == 0"), "the loss")
    wait_until(
        lambda: (
            {"CredfreshUnhealthy", "CredfreshCredentialsExpired"}
            <= {alert["labels"]["alertname"] for alert in prometheus.ask("alerts")["alerts"]}
        ),
        "pending alerts",
    )


def test_promtool_has_no_remark_about_the_metrics(host: Host) -> None:
    """Names, types and help texts follow the conventions of the Prometheus project."""
    promtool = needed("promtool", "prometheus")
    textfile = host.root / "credfresh.prom"
    host.configure(extra=f"metrics:\n  textfile: {textfile}\n")
    host.start("run").wait_for("daemon_ready")
    wait_until(textfile.exists, "a textfile")

    run = subprocess.run(
        [promtool, "check", "metrics"],
        input=textfile.read_bytes(),
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert (0, b"", b"") == (run.returncode, run.stdout, run.stderr)
