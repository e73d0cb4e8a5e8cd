"""A file that cannot be written for a while: it stays, one event says so, then it is published."""

from __future__ import annotations

import errno
import os
import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

from credfresh.credentials_file import SharedCredentialsFile
from credfresh.errors import PublishError
from credfresh.life.announcer import Announcer
from credfresh.publication import Outcomes, PublishReport, Wanted
from credfresh.publisher import Published, Publisher
from disk import FOREIGN, Steps, keeper, key_of, publication, temporaries, wanted
from fakes import EventLog, FakeClock

REFUSALS = [
    ("create", errno.EROFS, "ReadWritePaths="),
    ("create", errno.EACCES, "search its directory"),
    ("create", errno.ENOSPC, "make room"),
    ("attributes", errno.EPERM, "setgid"),
    ("write", errno.ENOSPC, "make room"),
    ("write", errno.EDQUOT, "quota"),
    ("sync", errno.EDQUOT, "quota"),
    ("sync", errno.EIO, "kernel's log"),
    ("swap", errno.EBUSY, "mount its directory"),
    ("swap", errno.EXDEV, "mount the whole directory"),
    ("swap", errno.EPERM, "lsattr"),
    ("claim", errno.EROFS, "ReadWritePaths="),
    ("resolve", errno.ENOENT, "create the missing directory"),
    ("resolve", errno.ELOOP, "circle"),
    ("read", errno.EFBIG, "larger"),
    ("write", errno.EFBIG, "LimitFSIZE="),
]


class Refusing:
    """A destination of one file, on which a step fails while `refusal` is set."""

    def __init__(self, file: SharedCredentialsFile, path: Path, steps: Steps) -> None:
        self.file = file
        self.path = path
        self.steps = steps
        self.refusal: tuple[str, int] | None = None

    def publish(self, wanted: Wanted) -> Outcomes:
        if self.refusal is not None:
            step, number = self.refusal
            self.steps.before[step] = lambda: self._refuse(number)
            if step == "resolve":
                return {str(self.path): self._unresolved(number)}
            if step == "claim":
                self.file.release()
                self.steps.before["sweep"] = self.steps.before.pop("claim")
        try:
            return {str(self.path): self.file.publish(wanted)}
        except PublishError as error:
            return {str(self.path): error}

    def tick(self) -> bool:
        return self.file.tick()

    def _refuse(self, number: int) -> None:
        raise OSError(number, os.strerror(number))

    def _unresolved(self, number: int) -> PublishReport | PublishError:
        """Publish while the path leads nowhere, or to a loop of links."""
        parent, aside = self.path.parent, self.path.parent.with_name("aside")
        parent.rename(aside)
        if number == errno.ELOOP:
            parent.symlink_to(parent)
        try:
            return self.file.publish({})
        except PublishError as error:
            return error
        finally:
            if parent.is_symlink():
                parent.unlink()
            aside.rename(parent)


class Host:
    """A publisher with its real thread on a real disk, and the log of its events."""

    def __init__(self, path: Path) -> None:
        steps = Steps()
        self.clock = FakeClock()
        self.log = EventLog()
        self.destination = Refusing(keeper(path, hook=steps), path, steps)
        self.reports: queue.SimpleQueue[Published] = queue.SimpleQueue()
        self.publisher = Publisher(
            self.destination, clock=self.clock, roll=lambda: 0.0, report=self.reports.put
        )
        self._tell = Announcer(self.log)

    def after(self, seconds: float) -> Published:
        """Advance the clock, wait for the next publish and log it.

        The publisher sleeps by the real clock, so a probe wakes it to read the fake one.
        """
        self.clock.advance(seconds)
        self.publisher.probe(lambda: None)
        return self.told()

    def told(self) -> Published:
        """Wait for the next publish and log it."""
        published = self.reports.get(timeout=10)
        for path, outcome in published.outcomes.items():
            if isinstance(outcome, PublishError):
                self._tell.publish_failed(path, outcome)
            else:
                self._tell.published(path, outcome, published.took)
        return published


@pytest.fixture(name="host")
def _host(tmp_path: Path) -> Iterator[Host]:
    (tmp_path / "run").mkdir(mode=0o755)
    path = tmp_path / "run" / "credentials"
    path.write_bytes(FOREIGN)
    host = Host(path)
    standing = wanted(path, "dev")
    host.destination.file.publish(standing)
    host.destination.file.tick()
    host.publisher.start(standing)
    host.told()
    yield host
    host.publisher.stop(10)
    host.destination.file.release()


@pytest.mark.parametrize(("step", "number", "advice"), REFUSALS)
def test_a_refused_write_is_told_once_and_made_when_the_system_allows_it(
    host: Host, step: str, number: int, advice: str
) -> None:
    """The old file stays whole, one event reports the failure and one its end, nothing is lost."""
    path = host.destination.path
    old = path.read_bytes()
    host.destination.refusal = (step, number)
    host.publisher.update({"dev": publication("dev", path, 1)}, urgent=True)

    for attempt in range(3):
        assert {} == (host.after(70) if attempt else host.told()).landed
        assert old == path.read_bytes()
        assert [] == temporaries(path)
    host.destination.refusal = None
    host.destination.steps.before.clear()
    landed = host.after(70).landed

    assert {"dev"} == set(landed)
    assert "ASIAFAKE000000000001" == key_of(path, "dev")
    assert path.read_bytes().startswith(FOREIGN)
    (told,) = host.log.of("publish_failed")
    assert errno.errorcode[number] == told["code"]
    assert advice in str(told["hint"])
    assert 1 == len(host.log.of("publish_recovered"))


def test_a_temporary_that_cannot_be_removed_goes_with_the_next_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the file system turns read-only the temporary stays, and the next write removes it."""
    path, steps = tmp_path / "credentials", Steps()
    file = keeper(path, hook=steps)
    file.publish(wanted(path, "dev"))
    file.tick()

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    steps.before["sync"] = read_only
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", read_only)
        with pytest.raises(PublishError):
            file.publish(wanted(path, "dev", serial=1))
    assert 1 == len(temporaries(path))

    file.publish(wanted(path, "dev", serial=2))
    file.tick()

    assert [] == temporaries(path)
    assert "ASIAFAKE000000000002" == key_of(path, "dev")
