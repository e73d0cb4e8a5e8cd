"""A program for an installed credfresh: an STS on loopback, and /etc/credfresh for one role.

The argument is its directory, where `url` appears when all is ready. A second key lies beside the
first; on SIGUSR1 the first is revoked, and `ended` appears.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from credfresh.cli.clock import clock
from credfresh.simulator import Simulator

ROLE = "arn:aws:iam::333333333333:role/deploy"
CONFIG = """\
credentials_file:
  path: /run/credfresh/credentials
sts:
  endpoint_url: {url}
sources:
  ci-user:
    credentials_file: /etc/credfresh/source
    profile: ci-user
defaults:
  source: ci-user
  region: eu-west-1
profiles:
  production:
    role_arn: {role}
"""


def main(here: Path, etc: Path) -> None:
    """Serve until a signal ends the process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    with Simulator(clock) as sts:
        users = [sts.add_user(f"arn:aws:iam::111111111111:user/{name}") for name in ("ci", "next")]
        sts.add_role(ROLE, trusts={user.arn for user in users})
        for user, name in zip(users, ("source", "source.next"), strict=True):
            (etc / name).write_text(
                f"[ci-user]\naws_access_key_id = {user.access_key_id}\n"
                f"aws_secret_access_key = {user.secret_access_key}\n"
            )
        (etc / "credfresh.yaml").write_text(CONFIG.format(url=sts.url, role=ROLE))
        (here / "url").write_text(sts.url)
        signal.sigwait({signal.SIGUSR1})
        sts.revoke(users[0].access_key_id)
        (here / "ended").touch()
        signal.pause()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path("/etc/credfresh"))
