"""Sections that somebody altered while no daemon ran: the twins prove which of them are ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import disk
from credfresh.cli.clock import clock
from credfresh.credentials_file import CredentialsFiles
from credfresh.in_order import InOrder
from credfresh.process_twin import ProcessTwins
from credfresh.publication import Publication, PublishReport
from twins import INSTANCE, granted, shared, with_twin

MARK = rb"# credfresh v=1 .*\n"
SECRET = rb"(aws_secret_access_key = )\S+"
KEY_ID = rb"(aws_access_key_id = )\S+"


class Host:
    """A credentials file and a directory of twins, and the daemons that keep them in turn."""

    def __init__(self, directory: Path, stack: ExitStack, *, altered: tuple[bytes, bytes]) -> None:
        """Run one daemon, and alter what it published."""
        self.path = directory.parent / "credentials"
        self.path.write_bytes(disk.FOREIGN)
        self.path.chmod(0o600)
        self._directory = directory
        self._stack = stack
        self._profile = with_twin(directory)
        daemon = self.started()
        daemon.publish({"production": granted(self._profile)})
        daemon.release()
        ours = self.path.read_bytes().removeprefix(disk.FOREIGN)
        self.altered = re.sub(*altered, ours)
        assert ours != self.altered
        self.path.write_bytes(disk.FOREIGN + self.altered)

    def started(self) -> InOrder:
        """Return what a newly started daemon publishes to."""
        daemon = InOrder(
            CredentialsFiles([self._profile.target], instance=INSTANCE, clock=clock),
            ProcessTwins([shared(self._directory)], instance=INSTANCE, clock=clock),
        )
        self._stack.callback(daemon.release)
        daemon.claim()
        return daemon

    def restart(self, *, withdraw: bool = False) -> PublishReport:
        """Start a daemon, and have it renew or withdraw; return the report on the file."""
        daemon = self.started()
        assert {} == daemon.standing({"production": self._profile})
        gone = Publication(self._profile, withdraw=True)
        renewed = granted(self._profile, 1)
        done = daemon.publish({"production": gone if withdraw else renewed})[str(self.path)]
        assert isinstance(done, PublishReport)
        return done


@pytest.fixture(name="directory")
def _directory(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path / "process"


@pytest.fixture(name="stack")
def _stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize(
    "altered", [(SECRET, rb"\1edited"), (MARK, b"")], ids=["secret", "no mark"]
)
def test_a_section_altered_while_no_daemon_ran_is_put_back(
    directory: Path, stack: ExitStack, altered: tuple[bytes, bytes]
) -> None:
    """Whether its secret was edited, or a program that drops comments wrote the file."""
    host = Host(directory, stack, altered=altered)

    done = host.restart()

    assert () == done.refused
    assert ["section_repaired"] == [each.event for each in done.remarks]
    assert "ASIAFAKE000000000001" == disk.key_of(host.path, "production")
    assert host.path.read_bytes().startswith(disk.FOREIGN)


def test_a_section_altered_while_no_daemon_ran_can_be_withdrawn(
    directory: Path, stack: ExitStack
) -> None:
    """Our keys do not stay in the file only because somebody edited something beside them."""
    host = Host(directory, stack, altered=(SECRET, rb"\1edited"))

    host.restart(withdraw=True)

    assert disk.FOREIGN == host.path.read_bytes()


def test_keys_that_were_pasted_while_no_daemon_ran_stay(directory: Path, stack: ExitStack) -> None:
    """A key id that is not the twin's makes the section somebody else's."""
    host = Host(directory, stack, altered=(KEY_ID, rb"\1AKIAPASTED"))

    done = host.restart()

    assert ["taken"] == [each.code for each in done.refused]
    assert disk.FOREIGN + host.altered == host.path.read_bytes()


@pytest.mark.parametrize("doubt", ["json", "config", "directory", "no config", "another's"])
def test_a_twin_that_others_can_have_written_proves_nothing(
    directory: Path, stack: ExitStack, doubt: str
) -> None:
    """It could name any key id, so a section that holds that id is not touched."""
    host = Host(directory, stack, altered=(SECRET, rb"\1edited"))
    config = directory / "production.config"
    match doubt:
        case "json":
            (directory / "production.json").chmod(0o620)
        case "config":
            config.chmod(0o620)
        case "directory":
            directory.chmod(0o1777)
        case "no config":
            config.unlink()
        case "another's":
            config.write_bytes(config.read_bytes().replace(b"instance=test", b"instance=other"))

    done = host.restart()

    assert ["taken"] == [each.code for each in done.refused]
    assert disk.FOREIGN + host.altered == host.path.read_bytes()
