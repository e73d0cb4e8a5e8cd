"""Figures to a page: docs/benchmarks.md, written by `run.py`."""

from __future__ import annotations

from typing import Any

HEAD = """# Benchmarks

Written by `python tests/bench/run.py`; do not edit. Each pair of things is measured in turns in one
run against one loopback STS; ratios tell more than times, which are this machine's:
{machine}.

Where a bound is named it is the one that we hold ourselves to; **missed** says where it is not
reached.
"""

OPEN = """## What is missing, and where we lose

- A short script with one client costs about as much CPU for a renewal of 100 profiles, its own
  start included, and a warm client at the same pace less (above). What they lack is the table of
  writers, retries, a schedule, a log, and a way for long-running readers to see new keys.
- elhaz, awsume's autoawsume and boto3-refresh-session are not measured here yet; nor are memory
  over 100,000 renewals, wake-ups at rest, and the least life that a reader finds through an outage,
  a SIGSTOP and a SIGKILL. Tests hold those promises (`tests/unit/test_supervisor.py`,
  `tests/e2e/systemd`); there is no figure beside others yet.
- STS calls: one for each profile and half session (2.2 an hour with sessions of an hour), whatever
  reads them; `aws sts assume-role` in each job is one for each job.
"""


def page(found: dict[str, Any]) -> str:
    """Return the page."""
    return "\n".join(
        [
            HEAD.format(machine=", ".join(f"{k} {v}" for k, v in found["machine"].items())),
            _renewals(found),
            _hammered(found),
            _jobs(found),
            _scale(found),
            _publishing(found),
            OPEN,
        ]
    )


def _renewals(found: dict[str, Any]) -> str:
    ours = _median(found, "renewals", "credfresh")
    rows = [
        [
            row["tool"],
            _ms(row["cpu"]),
            _ms(row["wall"]) if row["tool"] != "credfresh" else "in the background",
            f"{row['cpu']['median'] / ours:.1f}",
        ]
        for row in found["renewals"]
    ]
    return "## A renewal\n\n" + _table(
        ["tool", "CPU (least to most)", "wall", "CPU, credfresh = 1"], rows
    )


def _hammered(found: dict[str, Any]) -> str:
    rows = [
        [
            row["tool"],
            {"locked": "with the lock", "bare": "without a lock"}[row["rival"]],
            f"{row['writes']:,}",
            f"{row['torn']:,} of {row['reads']:,}",
            f"{row['lost']} of {row['updates']}",
        ]
        for row in found["hammered"]
    ]
    killed = found["killed"]
    return (
        "## Writing while others read and write\n\n"
        "Each writes as often as it can. A read is bad when the file cannot be parsed, a section\n"
        "of others is not there whole, or one set of keys is mixed with another; what a writer\n"
        "has destroyed once stays bad. An update is lost when the rival had finished it and it is\n"
        "not there at the end.\n\n"
        + _table(["writer", "rival", "writes", "bad reads", "lost updates"], rows)
        + f"\ncredfresh with {killed['kills']:,} of its writers killed by SIGKILL at every step:"
        f" {killed['torn']} torn of {killed['reads']:,} reads.\n"
    )


def _jobs(found: dict[str, Any]) -> str:
    rows = [[row["tool"], _ms(row["cpu"]), _ms(row["wall"])] for row in found["jobs"]]
    return "## What a job pays\n\n" + _table(["command", "CPU (least to most)", "wall"], rows)


def _scale(found: dict[str, Any]) -> str:
    quick, together, memory = found["quick"], found["together"], found["memory_mb"]
    cold = found["cold"]
    loop = _median(found, "renewals", "shell loop over the AWS CLI")
    each = _median(found, "renewals", "boto3, a Session each")
    ours = _median(found, "renewals", "credfresh")
    rows = [
        _bound("less CPU for a renewal than the shell loop", loop / ours, 100, most=False),
        _bound("less CPU than a Session for each profile", each / ours, 20, most=False),
        _bound(
            "CPU for a renewal, 100 profiles at 40 a second, to one warm client at that pace",
            quick["renewal_cpu_vs_warm_client"],
            1.2,
        ),
        _bound("the same, all 100 at once, to one that never rests", together["100"], 1.2),
        _bound("the same, 10,000 at once", together["10,000"], 2.0),
        *(
            _bound(
                f"cold start of 1,000 profiles, STS {ms} ms away, to the same calls alone",
                start["seconds"] / start["floor"],
                1.5 if ms == "20" else None,
            )
            for ms, start in cold.items()
        ),
        _bound("memory of 10,000 profiles to that of one", memory["10,000"] / memory["1"], 3.5),
        _bound("memory of 10,000 profiles, MB", memory["10,000"], 200),
        _bound("reading a twin, to `cat` of a file as large", quick["twin_read_vs_cat"], 1.2),
    ]
    return "## How it grows\n\n" + _table(["figure", "measured", "bound"], rows)


def _publishing(found: dict[str, Any]) -> str:
    rows = [
        [
            f"{int(row['profiles']):,}",
            f"{row['megabytes']:.2f} MB",
            f"{row['floor_ms']:.2f} ms",
            f"{row['publish_ms']:.2f} ms",
            f"{row['ratio']:.2f}",
            f"{row['memory_of_file']:.2f}",
        ]
        for row in found["publishing"]
    ]
    return (
        "## Publishing one renewal\n\n"
        "Splice, durable write, check, swap; beside writing and fsyncing the same bytes.\n\n"
        + _table(["profiles", "file", "floor", "publish", "ratio", "memory / file"], rows)
    )


def _bound(what: str, figure: float, bound: float | None, *, most: bool = True) -> list[str]:
    if bound is None:
        return [what, f"{figure:.2f}", ""]
    kept = figure <= bound if most else figure >= bound
    said = f"{'at most' if most else 'at least'} {bound:g}"
    return [what, f"{figure:.2f}", said if kept else f"{said}: **missed**"]


def _median(found: dict[str, Any], part: str, tool: str) -> float:
    return next(float(row["cpu"]["median"]) for row in found[part] if row["tool"] == tool)


def _ms(spread: dict[str, float]) -> str:
    least, most = spread["least"] * 1000, spread["most"] * 1000
    return f"{spread['median'] * 1000:.1f} ms ({least:.1f} to {most:.1f})"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
