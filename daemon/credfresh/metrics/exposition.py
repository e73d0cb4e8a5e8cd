"""Renders a view in the text format of Prometheus. The only door to prometheus_client."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from credfresh import __version__
from credfresh.metrics.snapshot import RESULTS, Figures
from credfresh.metrics.view import View

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

NEVER = 0.0
"""The value of a timestamp that is not known: so old that every alert fires."""

_OF_A_PROFILE: tuple[tuple[str, str, Callable[[Figures], float | None]], ...] = (
    (
        "credential_expiration_timestamp_seconds",
        "When the published credentials expire (0: none are published).",
        lambda one: one.expiration if one.state != "missing" else None,
    ),
    (
        "credential_renewal_timestamp_seconds",
        "When the credentials in hand are to be renewed (0: none in hand).",
        lambda one: one.renew_at,
    ),
    (
        "credential_last_success_timestamp_seconds",
        "When the request that brought the credentials in hand was sent (0: none in hand).",
        lambda one: one.last_success,
    ),
    (
        "consecutive_failures",
        "Attempts that failed since the last one that did not.",
        lambda one: float(one.failures),
    ),
)

_OF_THE_DAEMON: tuple[tuple[str, str, Callable[[View], float]], ...] = (
    (
        "healthy",
        "1 while every profile has valid credentials on disk, else 0.",
        lambda view: float(view.healthy),
    ),
    (
        "ready",
        "1 once the service manager was told that the service is up.",
        lambda view: float(view.snapshot.ready),
    ),
    (
        "file_last_write_timestamp_seconds",
        "When credentials were written last, in any place (0: not since the start).",
        lambda view: view.snapshot.last_write or NEVER,
    ),
    (
        "config_reload_success",
        "1 if the last reload was accepted, or none was asked for; else 0.",
        lambda view: float(view.snapshot.reloaded),
    ),
    (
        "scheduler_lag_seconds",
        "By how much the most belated alarm was late when this was taken.",
        lambda view: view.snapshot.lag,
    ),
    (
        "clock_skew_seconds",
        "The clock of STS minus ours, by its newest answer (NaN: it has not told).",
        lambda view: math.nan if view.snapshot.skew is None else view.snapshot.skew,
    ),
    (
        "snapshot_timestamp_seconds",
        "When these figures were taken; in a textfile, how old they are.",
        lambda view: view.snapshot.taken.wall,
    ),
)


def render(view: View) -> bytes:
    """Return all metrics; profiles that have left the configuration are not in them."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(view))
    # With our own prefix: node_exporter exposes the figures of its own process beside ours.
    ProcessCollector(namespace="credfresh", registry=registry)
    return generate_latest(registry)


class _Figures(Collector):
    def __init__(self, view: View) -> None:
        self._view = view

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the profiles, then those of the daemon."""
        for name, text, value in _OF_A_PROFILE:
            gauge = GaugeMetricFamily(f"credfresh_{name}", text, labels=["profile"])
            for one in self._view.profiles:
                gauge.add_metric([one.profile.name], value(one) or NEVER)
            yield gauge
        yield self._renewals()
        yield from self._daemon()

    def _renewals(self) -> Metric:
        counter = CounterMetricFamily(
            "credfresh_renewals",
            "Attempts since the start, by what became of them.",
            labels=["profile", "result"],
        )
        for one in self._view.profiles:
            for result, count in zip(RESULTS, one.results, strict=True):
                counter.add_metric([one.profile.name, result], count)
        return counter

    def _daemon(self) -> Iterator[Metric]:
        view = self._view
        states = GaugeMetricFamily(
            "credfresh_profiles", "Profiles by their state on disk.", labels=["state"]
        )
        for state, count in view.counts.items():
            states.add_metric([state], count)
        yield states
        writes = CounterMetricFamily(
            "credfresh_file_writes",
            "Publishes of one place (a file, a directory of twins) by what became of them.",
            labels=["result"],
        )
        for result, count in view.snapshot.writes.items():
            writes.add_metric([result], count)
        yield writes
        for name, text, value in _OF_THE_DAEMON:
            yield GaugeMetricFamily(f"credfresh_{name}", text, value=value(view))
        build = GaugeMetricFamily(
            "credfresh_build_info", "Which credfresh this is.", labels=["version", "python"]
        )
        build.add_metric([__version__, platform.python_version()], 1.0)
        yield build
