"""The script that spaces the starts of a failing service."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent.parent / "systemd" / "restart-delay"


class Service:
    """Runs the script as the unit does, with a `sleep` that prints its argument."""

    def __init__(self, root: Path) -> None:
        self.runtime = root / "run"
        self.runtime.mkdir()
        self.named = str(self.runtime)
        commands = root / "bin"
        commands.mkdir()
        sleep = commands / "sleep"
        sleep.write_text('#!/bin/sh\necho "$1"\n')
        sleep.chmod(0o755)
        self._path = f"{commands}:{os.environ['PATH']}"

    def _run(self, step: str, **environment: str) -> str:
        return subprocess.run(
            ["sh", str(SCRIPT), step],
            env={"PATH": self._path, "RUNTIME_DIRECTORY": self.named} | environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    def ended(self, result: str, status: str = "1") -> None:
        """Run the script after an end."""
        self._run("note", SERVICE_RESULT=result, EXIT_STATUS=status)

    def ended_uncounted(self) -> int:
        """Run the script after an end that it cannot count; return the seconds that it waited."""
        return int(self._run("note", SERVICE_RESULT="exit-code", EXIT_STATUS="1"))

    def delay(self) -> int:
        """Run the script before a start; return the seconds that it waited."""
        return int(self._run("wait"))


@pytest.fixture(name="service")
def _service(tmp_path: Path) -> Service:
    return Service(tmp_path)


def test_the_first_failure_costs_nothing_and_each_further_one_more(service: Service) -> None:
    """The delay is 0, then 1, 2, 4 … 60 seconds, and never more."""
    delays = [service.delay()]
    for _ in range(10):
        service.ended("exit-code")
        delays.append(service.delay())

    assert [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60] == delays


@pytest.mark.parametrize(("result", "status"), [("success", "0"), ("exit-code", "78")])
def test_a_clean_end_and_a_bad_configuration_begin_anew(
    service: Service, result: str, status: str
) -> None:
    """After a stop, or exit status 78 (bad configuration), the next start does not wait."""
    for _ in range(5):
        service.ended("watchdog", "ABRT")
    service.ended(result, status)

    assert 0 == service.delay()


def test_failures_are_counted_in_the_first_runtime_directory(service: Service) -> None:
    """Systemd joins them by colons; failures are counted in the first one."""
    service.named = f"{service.runtime}:{service.runtime}-reports"
    for _ in range(3):
        service.ended("exit-code")

    assert 2 == service.delay()
    assert [".failures"] == [path.name for path in service.runtime.iterdir()]


def test_without_a_counter_each_failure_costs_ten_seconds(service: Service) -> None:
    """If no counter can be written, each failure costs ten seconds."""
    service.named = str(service.runtime / "absent")

    assert [10, 10] == [service.ended_uncounted() for _ in range(2)]
    assert 0 == service.delay()


def test_failures_long_ago_are_forgotten(service: Service) -> None:
    """A failure after ten good minutes counts as the first."""
    for _ in range(5):
        service.ended("signal", "KILL")
    [counter] = service.runtime.iterdir()
    long_ago = counter.stat().st_mtime - 601
    os.utime(counter, (long_ago, long_ago))

    service.ended("signal", "KILL")

    assert 0 == service.delay()


@pytest.mark.parametrize("content", ["", "nonsense", "-3", "1 2", "9" * 30])
def test_a_malformed_counter_does_no_harm(service: Service, content: str) -> None:
    """Whatever the counter contains, the service starts within a minute."""
    (service.runtime / ".failures").write_text(content)

    assert 0 <= service.delay() <= 60
    service.ended("signal", "KILL")
    assert 0 <= service.delay() <= 60
