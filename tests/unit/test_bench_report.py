"""The page of benchmarks says what was measured, and where a bound is missed."""

from __future__ import annotations

from typing import Any

import pytest
import report


def spread(median: float) -> dict[str, float]:
    """Return the figures of three rounds."""
    return {"median": median, "least": 0.9 * median, "most": 1.1 * median, "rounds": 3}


def found(**changed: Any) -> dict[str, Any]:
    """Return figures of each part, all within their bounds unless changed."""
    costs = {
        "shell loop over the AWS CLI": 1.2,
        "boto3, a Session each": 0.07,
        "elhaz (its daemon alone)": 0.09,
        "credfresh": 0.003,
    }
    hammered = {
        "tool": "credfresh", "rival": "bare", "writes": 1000,
        "reads": 10_000, "torn": 0, "updates": 100, "lost": 0,
    }  # fmt: skip
    life = {"tool": "credfresh", "calm": 0.5, "outage": 0.3, "stopped": 0.35, "killed": 0.49}
    rest = {
        "warm_s": 0.8, "warm_floor_s": 0.5, "warm_calls": 0,
        "cpu_percent": 0.02, "wakeups_per_s": 0.5, "rss_mb": 70.0,
    }  # fmt: skip
    size = {
        "profiles": 100, "a_second": 4.0, "cpu_ms": 9.0, "floor_ms": 10.0, "ratio": 0.9,
        "bursts_ms": 8.0, "bursts_ratio": 1.125, "published_after_s": 0.12,
        "publishes": 0.5, "fsyncs": 1.0, "written_bytes": 70_000.0, "wakeups": 15.0,
        "theirs_ms": {"boto3, one client": (3.0, 4.0)},
    }  # fmt: skip
    publishing = {
        "profiles": 100, "megabytes": 0.12, "floor_ms": 0.3,
        "publish_ms": 0.9, "ratio": 3.0, "memory_of_file": 3.8,
    }  # fmt: skip
    return {
        "machine": {"cpu": "2 x Fast"},
        "versions": {"boto3": "1.43.0", "elhaz": "0.5.6"},
        "quick": {"renewal_cpu_vs_warm_client": 1.1, "twin_read_vs_cat": 1.0},
        "renewals": [size, size | {"profiles": 10_000}],
        "renewals_away": [size],
        "steady": {"percent": 0.9, "calls_percent": 0.7, "a_second": 6.1},
        "simulator": [{"connections": 4, "a_second": 2500.0, "core": 0.97}],
        "instructions": {"renewal": 4.5e6, "floor": 4.4e6},
        "together": {size: {"rounds": 1.1, "restless": 1.15} for size in ("100", "10,000")},
        "memory_mb": {"1": 70.0, "10,000": 160.0, "growth": 1.0},
        "cold": {ms: {"seconds": 2.0, "floor": 1.6} for ms in ("0", "20", "200")},
        "rest": {"1": rest, "10,000": rest},
        "publishing": [publishing],
        "killed": {"kills": 1200, "torn": 0, "reads": 60_000},
        "life": [life],
        "peers": {
            "renewals": [
                {"tool": tool, "cpu": spread(cpu), "wall": spread(cpu)}
                for tool, cpu in costs.items()
            ],
            "jobs": [{"tool": "cat of the twin", "cpu": spread(0.001), "wall": spread(0.001)}],
            "hammered": [hammered],
        },
    } | changed


def test_every_part_is_on_the_page() -> None:
    """Each figure has a row, with its spread, machine and versions."""
    page = report.page(found())

    assert "cpu 2 x Fast. Versions: boto3 1.43.0, elhaz 0.5.6." in page
    assert "| elhaz (its daemon alone) | 90.0 ms (81.0 to 99.0) |" in page
    assert "| credfresh | without a lock | 1,000 | 0 of 10,000 | 0 of 100 |" in page
    assert "| credfresh | 50% | 30% | 35% | 49% |" in page
    assert "| 10,000 | 0.02 % | 0.50 | 70 MB | 0 | 0.80 s | 1.60 |" in page
    assert 2 == page.count("| 100 | 4 | 9.00 ms | 10.00 ms | 0.90 | 8.00 ms | 1.12 |")
    assert "| 100 | 0.12 s | 0.50 | 1.00 | 70 kB | 15 |" in page
    assert "| 10,000 | 3.0 ms (4.0 ms) |" in page
    assert "to one warm client in its bursts, STS 20 ms away | 1.12 | at most 1.2 |" in page
    assert "| 10,000 profiles of an hour, percent of a core | 0.90 | at most 1 |" in page
    assert "| 4 | 2,500 | 97% |" in page
    assert "to those of a bare loop | 1.02 | at most 1.2 |" in page
    assert (
        "| growth over 100,000 renewals in two days, once settled, MB | 1.00 | at most 2 |" in page
    )
    assert page.count("**missed**") == 1


@pytest.mark.parametrize(
    ("changed", "row"),
    [
        (
            {"together": {s: {"rounds": 1.5, "restless": 1.9} for s in ("100", "10,000")}},
            "at once; to a bare loop at the same moments | 1.50 | at most 1.2: **missed** |",
        ),
        ({"memory_mb": {"1": 40.0, "10,000": 160.0, "growth": 5.0}}, "4.00 | at most 3.5: **m"),
        ({"memory_mb": {"1": 90.0, "10,000": 201.0, "growth": 5.0}}, "201.00 | at most 200: **m"),
    ],
)
def test_a_bound_that_is_missed_is_said(changed: dict[str, Any], row: str) -> None:
    """The row of a missed bound says so: nobody has to compare figures by eye."""
    assert row in report.page(found(**changed))
