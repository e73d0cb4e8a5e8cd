"""The script that keeps the starts of a failing service apart."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent.parent / "systemd" / "restart-delay"


class Service:
    """Runs the script as the unit does, with a `sleep` that only says how long."""

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
        """Note an end."""
        self._run("note", SERVICE_RESULT=result, EXIT_STATUS=status)

    def ended_uncounted(self) -> int:
        """Note an end where nothing can be written; return the seconds that this took."""
        return int(self._run("note", SERVICE_RESULT="exit-code", EXIT_STATUS="1"))

    def delay(self) -> int:
        """Start; return the seconds that were waited first."""
        return int(self._run("wait"))


@pytest.fixture(name="service")
def _service(tmp_path: Path) -> Service:
    return Service(tmp_path)


def test_the_first_failure_costs_nothing_and_each_further_one_more(service: Service) -> None:
    """At once, then 1, 2, 4 … 60 seconds, and never more."""
    delays = [service.delay()]
    for _ in range(10):
        service.ended("exit-code")
        delays.append(service.delay())

    assert [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60] == delays


@pytest.mark.parametrize(("result", "status"), [("success", "0"), ("exit-code", "78")])
def test_a_clean_end_and_a_bad_configuration_begin_anew(
    service: Service, result: str, status: str
) -> None:
    """Who stops it, or mends the configuration, does not wait at the next start."""
    for _ in range(5):
        service.ended("watchdog", "ABRT")
    service.ended(result, status)

    assert 0 == service.delay()


def test_of_several_runtime_directories_the_first_is_meant(service: Service) -> None:
    """Systemd names them all, with colons between; a row is counted there as well."""
    service.named = f"{service.runtime}:{service.runtime}-reports"
    for _ in range(3):
        service.ended("exit-code")

    assert 2 == service.delay()
    assert [".failures"] == [path.name for path in service.runtime.iterdir()]


def test_what_cannot_be_counted_is_kept_apart_too(service: Service) -> None:
    """No counter can be made: then each failure costs the same, and none goes unwaited."""
    service.named = str(service.runtime / "absent")

    assert [10, 10] == [service.ended_uncounted() for _ in range(2)]
    assert 0 == service.delay()


def test_failures_long_ago_are_forgotten(service: Service) -> None:
    """A failure after ten good minutes is the first of a row."""
    for _ in range(5):
        service.ended("signal", "KILL")
    [counter] = service.runtime.iterdir()
    long_ago = counter.stat().st_mtime - 601
    os.utime(counter, (long_ago, long_ago))

    service.ended("signal", "KILL")

    assert 0 == service.delay()


@pytest.mark.parametrize("content", ["", "nonsense", "-3", "1 2", "9" * 30])
def test_a_counter_that_is_not_one_does_no_harm(service: Service, content: str) -> None:
    """Whatever stands there, the service starts within a minute."""
    (service.runtime / ".failures").write_text(content)

    assert 0 <= service.delay() <= 60
    service.ended("signal", "KILL")
    assert 0 <= service.delay() <= 60
