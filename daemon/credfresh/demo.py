"""The demo, without an AWS account: an STS on loopback, and the real daemon against it.

Everything is in one directory and in this process, and goes when the process ends. Only a `kill -9`
leaves the directory, and the next start removes it.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from credfresh import summary
from credfresh.config.places import MOST_SOCKET_PATH
from credfresh.errors import AlreadyRunningError, CredfreshError
from credfresh.life.desk import Desk
from credfresh.model import Clock, Instant, rfc3339
from credfresh.simulator import Simulator
from credfresh.statuses import ProfileStatus
from credfresh.values import dataclass

LIFETIME = 30.0
"""Seconds that the simulated STS grants, whatever is asked for: so that renewals can be watched."""

TAIL = 8
"""Events shown under the table, if the terminal has room for them."""

Size = Callable[[], tuple[int, int]]
"""Returns the present columns and lines of the terminal, which people may resize."""

PLAIN_EVERY = 5
"""Looks (seconds) between two tables if there is no terminal."""

WRAP_OFF, WRAP_ON = "\x1b[?7l", "\x1b[?7h"

ACCOUNTS = {
    "development": "111111111111",
    "preproduction": "222222222222",
    "production": "333333333333",
}
EXTERNAL_ID = "demo-external-id"
OWN = "point XDG_RUNTIME_DIR to a directory of yours"
PLAIN = re.compile(r"/[A-Za-z0-9_./-]*")
"""A path that the demo's configuration can name as it is."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The demo's directory, and the files in it."""

    directory: Path

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.directory / "credfresh.yaml"

    @property
    def credentials(self) -> Path:
        """The shared credentials file that the daemon keeps."""
        return self.directory / "credentials"

    @property
    def source(self) -> Path:
        """The long-term keys of the principal."""
        return self.directory / "source"

    @property
    def control(self) -> Path:
        """The control socket of the demo's daemon."""
        return self.directory / "control.sock"

    @property
    def variables(self) -> Path:
        """The variables that a shell in another terminal reads to use the demo."""
        return self.directory / "env"

    def enter(self) -> socket.socket:
        """Become the only demo in this directory, until the socket is closed or the process ends.

        Raises:
            AlreadyRunningError: another demo runs there.
        """
        # An abstract name goes with its process, however that ends.
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            claim.bind(f"\0{self.directory}")
        except OSError:
            claim.close()
            error = AlreadyRunningError(str(self.credentials), holder="another demo")
            error.hint = "end that one, or point XDG_RUNTIME_DIR to another directory of yours"
            raise error from None
        return claim

    def build(self, sts: Simulator) -> None:
        """Remove what an earlier demo left, and write keys and configuration.

        Raises:
            CredfreshError: the directory cannot be made, or belongs to another user.
        """
        self.clear()
        try:
            self.directory.mkdir(mode=0o700)
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            raise CredfreshError(f"{self.directory}: cannot be made: {reason}", hint=OWN) from None
        user = sts.add_user("arn:aws:iam::111111111111:user/ci")
        for name, account in ACCOUNTS.items():
            sts.add_role(
                f"arn:aws:iam::{account}:role/deploy",
                trusts={user.arn},
                external_id=EXTERNAL_ID if name == "production" else None,
            )
        keys = (
            f"[ci]\naws_access_key_id = {user.access_key_id}\n"
            f"aws_secret_access_key = {user.secret_access_key}\n"
        )
        texts = {self.config: _yaml(self, sts.url), self.variables: _variables(self, sts.url)}
        for file, text in {self.source: keys, **texts}.items():
            # With any umask: a configuration that a group may write is refused.
            file.touch(mode=0o600)
            file.write_text(text)

    def clear(self) -> None:
        """Remove the directory, if there is one.

        Raises:
            CredfreshError: it belongs to another user.
        """
        try:
            owner = self.directory.lstat().st_uid
        except FileNotFoundError:
            return
        if owner != os.getuid():
            raise CredfreshError(
                f"{self.directory} belongs to another user",
                hint=OWN,
            )
        if self.directory.is_dir() and not self.directory.is_symlink():
            shutil.rmtree(self.directory)
        else:
            self.directory.unlink()


def invitation(stage: Stage) -> str:
    """Return what to try from a second terminal."""
    boto3 = (
        "import boto3; print(boto3.Session(profile_name='production')"
        ".client('sts').get_caller_identity()['Arn'])"
    )
    return (
        f"Three roles, kept fresh by the real daemon. Sessions last {LIFETIME:.0f} s, to watch.\n"
        "Try it from another terminal, now and in a minute (old keys get ExpiredToken):\n\n"
        f"  . {shlex.quote(str(stage.variables))}; cat $AWS_SHARED_CREDENTIALS_FILE\n"
        "  aws sts get-caller-identity --profile production\n"
        f'  {shlex.quote(sys.executable)} -c "{boto3}"\n'
        f"  {shlex.quote(sys.executable)} -m credfresh ensure production --valid-for 20s\n"
    )


