"""The Debian package: its content, and what installing, upgrading and removing it do."""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

import credfresh
from credfresh.cli import COMMANDS, cli
from credfresh.cli.exits import Exit
from debian import NEXT, PYTHON, ROOT, Debian, package_in, sh
from programs import needed

pytestmark = pytest.mark.timeout(300)  # the first of them has the package built
UNEDITED = '"path": "profiles", "reason": "is required"'
CLEAN = """
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$1"
root="$1/root"
. /etc/os-release
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
debootstrap --variant=minbase "$VERSION_CODENAME" "$root" "$mirror" >&2
cp "$2" "$root/credfresh.deb"
cp /etc/resolv.conf "$root/etc/"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin
chroot "$root" sh -eu -c '
    if command -v python3 systemd-sysusers; then exit 1; fi
    apt-get -q -y install --no-install-recommends /credfresh.deb >&2
    runuser -u credfresh -- credfresh demo --for 3s
    apt-get -q -y purge credfresh >&2
    for left in /etc/credfresh /opt/credfresh /run/credfresh /usr/share/credfresh; do
        [ ! -e "$left" ] || exit 1
    done'
"""
MEMBERS = (
    "lib/systemd/system/credfresh.service",
    "usr/lib/sysusers.d/credfresh.conf",
    "usr/lib/tmpfiles.d/credfresh.conf",
    "usr/lib/credfresh/restart-delay",
    "usr/bin/credfresh",
    "etc/credfresh/credfresh.yaml",
    "usr/share/man/man1/credfresh.1.gz",
    "usr/share/bash-completion/completions/credfresh",
    "usr/share/zsh/vendor-completions/_credfresh",
    "usr/share/fish/vendor_completions.d/credfresh.fish",
    "usr/share/doc/credfresh/copyright",
    "usr/share/doc/credfresh/operations.md",
    "usr/share/credfresh/systemd/drop-ins/readers.conf",
    "usr/share/credfresh/config/credfresh.example.yaml",
)


@pytest.fixture(scope="session", name="package")
def _package(packages: Path) -> Path:
    return package_in(packages)


@pytest.fixture(scope="session", name="tree")
def _tree(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with the unpacked package."""
    tree = tmp_path_factory.mktemp("tree")
    sh("dpkg-deb", "-x", package, tree)
    return tree


def members(package: Path) -> list[tarfile.TarInfo]:
    """Return the members of the package's archive."""
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            return list(archive)


def test_the_package_has_what_debian_looks_for(tree: Path) -> None:
    """The package has unit, user, command, configuration, manual, completions, pages, drop-ins."""
    for member in MEMBERS:
        assert os.path.lexists(tree / member), member
    for page in (ROOT / "docs").iterdir():
        assert (tree / "usr/share/doc/credfresh" / page.name).exists()
    unit = tree / "lib/systemd/system/credfresh.service"
    assert (ROOT / "systemd/credfresh.service").read_bytes() == unit.read_bytes()
    for command in re.findall(r"(?m)^Exec\w+=(/usr/\S+)", unit.read_text()):
        assert os.path.lexists(tree / command[1:]), command


def test_links_of_the_documents_lead_somewhere(tree: Path) -> None:
    """Links lead into the package, except on pages for developers."""
    pages = tree / "usr/share/doc/credfresh"
    assert "operations.md" in {page.name for page in pages.glob("*.md")}
    for page in pages.glob("*.md"):
        if page.name in {"architecture.md", "contributing.md"}:
            continue
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if not target.startswith("https:"):
                assert (tree / target[1:] if target[0] == "/" else pages / target).exists(), target


def test_the_package_is_for_this_python_and_machine(package: Path) -> None:
    """Byte code and extensions need this minor version of Python and this architecture."""
    about = sh("dpkg-deb", "-f", package, "Depends", "Architecture", "Version")
    minor = int(sh(PYTHON, "-c", "import sys; print(sys.version_info[1])"))

    assert f"python3 (>= 3.{minor}), python3 (<< 3.{minor + 1})" in about
    assert f"Architecture: {sh('dpkg', '--print-architecture')}" in about
    assert f"Version: {credfresh.__version__}\n" in about
    assert "/etc/credfresh/credfresh.yaml\n" == sh("dpkg-deb", "-I", package, "conffiles")


def test_everything_belongs_to_root_and_nobody_else_writes(package: Path) -> None:
    """Others can read everything except the configuration and its directory."""
    found = members(package)
    hidden = {m.name.strip("./") for m in found if not m.issym() and not m.mode & 0o004}

    assert {"etc/credfresh", "etc/credfresh/credfresh.yaml"} == hidden
    for member in found:
        assert (0, 0) == (member.uid, member.gid), member.name
        assert member.issym() or not member.mode & 0o7022, member.name
        assert member.isreg() or member.isdir() or member.issym(), member.name


def test_nothing_names_where_it_was_built(tree: Path) -> None:
    """Neither scripts nor byte code contain the path of the checkout or of the build directory."""
    lib = tree / "opt/credfresh/lib"
    told = [f for f in tree.rglob("*") if f.is_file() and b"credfresh-package." in f.read_bytes()]
    compiled = next(lib.rglob("boto3/__pycache__/session.*.pyc")).read_bytes()

    assert [] == told
    assert b"/opt/credfresh/lib/python3." in compiled
    assert [] == list(lib.rglob("direct_url.json"))
    assert (tree / "usr/bin/credfresh").readlink() == Path("/opt/credfresh/bin/credfresh")
    assert (tree / "opt/credfresh/bin/python3").readlink() == PYTHON
    script = (tree / "opt/credfresh/bin/credfresh").read_text()
    assert script.startswith("#!/opt/credfresh/bin/python3 -I\n")


def test_every_module_is_compiled(tree: Path) -> None:
    """Without byte code every start would compile, as the daemon cannot write there."""
    sources = list((tree / "opt/credfresh/lib").rglob("credfresh/**/*.py"))
    assert len(sources) > 100
    for source in sources:
        assert list((source.parent / "__pycache__").glob(f"{source.stem}.*.pyc")), source


def test_the_manual_says_what_the_commands_say(tree: Path) -> None:
    """The manual has every command, option and exit status, and groff does not complain."""
    manual = tree / "usr/share/man/man1/credfresh.1.gz"
    needed("groff", "man-db")
    rough = sh("gzip", "-dc", manual)
    plain = rough.replace("\\-", "-")
    for name in COMMANDS:
        printed = CliRunner().invoke(cli, [name, "--help"]).stdout
        part = plain.partition(f'.SS "credfresh {name}"')[2].partition("\n.S")[0]
        for option in re.findall(r"(?m)^  (?:-\w, )?(--[a-z-]+)", printed):
            assert option in part, (name, option)
    for status in Exit:
        assert f".TP\n\\fB{int(status)}\\fR\n" in rough
    shown = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8"], input=rough, capture_output=True, text=True, check=True
    )
    assert "" == shown.stderr
    assert "keep all profiles fresh" in shown.stdout.lower()


