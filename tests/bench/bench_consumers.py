"""What readers pay: `python tests/bench/bench_consumers.py [PROFILES…]`.

Prints the median of many runs, in milliseconds, in a directory in memory, like /run:

- `cat` of a plain file as large as a twin, and the command that PROFILE.config names: the ratio of
  the two is what reading the twin costs in relation to the least possible;
- one answer of the endpoint, over a new connection and over one that is kept;

and for each number of profiles (by default 10, 1,000 and 10,000): publishing one renewal into a
directory of that many, and the time botocore needs to find a profile in PROFILE.config and in the
`config` of all.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

from botocore.configloader import load_config

from credfresh.cli.clock import clock
from credfresh.endpoint.application import Application
from credfresh.endpoint.shelf import Shelf
from credfresh.listener import Listener
from credfresh.model import Grant, SessionCredentials
from credfresh.process_twin.directory import ProcessDirectory
from credfresh.publication import Publication
from credfresh.settings import FileTarget, Profile, RenewBefore, TcpAddress, Twin

RUNS = 400


def publication(directory: Path, number: int, serial: int = 0) -> Publication:
    """Return credentials as large as real ones."""
    name = f"team-{number:05d}"
    target = FileTarget(str(directory.parent / "credentials"))
    profile = Profile(
        name=name,
        section=name,
        role_arn=f"arn:aws:iam::{number:012d}:role/deploy",
        role_session_name="bench",
        duration=3600,
        renew_before=RenewBefore(),
        region="eu-west-1",
        target=target,
        twin=Twin(str(directory), name, FileTarget(str(directory))),
    )
    now = clock()
    key = f"ASIA{number:08d}{serial:08d}"
    credentials = SessionCredentials(key, "s" * 40, "t" * 700, now.wall + 3600)
    return Publication(profile, Grant(credentials, now, 3600.0, 3600.0, profile.request))


def timed(action: Callable[[], object]) -> float:
    """Return the milliseconds that an action takes."""
    began = perf_counter()
    action()
    return (perf_counter() - began) * 1000


def in_turns(*actions: Callable[[], object], runs: int = RUNS) -> list[float]:
    """Return the median of each action, run in turns so that other load affects all alike."""
    taken: list[list[float]] = [[] for _ in actions]
    for _ in range(runs):
        for times, action in zip(taken, actions, strict=True):
            times.append(timed(action))
    return [median(times) for times in taken]


def run(argv: list[str]) -> None:
    """Start a command, read what it prints, and wait for its end."""
    subprocess.run(argv, stdout=subprocess.PIPE, check=True)


def reading(directory: Path, runs: int = RUNS) -> tuple[float, float]:
    """Return the milliseconds of one `cat` of a plain file, and of one read of a twin."""
    twins = ProcessDirectory(FileTarget(str(directory)), instance="bench", clock=clock)
    twins.publish({"team-00000": publication(directory, 0)})
    plain = directory.parent / "plain"
    plain.write_bytes((directory / "team-00000.json").read_bytes())
    config = load_config(str(directory / "team-00000.config"))
    command = config["profiles"]["team-00000"]["credential_process"].split()
    cat, twin = in_turns(lambda: run(["/bin/cat", str(plain)]), lambda: run(command), runs=runs)
    twins.release()
    return cat, twin


def asking(directory: Path) -> None:
    """Print what one answer of the endpoint costs."""
    shelf = Shelf()
    shelf.update({"team-00000": publication(directory, 0)})
    application = Application(shelf, hosts=frozenset({"127.0.0.1"}), clock=clock)
    application.admitted = {"team-00000": (b"token",)}
    port = 40_000 + os.getpid() % 20_000
    listener = Listener(TcpAddress("127.0.0.1", port), application)
    listener.open()
    kept = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def ask(connection: http.client.HTTPConnection) -> None:
        connection.request("GET", "/credentials/team-00000", headers={"Authorization": "token"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200

    def anew() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        ask(connection)
        connection.close()

    new, same = in_turns(anew, lambda: ask(kept))
    print(f"endpoint: new connection {new:.3f} ms   kept {same:.3f} ms")  # noqa: T201 - the same
    kept.close()
    listener.close()


def publishing(directory: Path, count: int) -> None:
    """Print what a renewal, and the start of a job, cost in a directory of `count` profiles."""
    twins = ProcessDirectory(FileTarget(str(directory)), instance="bench", clock=clock)
    wanted = {f"team-{n:05d}": publication(directory, n) for n in range(count)}
    cold = timed(lambda: twins.publish(wanted))
    renewals = []
    for serial in range(1, 30):
        wanted["team-00007"] = publication(directory, 7, serial)
        renewals.append(timed(lambda: twins.publish(wanted)))
    one, whole = in_turns(
        lambda: load_config(str(directory / "team-00007.config")),
        lambda: load_config(str(directory / "config")),
        runs=5,
    )
    print(  # noqa: T201 - the same
        f"{count:6} profiles: all at first {cold:9.1f} ms   one renewal {median(renewals):6.2f} ms"
        f"   botocore: PROFILE.config {one:5.2f} ms, config {whole:7.1f} ms"
    )
    twins.release()


def main() -> None:
    """Measure and print."""
    counts = [int(word) for word in sys.argv[1:]] or [10, 1000, 10_000]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as root:
        cat, twin = reading(Path(root, "reading"))
        print(f"cat {cat:.3f} ms   twin {twin:.3f} ms   {twin / cat:.2f} times")  # noqa: T201 - its purpose
        asking(Path(root, "asking"))
        for count in counts:
            publishing(Path(root, f"twins-{count}"), count)


if __name__ == "__main__":
    main()