class Screen:
    """Shows table and events: redrawn on a terminal of this `size`, line by line without one.

    It is an attendant, and the `Emit` of its daemon.
    """

    def __init__(
        self, write: Callable[[str], None], *, clock: Clock, heading: str, size: Size | None
    ) -> None:
        self._write = write
        self._clock = clock
        self._heading = heading
        self._size = size
        self._events: list[str] = []
        self._looks = 0
        if size is None:
            write(heading)

    def emit(self, event: str, /, **fields: object) -> None:
        """Show one event."""
        shown = " ".join(f"{k}={v}" for k, v in fields.items() if v is not None and k != "hint")
        line = f"{rfc3339(self._clock().wall)[11:19]}  {event:22} {shown}"
        if self._size is None:
            self._write(line)
        else:
            self._events = [*self._events, line][-TAIL:]

    def open(self, desk: Desk) -> None:
        """Show how the profiles are, every second."""

        def look(now: Instant) -> float:
            self._show(desk.supervisor.roster.statuses(now))
            return 1.0

        desk.agenda.add(look)

    def close(self) -> None:
        """Leave what was shown last."""

    def _show(self, statuses: list[ProfileStatus]) -> None:
        if self._size is not None:
            columns, lines = self._size()
            self._write(_screen(self._heading, statuses, self._events, columns, lines))
        elif self._looks % PLAIN_EVERY == 0:
            self._write(_table(statuses))
        self._looks += 1


def _screen(
    heading: str, statuses: list[ProfileStatus], events: list[str], columns: int, lines: int
) -> str:
    """Return the screen: the heading wraps, so that it can be copied; other lines are cut."""
    table = _table(statuses, colour=summary.coloured(os.environ)).splitlines()
    above = sum(max(1, -(-len(line) // columns)) for line in heading.splitlines()) + 1
    room = max(0, lines - above - len(table) - 3)
    below = [*table, "", *events[max(0, len(events) - room) :], "", "Ctrl-C ends it."]
    # Wrapping is switched off for the lower part (DECAWM), or one long line would scroll the rest
    # away.
    return summary.redrawn(heading + "\n" + WRAP_OFF + "\n".join(below)) + WRAP_ON


def _table(statuses: list[ProfileStatus], *, colour: bool = False) -> str:
    return summary.table([status.as_json() for status in statuses], colour=colour)


def default_directory() -> Path:
    """Return the directory for the demo of this user."""
    name, own = f"credfresh-demo-{os.getuid()}", os.environ.get("XDG_RUNTIME_DIR", "")
    usable = PLAIN.fullmatch(own) and len(str(Stage(Path(own, name)).control)) <= MOST_SOCKET_PATH
    # In a container or after `su` it may not exist, or belong to another user.
    usable = usable and os.access(own, os.W_OK | os.X_OK) and _is_ours(own)
    return Path(own if usable else "/tmp", name)  # noqa: S108 - sticky; the directory is made 0700 and checked


def _is_ours(path: str) -> bool:
    info = Path(path).stat()
    ours = stat.S_ISDIR(info.st_mode) and info.st_uid == os.getuid()
    return ours and not info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _yaml(stage: Stage, url: str) -> str:
    profiles = "".join(
        f"  {name}:\n    role_arn: arn:aws:iam::{account}:role/deploy\n"
        + (f"    external_id: {EXTERNAL_ID}\n" if name == "production" else "")
        for name, account in ACCOUNTS.items()
    )
    return (
        "# The demo's configuration: what yours would look like, but for the endpoint.\n"
        f"credentials_file:\n  path: {stage.credentials}\n"
        f"control:\n  socket: {stage.control}\n"
        f"sources:\n  ci:\n    credentials_file: {stage.source}\n    profile: ci\n"
        f"sts:\n  endpoint_url: {url}\n"
        "defaults:\n  source: ci\n  region: eu-west-1\n  duration: 1h\n"
        f"profiles:\n{profiles}"
    )


def _variables(stage: Stage, url: str) -> str:
    values = {
        "AWS_SHARED_CREDENTIALS_FILE": str(stage.credentials),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_ENDPOINT_URL_STS": url,
        "AWS_REGION": "eu-west-1",
        "CREDFRESH_SOCKET": str(stage.control),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
