"""Runs other people's tools: those in `peers`, and those that `peers/setup` installs."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import meter
from stage import SOURCE

HERE = Path(__file__).parent
PEERS = HERE / "peers"
BIN = Path(os.environ.get("CREDFRESH_PEERS", HERE.parents[1] / ".bench-peers"), "bin")
ROLE = "arn:aws:iam::111111111111:role/deploy"
VERSIONS = ("elhaz", "awsume", "boto3-refresh-session")


@contextlib.contextmanager
def home(url: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield a credentials file with a source's keys, and an environment that names it."""
    with tempfile.TemporaryDirectory(prefix="credfresh-bench-") as name:
        path = Path(name, "credentials")
        path.write_text(SOURCE.replace("[ci]", "[source]"))
        path.chmod(0o600)
        yield (
            path,
            {
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "HOME": name,
                "AWS_SHARED_CREDENTIALS_FILE": str(path),
                "AWS_CONFIG_FILE": str(Path(name, "config")),
                "AWS_ENDPOINT_URL_STS": url,
                "AWS_DEFAULT_REGION": "eu-west-1",
                "AWS_EC2_METADATA_DISABLED": "true",
            },
        )


def spent(argv: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Run a command; return its CPU seconds, children included, and its wall seconds."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(argv, env=environment, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.perf_counter() - began


def there() -> bool:
    """Say whether the tools of `peers/setup` are installed."""
    return (BIN / "elhaz").exists()


def versions() -> dict[str, str]:
    """Return their versions."""
    ask = "import sys, importlib.metadata as m; print(*map(m.version, sys.argv[1:]))"
    told = subprocess.run(
        [BIN / "python", "-c", ask, *VERSIONS], stdout=subprocess.PIPE, text=True, check=True
    )
    return dict(zip(VERSIONS, told.stdout.split(), strict=True))


def configure(home: Path, url: str, names: Sequence[str]) -> None:
    """Write the configurations of all three tools for these roles."""
    (home / "config").write_text(
        "".join(
            f"[profile {name}]\nrole_arn = {ROLE}\nsource_profile = source\nregion = eu-west-1\n"
            for name in names
        )
    )
    directory = home / ".elhaz" / "configs"
    directory.mkdir(parents=True)
    for name in names:
        (directory / f"{name}.yaml").write_text(
            f"AssumeRole:\n  RoleArn: {ROLE}\n  RoleSessionName: {name}\n"
            f"STS:\n  endpoint_url: {url}\n  region_name: eu-west-1\n"
            "  aws_access_key_id: AKIAFAKE\n  aws_secret_access_key: fake\n"
        )


def refresh_session(names: Sequence[str]) -> list[str]:
    """Return the command that renews these roles with boto3-refresh-session."""
    return [str(BIN / "python"), str(HERE / "peers" / "refresh_session.py"), *names]


def awsume(name: str) -> list[str]:
    """Return the command that renews one role with awsume and leaves it to autoawsume."""
    return [str(BIN / "awsumepy"), name, "-a"]


@contextlib.contextmanager
def elhaz(home: Path, environment: dict[str, str], names: Sequence[str]) -> Iterator[int]:
    """Run elhaz's daemon with these roles; yield its process id."""
    _elhaz(environment, "--max-daemon-cache-size", "200", "daemon", "start")
    try:
        for name in names:
            _elhaz(environment, "daemon", "add", "-n", name)
        yield _daemon_of(home)
    finally:  # stopping fails if it has ended by itself
        stop = [str(BIN / "elhaz"), "daemon", "stop"]
        subprocess.run(stop, env=environment, stdout=subprocess.DEVNULL, check=False)


def export(name: str) -> list[str]:
    """Return the command by which a job gets its credentials from elhaz's daemon."""
    return [str(BIN / "elhaz"), "export", "-n", name, "-f", "credential-process"]


def elhaz_renewals(
    home: Path, environment: dict[str, str], names: Sequence[str]
) -> tuple[float, float]:
    """Return the CPU and wall seconds in which its daemon gets these roles for the first time."""
    with elhaz(home, environment, names) as pid:
        before, began = meter.read(pid), time.perf_counter()
        for name in names:
            subprocess.run(export(name), env=environment, stdout=subprocess.DEVNULL, check=True)
        return meter.read(pid).since(before).cpu_s, time.perf_counter() - began


def _elhaz(environment: dict[str, str], *words: str) -> None:
    subprocess.run([BIN / "elhaz", *words], env=environment, stdout=subprocess.DEVNULL, check=True)


def _daemon_of(home: Path) -> int:
    wanted = f"HOME={home}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                return int(process.name)
    raise RuntimeError("elhaz's daemon does not run")
