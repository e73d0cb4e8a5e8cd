"""systemd's watchdog and a daemon of which one part hangs."""

from __future__ import annotations

from pathlib import Path

import pytest

import wedged
from host import wait_until
from service import Service, program

RUN = program("sys.path.insert(0, '/opt/credfresh')\nimport wedged\nwedged.main()\n")


@pytest.mark.parametrize("part", ["main", "scheduler", "workers", "publisher"])
def test_a_daemon_with_a_part_that_hangs_is_replaced(service: Service, part: str) -> None:
    """It is killed, tells before which part is silent, and the next one asks STS for nothing."""
    service.machine.write("/opt/credfresh/wedged.py", Path(wedged.__file__).read_text())
    service.machine.write("/usr/bin/credfresh-wedged", RUN, 0o755)
    service.drop_in("wedged", "[Service]\nExecStart=\nExecStart=/usr/bin/credfresh-wedged run\nWatchdogSec=2s\n")
    service.start()
    first = service.pid
    service.outside(f"/run/credfresh/.wedge-{part}").touch()
    service.machine.run("chown", "credfresh", f"/run/credfresh/.wedge-{part}")
    if part == "publisher":
        service.systemctl("kill", "--signal=USR1", "--kill-whom=main")
    wait_until(lambda: not service.outside(f"/run/credfresh/.wedge-{part}").exists(), "it hangs")
    if part == "publisher":
        service.wait_for("credentials_renewed", count=24)
    calls = service.sts.count()

    service.wait("NRestarts", "1")
    service.wait("ActiveState", "active")
    assert first != service.pid
    assert calls == service.sts.count()
    assert "watchdog" in service.told()
    if part != "main":
        assert [part] == [event["parts"] for event in service.events("part_silent")]
    assert service.readable("agent")
    assert not service.readable("stranger")