def test_the_installed_package_works_and_waits_for_its_roles(debian: Debian) -> None:
    """Anybody can run it; unedited it ends with 78; the demo works as the daemon's user."""
    assert "name your roles in /etc/credfresh/credfresh.yaml" in debian.install()

    assert f"credfresh {credfresh.__version__}\n" == debian.do("credfresh --version", user="nobody")
    refused = debian.run("credfresh run", user="credfresh")
    assert 78 == refused.returncode
    assert UNEDITED in refused.stdout
    assert '"hint": ' in refused.stdout
    assert "750 root credfresh\n640 root credfresh\n" == debian.do(
        "stat -c '%a %U %G' /etc/credfresh /etc/credfresh/credfresh.yaml"
    )
    assert "/usr/sbin/nologin\n" == debian.do("getent passwd credfresh | cut -d: -f7")
    assert "daemon_ready" in debian.do("credfresh demo --for 2s", user="credfresh")
    assert "/usr/share/man/man1/credfresh.1.gz\n" == debian.do("man -w credfresh")
    completed = debian.do("""bash -c '
        . /usr/share/bash-completion/completions/credfresh
        COMP_WORDS=(credfresh ens) COMP_CWORD=1
        _credfresh_completion credfresh
        echo "${COMPREPLY[@]}"'""")
    assert "ensure\n" == completed
    # It has the AWS services that provide credentials, and the client of a fleet's engine.
    debian.do("""/opt/credfresh/bin/python3 -I -c '
import boto3, hvac
for service in ("sts", "sso", "sso-oidc", "signin"):
    boto3.client(service, region_name="eu-west-1")'""")


def test_an_upgrade_keeps_what_was_edited_and_published(debian: Debian) -> None:
    """Configuration, long-term keys and credentials stay, and the code is the new one."""
    debian.install()
    debian.do("""
        echo '# mine' >> /etc/credfresh/credfresh.yaml
        echo '[ci-user]' > /etc/credfresh/source
        install -d -o credfresh -g credfresh -m 700 /run/credfresh
        echo '[production]' > /run/credfresh/credentials""")
    debian.install(NEXT)

    assert NEXT in debian.do("dpkg-query -W -f '${Version}' credfresh")
    kept = debian.do("tail -n1 /etc/credfresh/credfresh.yaml; cat /run/credfresh/credentials")
    assert "# mine\n[production]\n" == kept
    assert "640 root credfresh\n" == debian.do("stat -c '%a %U %G' /etc/credfresh/source")
    assert "the next version says more" in debian.do("cat /etc/credfresh/credfresh.yaml.dpkg-dist")


def test_a_removal_leaves_credentials_and_a_purge_nothing_of_the_package(debian: Debian) -> None:
    """A removal leaves credentials and configuration, a purge only the administrator's files."""
    debian.install()
    debian.do("""
        echo '[ci-user]' > /etc/credfresh/source
        install -d -o credfresh -g credfresh -m 700 /run/credfresh
        echo '[production]' > /run/credfresh/credentials""")
    debian.do("apt-get -q -y remove credfresh")

    assert "" == debian.do("ls -d /opt/credfresh /usr/bin/credfresh 2>/dev/null || true")
    debian.do("test -e /etc/credfresh/credfresh.yaml && test -e /run/credfresh/credentials")

    debian.do("apt-get -q -y purge credfresh")
    assert "/etc/credfresh\n/etc/credfresh/source\n" == debian.do(
        "find /etc/credfresh /run/credfresh /usr/share/credfresh 2>/dev/null | sort"
    )


def test_without_systemd_the_package_makes_its_user(debian: Debian) -> None:
    """Without systemd-sysusers, as in an image, the package creates its user itself."""
    debian.do("rm /bin/systemd-sysusers")
    debian.install()

    assert "credfresh:/:/usr/sbin/nologin\n" == debian.do(
        "getent passwd credfresh | awk -F: -v OFS=: '{print $1, $6, $7}'"
    )


@pytest.mark.long
def test_the_package_installs_on_a_minimal_debian(package: Path, tmp_path: Path) -> None:
    """In a minimal root without Python and systemd, it brings what it needs and leaves nothing."""
    needed("debootstrap", "debootstrap")
    if os.geteuid() != 0:
        pytest.skip("needs root, to make a root")
    namespaces = ("--mount", "--pid", "--fork", "--kill-child")
    said = sh("unshare", *namespaces, "sh", "-c", CLEAN, "clean", tmp_path, package)

    assert "daemon_ready" in said
