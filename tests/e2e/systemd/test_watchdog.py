"""systemd's watchdog, and a daemon of which one part hangs."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import pytest

import wedged
from credfresh.simulator import faults
from host import wait_until
from service import PROFILES, Service, program

RUN = program("sys.path.insert(0, '/opt/credfresh')\nimport wedged\nwedged.main()\n")
DROP_IN = """[Service]
ExecStart=
ExecStart=/usr/bin/credfresh-wedged run
WatchdogSec=2s
"""


@pytest.fixture(name="wedgeable")
def _wedgeable(service: Service) -> Service:
    """Start a service with a short watchdog, each part of which can be made to hang."""
    service.machine.write("/opt/credfresh/wedged.py", Path(wedged.__file__).read_text())
    service.machine.write("/usr/bin/credfresh-wedged", RUN, 0o755)
    service.drop_in("wedged", DROP_IN)
    service.start()
    return service


def wedge(service: Service, part: str) -> None:
    """Make a part hang; return once it does."""
    if part == "main":
        service.systemctl("kill", "--signal=USR2", "--kill-whom=main")
        return
    wish = service.outside(f"/run/credfresh/.wedge-{part}")
    made = service.outside("/run/credfresh/.wedge")
    made.touch()
    service.machine.run("chown", "credfresh", f"/run/credfresh/{made.name}")
    made.rename(wish)  # the part may hang, and remove it, at once
    if part == "publisher":  # it hangs at its next write
        service.systemctl("kill", "--signal=USR1", "--kill-whom=main")
        service.wait_for("credentials_renewed", count=24)
    wait_until(lambda: not wish.exists(), f"{part} hangs")


def replaced(service: Service, first: int) -> bool:
    """Say whether the daemon is another process than at first."""
    return service.pid not in {0, first}


def test_a_daemon_of_which_a_part_hangs_is_replaced(wedgeable: Service) -> None:
    """For each part in turn `part_silent` names it, the daemon is killed, and another starts."""
    for part in ("workers", "scheduler", "publisher", "main"):
        first, mark = wedgeable.pid, wedgeable.machine.cursor()
        wedge(wedgeable, part)
        calls = wedgeable.sts.count()
        wait_until(partial(replaced, wedgeable, first), f"{part}: replaced")
        wedgeable.wait("ActiveState", "active")

        told = [event["parts"] for event in wedgeable.events("part_silent", mark)]
        # While the main thread hangs, nothing can be logged.
        assert ([] if part == "main" else [part]) == told, wedgeable.told()
        assert calls == wedgeable.sts.count()
        assert wedgeable.readable("agent")
        # Otherwise the next start would be delayed.
        wedgeable.outside("/run/credfresh/.failures").unlink()
    assert 4 == wedgeable.told().count("Watchdog timeout (limit 2s)!")
    assert not wedgeable.readable("stranger")


def test_an_outage_kills_nobody(service: Service) -> None:
    """Twelve calls that hang for longer than WatchdogSec are no reason to kill the daemon."""
    service.drop_in("watched", "[Service]\nWatchdogSec=2s\n")
    service.start()
    service.sts.inject(faults.Hang(), times=None)
    service.systemctl("kill", "--signal=USR1", "--kill-whom=main")
    wait_until(lambda: service.sts.in_flight >= len(PROFILES), "all hang")
    began = time.monotonic()

    wait_until(lambda: time.monotonic() > began + 4, "twice WatchdogSec")
    assert service.sts.in_flight >= len(PROFILES)
    assert ("active", "0") == (service.show("ActiveState"), service.show("NRestarts"))
    assert [] == service.events("part_silent")
    assert service.readable("agent")
