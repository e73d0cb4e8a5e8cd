"""Turns figures into docs/benchmarks.md; `run.py` writes it."""

from __future__ import annotations

from typing import Any

HEAD = """# Benchmarks

Written by `python tests/bench/run.py`; do not edit. Each pair of things is measured in turns in one
run against one loopback STS; ratios tell more than times, which are this machine's:
{machine}. Versions: {versions}.

Where a bound is named it is the one that we hold ourselves to; **missed** says where it is not
reached.
"""

END = """## Where we lose

- A short script with one client that renews all at once costs less CPU for a renewal than a daemon
  that renews each in its time (above), and a bare loop that never rests less still. What they lack
  is in the tables of writers and of the least life: a schedule, retries, a file that stays whole.
- A rival that writes without a lock makes us begin anew: fewer writes a second than others.
- STS calls: one for each profile and half session (2.2 an hour with sessions of an hour), whatever
  reads them; `aws sts assume-role` in each job is one for each job, and elhaz asks when asked.
- Nothing of this is timed in a test: `tests/bench` measures, the tests hold the promises.
"""


def page(found: dict[str, Any]) -> str:
    """Return the text of the page."""
    return "\n".join(
        [
            HEAD.format(
                machine=", ".join(f"{k} {v}" for k, v in found["machine"].items()),
                versions=", ".join(f"{k} {v}" for k, v in found["versions"].items()),
            ),
            _renewals(found),
            _sizes(found),
            _hammered(found),
            _lives(found),
            _jobs(found),
            _scale(found),
            _rest(found),
            _publishing(found),
            _simulator(found),
            END,
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
        for row in found["peers"]["renewals"]
    ]
    return (
        "## A renewal\n\n"
        "One after the other without a rest; of ours all 100 at once, as SIGUSR1 asks, all in.\n\n"
        + _table(["tool", "CPU (least to most)", "wall", "CPU, credfresh = 1"], rows)
    )


def _sizes(found: dict[str, Any]) -> str:
    sizes, away = found["renewals"], found["renewals_away"]
    tools = list(sizes[0]["theirs_ms"])
    costs = ["profiles", "a second", "CPU", "one by one", "ratio", "in the same bursts", "ratio"]
    rest = ["profiles", "published after", "publishes", "fsyncs", "written", "wake-ups"]
    rests = [
        [
            f"{row['profiles']:,}",
            f"{row['published_after_s']:.2f} s",
            f"{row['publishes']:.2f}",
            f"{row['fsyncs']:.2f}",
            f"{row['written_bytes'] / 1000:,.0f} kB",
            f"{row['wakeups']:.0f}",
        ]
        for row in sizes
    ]
    theirs = [
        [
            f"{row['profiles']:,}",
            *("{:,.1f} ms ({:,.1f} ms)".format(*row["theirs_ms"][tool]) for tool in tools),
        ]
        for row in sizes
    ]
    return (
        "## A renewal, by the number of profiles\n\n"
        "The daemon in the middle of its life, renewals spread evenly but for its own bursts;\n"
        "each figure is for one, all in. Beside it a bare loop over one warm boto3 client that\n"
        "makes the same calls at the same pace one by one, and one that makes them at the very\n"
        "moments at which the daemon did: the rarer they are, the colder are caches and memory\n"
        "(where the host of a virtual machine takes idle memory away, ten times as cold).\n\n"
        + _table(costs, [_costs(row) for row in sizes])
        + "\nThe same with an STS 20 ms away, as AWS's are: in the same machine all answers of a\n"
        "burst come at once, and the threads contend for the interpreter.\n\n"
        + _table(costs, [_costs(row) for row in away])
        + "\nFrom an answer of STS to its publication (the median), and what a renewal writes\n"
        "(fsyncs: two for each publish):\n\n"
        + _table(rest, rests)
        + "\nCPU (wall time) of others for a renewal in a file of as many sections; the shell\n"
        "loop and the Sessions renew two of them, the script all at once:\n\n"
        + _table(["profiles", *tools], theirs)
    )


def _costs(row: dict[str, Any]) -> list[str]:
    return [
        f"{row['profiles']:,}",
        f"{row['a_second']:.2g}",
        f"{row['cpu_ms']:.2f} ms",
        f"{row['floor_ms']:.2f} ms",
        f"{row['ratio']:.2f}",
        f"{row['bursts_ms']:.2f} ms",
        f"{row['bursts_ratio']:.2f}",
    ]


def _hammered(found: dict[str, Any]) -> str:
    rows = [
        [
            row["tool"],
            {"locked": "with the lock", "bare": "without a lock"}[row["rival"]],
            f"{row['writes']:,}",
            f"{row['torn']:,} of {row['reads']:,}",
            f"{row['lost']} of {row['updates']}",
        ]
        for row in found["peers"]["hammered"]
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


def _lives(found: dict[str, Any]) -> str:
    rows = [
        [
            row["tool"],
            *(f"{row[trouble]:.0%}" for trouble in ("calm", "outage", "stopped", "killed")),
        ]
        for row in found["life"]
    ]
    return (
        "## The least life that a reader finds\n\n"
        "As a share of a session; all is scaled down to sessions of 80 s. Trouble begins just\n"
        "before the next renewal is due, for a sixth of a session: ten minutes of an hour. What\n"
        "is killed is started again at once (the timer's job with its next turn).\n\n"
        + _table(["tool", "no trouble", "STS out", "SIGSTOP", "SIGKILL"], rows)
    )


def _jobs(found: dict[str, Any]) -> str:
    rows = [[row["tool"], _ms(row["cpu"]), _ms(row["wall"])] for row in found["peers"]["jobs"]]
    return "## What a job pays\n\n" + _table(["command", "CPU (least to most)", "wall"], rows)


def _scale(found: dict[str, Any]) -> str:
    quick, together, memory = found["quick"], found["together"], found["memory_mb"]
    cold, instructions, steady = found["cold"], found["instructions"], found["steady"]
    loop = _median(found, "renewals", "shell loop over the AWS CLI")
    each = _median(found, "renewals", "boto3, a Session each")
    ours = _median(found, "renewals", "credfresh")
    rows = [
        _bound("less CPU for a renewal than the shell loop", loop / ours, 100, most=False),
        _bound("less CPU than a Session for each profile", each / ours, 20, most=False),
        *_pace(found["renewals"], "at its pace", "ratio"),
        *_pace(found["renewals_away"], "in its bursts, STS 20 ms away", "bursts_ratio"),
        *_pace(found["renewals"], "in its bursts", "bursts_ratio"),
        _bound(
            "instructions for a renewal, all 100 at once, to those of a bare loop",
            instructions["renewal"] / instructions["floor"],
            1.2,
        ),
        *(
            _bound(f"CPU for a renewal, all {size} at once; to a bare loop {how}", row[key], most)
            for size, most in (("100", 1.2), ("10,000", 2.0))
            for row in [together[size]]
            for key, how in (("rounds", "at the same moments"), ("restless", "that never rests"))
        ),
        *(
            _bound(
                f"cold start of 1,000 profiles, STS {ms} ms away, to the same calls alone",
                start["seconds"] / start["floor"],
                1.5 if ms == "20" else None,
            )
            for ms, start in cold.items()
        ),
        _bound("10,000 profiles of an hour, percent of a core", steady["percent"], 1.0),
        _bound("their calls alone, by a bare loop, percent", steady["calls_percent"], None),
        _bound("memory of 10,000 profiles to that of one", memory["10,000"] / memory["1"], 3.5),
        _bound("memory of 10,000 profiles, MB", memory["10,000"], 200),
        _bound("growth over 100,000 renewals in two days, once settled, MB", memory["growth"], 2),
        _bound("reading a twin, to `cat` of a file as large", quick["twin_read_vs_cat"], 1.2),
    ]
    return "## How it grows\n\n" + _table(["figure", "measured", "bound"], rows)


def _pace(sizes: list[dict[str, Any]], how: str, ratio: str) -> list[list[str]]:
    """Return how each size compares with one warm client that makes the same calls."""
    bounds = {100: 1.2, 10_000: 2.0}
    return [
        _bound(
            f"CPU for a renewal, profiles: {row['profiles']:,}; to one warm client {how}",
            row[ratio],
            bounds.get(row["profiles"]),
        )
        for row in sizes
    ]


def _rest(found: dict[str, Any]) -> str:
    rows = [
        [
            profiles,
            f"{row['cpu_percent']:.2f} %",
            f"{row['wakeups_per_s']:.2f}",
            f"{row['rss_mb']:.0f} MB",
            f"{row['warm_calls']}",
            f"{row['warm_s']:.2f} s",
            _bound("", row["warm_s"] / row["warm_floor_s"], 2.0)[1]
            + (" **missed**" if row["warm_s"] > 2 * row["warm_floor_s"] else ""),
        ]
        for profiles, row in found["rest"].items()
    ]
    return (
        "## At rest, and a warm restart\n\n"
        "Between renewals (a page that the host of a virtual machine must bring back counts as a\n"
        "wake-up); and from the start until ready, with everything fresh on disk, to its\n"
        "floor: Python with its imports, a C parse of the configuration, one read of the file\n"
        "(at most 2).\n\n"
        + _table(
            ["profiles", "CPU", "wake-ups a second", "memory", "STS calls", "restart", "to floor"],
            rows,
        )
    )


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


def _simulator(found: dict[str, Any]) -> str:
    rows = [
        [str(row["connections"]), f"{row['a_second']:,.0f}", f"{row['core']:.0%}"]
        for row in found["simulator"]
    ]
    return (
        "## The simulator\n\n"
        "`credfresh.simulator`, which the demo and the tests use, held to one core; it checks\n"
        "each signature.\n\n" + _table(["connections", "AssumeRole a second", "of a core"], rows)
    )


def _bound(what: str, figure: float, bound: float | None, *, most: bool = True) -> list[str]:
    if bound is None:
        return [what, f"{figure:.2f}", ""]
    kept = figure <= bound if most else figure >= bound
    said = f"{'at most' if most else 'at least'} {bound:g}"
    return [what, f"{figure:.2f}", said if kept else f"{said}: **missed**"]


def _median(found: dict[str, Any], part: str, tool: str) -> float:
    return next(float(row["cpu"]["median"]) for row in found["peers"][part] if row["tool"] == tool)


def _ms(spread: dict[str, float]) -> str:
    least, most = spread["least"] * 1000, spread["most"] * 1000
    return f"{spread['median'] * 1000:.1f} ms ({least:.1f} to {most:.1f})"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
